// What the user wants, as plain values: the configuration after it was parsed and validated.
//
// config/ makes them, the core decides by them, the edges perform by them. Values only: a Policy is
// copied, compared and never changed in place. Names became indices, so nothing dangles.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <recover/backoff.h>
#include <recover/time.h>

#include "base/secret.h"
#include "core/execution.h"
#include "core/expression.h"
#include "core/vocabulary.h"

namespace recover::core {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

using Arguments = std::vector<std::string>;
// Values may come from ${env:} or ${file:}.
using Environment = std::vector<std::pair<std::string, base::Secret>>;

// ---- probes ----------------------------------------------------------------------------------

struct HttpProbe {
  base::Secret url;  // May carry credentials.
  std::string method = "GET";
  std::vector<std::pair<std::string, base::Secret>> headers;
  std::vector<int> status = {200};  // Any of them passes.
  std::string body_matches;         // RE2; empty: anything.
  std::optional<Duration> max_latency;
  friend bool operator==(const HttpProbe&, const HttpProbe&) = default;
};
struct TcpProbe {
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;
  friend bool operator==(const TcpProbe&, const TcpProbe&) = default;
};
struct ExecProbe {
  Arguments command;  // Exit status 0 passes.
  Environment environment;
  friend bool operator==(const ExecProbe&, const ExecProbe&) = default;
};
struct ProcessProbe {
  std::string match;     // RE2 on the command line; empty with `pid_file` or for own processes.
  std::string pid_file;  // Path; empty: none.
  std::uint32_t min = 1;
  // Bytes in memory, of them and of all they started; more fails with MemoryPressure.
  std::optional<std::uint64_t> max_memory;
  friend bool operator==(const ProcessProbe&, const ProcessProbe&) = default;
};
struct FileProbe {
  std::string path;
  std::optional<Duration> max_age;        // Of its last change.
  std::optional<std::uint64_t> max_size;  // Bytes.
  std::optional<std::uint64_t> min_size;
  bool exists = true;  // False: passes while there is none (a lock file left behind).
  friend bool operator==(const FileProbe&, const FileProbe&) = default;
};
struct PostgresProbe {
  base::Secret dsn;  // libpq connection string or URI.
  std::string query = "SELECT 1";
  std::optional<Duration> max_replication_lag;
  // A session that has blocked another for this long is a LockContention.
  std::optional<Duration> max_lock_wait;
  // The number `query` returns is that of a queue; above: QueueBacklog. None: it is not looked at.
  std::optional<std::uint64_t> queue_depth;
  friend bool operator==(const PostgresProbe&, const PostgresProbe&) = default;
};
struct RedisProbe {
  std::string host = "127.0.0.1";
  std::uint16_t port = 6379;
  std::string socket;  // Path; in place of host and port.
  base::Secret password;
  std::optional<Duration> max_replication_lag;
  std::string queue;                         // A list or stream that is watched; empty: none.
  std::optional<std::uint64_t> queue_depth;  // Above: QueueBacklog.
  friend bool operator==(const RedisProbe&, const RedisProbe&) = default;
};
struct MysqlProbe {
  std::string host = "127.0.0.1";
  std::uint16_t port = 3306;
  std::string socket;  // Path; in place of host and port.
  std::string user;
  base::Secret password;
  std::string database;
  std::string query;  // Must succeed; empty: a ping is enough.
  friend bool operator==(const MysqlProbe&, const MysqlProbe&) = default;
};
struct DnsProbe {
  enum class Type : std::uint8_t { A, Aaaa, Cname, Mx, Ns, Ptr, Soa, Srv, Txt };
  std::string name;
  Type type = Type::A;
  std::string server;  // Address; empty: the first of /etc/resolv.conf.
  std::uint16_t port = 53;
  std::vector<std::string> expect;  // Each must be among the answers.
  friend bool operator==(const DnsProbe&, const DnsProbe&) = default;
};
struct TlsExpiryProbe {
  std::string host = "127.0.0.1";
  std::uint16_t port = 443;
  std::string server_name;  // What is asked for (SNI); empty: the host.
  std::string file;         // Path of a PEM file; in place of host and port.
  Duration min_left = hours{14 * 24};
  friend bool operator==(const TlsExpiryProbe&, const TlsExpiryProbe&) = default;
};
struct HeartbeatProbe {
  std::string path;  // Touched by whoever must show a sign of life; empty: only the API …
  Duration every = minutes{1};  // … tells of it, at least this often.
  friend bool operator==(const HeartbeatProbe&, const HeartbeatProbe&) = default;
};
struct LogProbe {
  std::string path;
  std::string pattern;    // RE2: lines that mean trouble; empty: only silence is watched.
  std::uint32_t max = 0;  // Of such lines within the window; more fails.
  Duration window = minutes{1};
  std::optional<Duration> max_silence;  // No line at all for so long fails.
  friend bool operator==(const LogProbe&, const LogProbe&) = default;
};
// Told by the runner of backups, not looked at: made as scheduled, or proven in time.
struct BackupProbe {
  bool proof = false;
  friend bool operator==(const BackupProbe&, const BackupProbe&) = default;
};
enum class Resource : std::uint8_t { Cpu, Memory, Disk, Inodes, Pressure, Files };
struct ResourceProbe {
  Resource resource = Resource::Disk;
  std::string path = "/";  // Of Disk and Inodes.
  double max = 0.9;        // Ratio used, above which it fails.
  friend bool operator==(const ResourceProbe&, const ResourceProbe&) = default;
};

using ProbeSpec = std::variant<HttpProbe, TcpProbe, ExecProbe, ProcessProbe, FileProbe,
                               PostgresProbe, RedisProbe, ResourceProbe, MysqlProbe, DnsProbe,
                               TlsExpiryProbe, HeartbeatProbe, LogProbe, BackupProbe>;
ProbeKind kind_of(const ProbeSpec& spec);

struct ProbePolicy {
  ProbeSpec spec;
  Duration interval = seconds{10};
  Duration timeout = seconds{5};
  std::uint32_t failure_threshold = 3;
  std::uint32_t success_threshold = 2;
  friend bool operator==(const ProbePolicy&, const ProbePolicy&) = default;
};

// ---- services --------------------------------------------------------------------------------

struct StopPolicy {
  int signal = 15;
  Duration timeout = seconds{10};  // Then KILL to the whole tree.
  friend bool operator==(const StopPolicy&, const StopPolicy&) = default;
};
struct LimitPolicy {
  std::optional<std::uint64_t> memory;  // Bytes.
  std::optional<double> cpu;            // 1.5 = one and a half processors.
  std::optional<std::uint32_t> pids;
  std::optional<std::uint32_t> files;
  std::optional<std::uint64_t> memory_high;  // Bytes; above it is slowed down, not ended.
  std::optional<std::uint32_t> io_weight;    // 1 to 10000; 100 is everybody's.
  friend bool operator==(const LimitPolicy&, const LimitPolicy&) = default;
};
struct OutputPolicy {
  std::string path;  // Empty: kept in memory only.
  std::uint64_t rotate = 10ULL << 20U;
  std::uint32_t keep = 5;
  std::uint64_t rate = 8ULL << 20U;  // Bytes a second, with as much in one burst; more is dropped.
  // stderr has a log of its own, with the same bounds: this file, or empty: kept in memory only.
  // None: it goes where stdout goes.
  std::optional<std::string> errors = std::nullopt;
  friend bool operator==(const OutputPolicy&, const OutputPolicy&) = default;
};
struct ReadyPolicy {
  bool notify = false;              // sd_notify READY=1.
  bool probe = false;               // The first passing round of probes.
  std::optional<std::uint32_t> fd;  // It writes a newline there (s6's notification-fd).
  std::optional<Duration> after;    // So long after the start; with none of the three: at once.
  Duration start_timeout = seconds{30};
  friend bool operator==(const ReadyPolicy&, const ReadyPolicy&) = default;
};
struct RunSpec {
  Arguments command;
  std::string user;   // Empty: recoverd's own.
  std::string group;  // Empty: the user's first.
  Environment environment;
  std::string working_directory = "/";
  std::uint32_t umask = 022;
  std::uint32_t instances = 1;
  std::uint32_t scale_min = 1;
  std::uint32_t scale_max = 1;
  ReadyPolicy ready;
  std::optional<Duration> watchdog;
  StopPolicy stop;
  int reload_signal = 1;
  LimitPolicy limits;
  OutputPolicy output;
  RunType type = RunType::Simple;
  ExecutionPolicy execution;
  std::vector<SocketPolicy> sockets;
  std::uint32_t fd_store = 0;     // Descriptors it may have kept over a restart (FDSTORE=1).
  std::vector<Arguments> before;  // Each must end with 0 before an instance starts.
  std::vector<Arguments> after;   // Run once an instance is down.
  friend bool operator==(const RunSpec&, const RunSpec&) = default;
};
struct SystemdSpec {
  std::string unit;
  LimitPolicy
      limits;  // Set in systemd for as long as the unit lives; those not given stay its own.
  friend bool operator==(const SystemdSpec&, const SystemdSpec&) = default;
};
struct ContainerSpec {
  std::string container;  // Name or id; empty with `compose_service`.
  std::string compose_project;
  std::string compose_service;  // Every container of it is an instance.
  std::string socket;           // Of the engine's API; empty: Docker's, else Podman's.
  friend bool operator==(const ContainerSpec&, const ContainerSpec&) = default;
};
struct ObserveSpec {  // Somebody else's process: seen, not started.
  std::string pid_file;
  std::string match;  // RE2 on the command line; all that are given must match.
  std::string name;   // RE2 on the kernel's name of it (comm).
  std::string exe;    // RE2 on the path of its program.
  friend bool operator==(const ObserveSpec&, const ObserveSpec&) = default;
};
struct BackupSpec {  // A type of `backup:`: seen, not started; the runner of backups tries again.
  std::string type;
  friend bool operator==(const BackupSpec&, const BackupSpec&) = default;
};
using ServiceSpec = std::variant<RunSpec, SystemdSpec, ContainerSpec, ObserveSpec, BackupSpec>;
ServiceKind kind_of(const ServiceSpec& spec);

struct ServicePolicy {
  std::string name;
  ServiceSpec spec;
  Priority priority = Priority::Medium;
  Duration rto = hours{1};  // From the priority unless given.
  std::vector<ServiceIndex> depends_on;
  std::vector<std::string> state;  // Paths a checkpoint holds.
  std::vector<ProbePolicy> probes;
  std::vector<PlaybookIndex> playbooks;  // In order of preference.
  bool playbooks_listed = false;         // False: `playbooks` holds every playbook, in file order.
  std::optional<Mode> mode;              // Beats the global one when it allows less.
  std::string group;                     // For per-group budgets; empty: none.
  std::optional<ServiceIndex> standby;   // Takes its place after a failover.
  bool autostart = true;                 // False: stopped until somebody wants it.
  Duration start_grace = seconds{0};     // After a start, failed probes are not held against it.
  friend bool operator==(const ServicePolicy&, const ServicePolicy&) = default;
};

// The time to recover in that each priority promises.
constexpr Duration default_rto(Priority priority) noexcept {
  switch (priority) {
    case Priority::Critical: return minutes{5};
    case Priority::High: return minutes{15};
    case Priority::Medium: return hours{1};
    case Priority::Low: return hours{4};
  }
  return hours{1};
}

// ---- playbooks -------------------------------------------------------------------------------

struct NoArguments {
  friend bool operator==(const NoArguments&, const NoArguments&) = default;
};
struct SignalAction {
  int signal = 15;
  friend bool operator==(const SignalAction&, const SignalAction&) = default;
};
struct ExecAction {
  Arguments command;
  Environment environment;
  friend bool operator==(const ExecAction&, const ExecAction&) = default;
};
struct HttpAction {
  base::Secret url;
  std::string method = "POST";
  std::vector<std::pair<std::string, base::Secret>> headers;
  base::Secret body;
  std::vector<int> status;  // Empty: any 2xx.
  friend bool operator==(const HttpAction&, const HttpAction&) = default;
};
struct SqlAction {
  base::Secret dsn;
  std::string statement;
  friend bool operator==(const SqlAction&, const SqlAction&) = default;
};
struct KillLongQueriesAction {
  base::Secret dsn;
  Duration longer_than = seconds{30};
  bool blockers_only = false;  // Only sessions that keep others waiting for a lock.
  std::uint32_t max = 10;      // Sessions ended at most.
  friend bool operator==(const KillLongQueriesAction&, const KillLongQueriesAction&) = default;
};
struct CleanFilesAction {
  std::vector<std::string> roots;  // Absolute folders it never leaves.
  std::vector<std::string> globs;  // Relative to a root; "**" crosses folders.
  Duration older_than = Duration::zero();
  std::uint64_t larger_than = 0;             // Bytes.
  std::optional<std::uint64_t> free_target;  // Stops when so many bytes were freed.
  std::uint32_t max_files = 10'000;
  friend bool operator==(const CleanFilesAction&, const CleanFilesAction&) = default;
};
struct CheckpointAction {
  std::string name;  // Empty: to take, one of the recovery's own; to restore, last-good.
  friend bool operator==(const CheckpointAction&, const CheckpointAction&) = default;
};
struct WaitAction {
  Duration duration = seconds{1};
  Expression until;  // Ends the wait early once true.
  friend bool operator==(const WaitAction&, const WaitAction&) = default;
};
struct ApproveAction {
  std::string question;
  Duration ttl = minutes{15};
  friend bool operator==(const ApproveAction&, const ApproveAction&) = default;
};
struct NotifyAction {
  std::string message;
  base::Secret webhook;  // Empty: log only.
  friend bool operator==(const NotifyAction&, const NotifyAction&) = default;
};
struct ScaleAction {
  int by = 1;  // Instances more (or fewer).
  friend bool operator==(const ScaleAction&, const ScaleAction&) = default;
};

struct RedisAction {
  std::string host = "127.0.0.1";
  std::uint16_t port = 6379;
  std::string socket;  // Path; in place of host and port.
  base::Secret password;
  Arguments command;
  friend bool operator==(const RedisAction&, const RedisAction&) = default;
};
struct RotateLogsAction {
  std::vector<std::string> roots;  // Absolute folders it never leaves.
  std::vector<std::string> globs;  // Relative to a root; "**" crosses folders.
  std::uint64_t larger_than = 0;   // Bytes.
  std::uint32_t keep = 5;          // Old files of each; those beyond are removed.
  std::uint32_t max_files = 100;   // Rotated at most.
  bool truncate = false;           // Copied and emptied, for who does not open its file anew.
  friend bool operator==(const RotateLogsAction&, const RotateLogsAction&) = default;
};
struct AdjustLimitsAction {
  double by = 1.5;                          // Each limit times this, kept between its min and max.
  std::optional<std::uint64_t> memory_min;  // Bytes. A limit without a max here is left alone.
  std::optional<std::uint64_t> memory_max;
  std::optional<double> cpu_min;  // 1.5 = one and a half processors.
  std::optional<double> cpu_max;
  std::optional<std::uint32_t> pids_min;
  std::optional<std::uint32_t> pids_max;
  bool reset = false;  // Back to what `limits` of the service says.
  friend bool operator==(const AdjustLimitsAction&, const AdjustLimitsAction&) = default;
};
struct RestoreBackupAction {
  std::string backup;               // A type of `backup:`.
  std::string snapshot = "latest";  // "before": what stood there before its last restore; or an id.
  std::vector<std::string> paths;   // Within its sources; none: all of them.
  bool exact = false;               // Remove what was added since.
  bool dry_run = false;             // Only tell what would be restored.
  std::uint32_t points = 3;         // Of "latest": go back so many snapshots to one that is whole.
  friend bool operator==(const RestoreBackupAction&, const RestoreBackupAction&) = default;
};
struct GitRestoreAction {
  std::string path;                // Of the work tree.
  std::string ref = "HEAD";        // "before": what was there before the last git_restore of it.
  std::vector<std::string> paths;  // Within it.
  friend bool operator==(const GitRestoreAction&, const GitRestoreAction&) = default;
};
// Makes the folder `to` hold what `from` holds.
struct SyncAction {
  std::string from;
  std::string to;
  bool remove = false;      // What only `to` has goes.
  bool check_only = false;  // Differences are told, and a failure; nothing is changed.
  friend bool operator==(const SyncAction&, const SyncAction&) = default;
};

using ActionSpec =
    std::variant<NoArguments, SignalAction, ExecAction, HttpAction, SqlAction,
                 KillLongQueriesAction, CleanFilesAction, CheckpointAction, WaitAction,
                 ApproveAction, NotifyAction, ScaleAction, RedisAction, RotateLogsAction,
                 AdjustLimitsAction, GitRestoreAction, RestoreBackupAction, SyncAction>;

enum class OnFailure : std::uint8_t { Rollback, Continue, Abort, Escalate };

struct RetryPolicy {
  std::uint32_t attempts = 1;
  recover::retry::BackoffConfig backoff;
  friend bool operator==(const RetryPolicy&, const RetryPolicy&) = default;
};

struct StepPolicy {
  std::string name;
  ActionKind action = ActionKind::Restart;
  ActionSpec with;
  Duration timeout = seconds{30};
  RetryPolicy retry;
  OnFailure on_failure = OnFailure::Rollback;
  Expression when;  // Skipped unless true.
  Risk risk = Risk::Low;
  bool idempotent = true;     // May run again when its outcome is unknown.
  bool irreversible = false;  // Said by the author of a destructive step without undo.
  std::optional<ActionKind> undo;
  ActionSpec undo_with;
  // Restart the target service; a step may name another one. None: the failed service. Of a
  // failover: who takes its place. None: its standby.
  std::optional<ServiceIndex> target;
  friend bool operator==(const StepPolicy&, const StepPolicy&) = default;
};

// A playbook is for failures that match any trigger; a trigger matches when all it names match.
struct TriggerPolicy {
  std::optional<FailureClass> failure;
  std::optional<Symptom> symptom;
  std::string pattern;  // Id or category of a failure pattern; empty: any.
  friend bool operator==(const TriggerPolicy&, const TriggerPolicy&) = default;
};

struct ValidationPolicy {
  Duration within = seconds{60};
  Duration stable_for = seconds{5};
  std::vector<Expression> success_criteria;
  friend bool operator==(const ValidationPolicy&, const ValidationPolicy&) = default;
};

struct PlaybookPolicy {
  std::string id;
  std::string name;
  Risk risk = Risk::Low;
  std::vector<TriggerPolicy> triggers;
  std::vector<Expression> prerequisites;  // {maintenance: false} became "maintenance == false".
  Duration prerequisites_max_age = seconds{30};
  bool checkpoint_required = false;
  std::vector<StepPolicy> steps;
  ValidationPolicy validation;
  std::vector<StepPolicy> rollback;
  Severity escalate = Severity::High;
  Duration cooldown = Duration::zero();  // 0: the global one.
  Duration approval_ttl = minutes{15};
  bool built_in = false;
  friend bool operator==(const PlaybookPolicy&, const PlaybookPolicy&) = default;
};

// ---- the rest --------------------------------------------------------------------------------

struct PatternAction {
  std::string type;      // As written: an action's name, or a playbook's id.
  std::string target;    // As written; empty: where it was seen.
  std::string playbook;  // What it runs: an id of Policy::playbooks. Empty: that of `type`.
  std::optional<ServiceIndex> service = std::nullopt;  // That `target` names.
  Priority priority = Priority::Medium;                // The most urgent one is tried first.
  friend bool operator==(const PatternAction&, const PatternAction&) = default;
};
struct PatternPolicy {
  std::string id;
  std::string pattern;                                  // RE2, matched by the edges.
  std::string category;                                 // "network", "database", … free text.
  FailureClass failure = FailureClass::ServiceFailure;  // What the category means, or as given.
  Severity severity = Severity::Medium;
  Duration cooldown = seconds{30};
  std::vector<PatternAction> recovery;
  friend bool operator==(const PatternPolicy&, const PatternPolicy&) = default;
};

struct DetectionPolicy {
  Duration monitoring_interval = seconds{10};
  std::uint32_t failure_threshold = 3;
  std::uint32_t success_threshold = 2;
  Sensitivity sensitivity = Sensitivity::Medium;
  std::uint32_t flap_changes = 6;  // N changes of state within the window: flapping.
  Duration flap_window = minutes{5};
  friend bool operator==(const DetectionPolicy&, const DetectionPolicy&) = default;
};
struct AnalysisPolicy {
  Duration analysis_timeout = seconds{30};
  double confidence_threshold = 0.7;
  friend bool operator==(const AnalysisPolicy&, const AnalysisPolicy&) = default;
};
struct RecoveryPolicy {
  Mode mode = Mode::Shadow;
  std::uint32_t max_concurrent_recoveries = 5;
  Duration recovery_timeout = seconds{300};
  std::uint32_t max_attempts = 3;
  // From a failed recovery to the next: the first time this long, then each time `retry_multiplier`
  // times longer, up to `retry_delay_max`, less a jitter. A service that is well again begins anew.
  Duration retry_delay = seconds{60};
  double retry_multiplier = 2.0;
  Duration retry_delay_max = minutes{10};
  friend bool operator==(const RecoveryPolicy&, const RecoveryPolicy&) = default;
};
struct LearningPolicy {
  bool enabled = true;
  Duration update_interval = hours{1};
  std::uint32_t min_samples = 10;
  double confidence_threshold = 0.8;
  friend bool operator==(const LearningPolicy&, const LearningPolicy&) = default;
};
struct BreakerPolicy {
  std::uint32_t failure_threshold = 5;
  Duration window = minutes{10};
  Duration reset_timeout = seconds{60};
  std::uint32_t half_open_requests = 3;
  friend bool operator==(const BreakerPolicy&, const BreakerPolicy&) = default;
};
// What may happen at once among the services of one `group:`; beside the global limits.
struct GroupPolicy {
  std::string name;
  std::optional<std::uint32_t> max_concurrent_recoveries;
  std::optional<double> blast_radius;  // Ratio of its services; rounded down, at least one.
  friend bool operator==(const GroupPolicy&, const GroupPolicy&) = default;
};
struct SafetyPolicy {
  bool enable_rollback = true;
  bool require_checkpoint = true;
  std::uint32_t max_rollback_attempts = 2;
  BreakerPolicy circuit_breaker;
  Duration cooldown = seconds{30};
  std::uint32_t max_recoveries_per_hour = 20;
  double blast_radius = 0.25;                    // Ratio of services; rounded down, at least one.
  std::uint32_t playbook_breaker_threshold = 5;  // Failures in a row; only people reset it.
  double storm_enter = 0.5;                      // Ratio of services unhealthy.
  double storm_exit = 0.25;
  Duration storm_cooldown = minutes{2};
  std::vector<GroupPolicy> groups;
  friend bool operator==(const SafetyPolicy&, const SafetyPolicy&) = default;
};
struct ThresholdPolicy {
  double value = 0.9;  // Ratio.
  Duration over = Duration::zero();
  friend bool operator==(const ThresholdPolicy&, const ThresholdPolicy&) = default;
};
struct MonitoringPolicy {
  Duration interval = seconds{30};
  bool cpu = true;
  bool memory = true;
  std::vector<std::string> disk = {"/"};
  bool inodes = true;
  bool pressure = true;
  bool files = true;
  ThresholdPolicy cpu_threshold{.value = 0.9, .over = minutes{5}};
  ThresholdPolicy memory_threshold{.value = 0.85, .over = minutes{5}};
  double disk_usage = 0.9;
  Duration response_time = seconds{5};
  std::optional<double> error_rate;  // Share of failed looks; none: not judged.
  double queue_depth = 100;
  double level_warning = 0.7;
  double level_critical = 0.85;
  double level_emergency = 0.95;
  friend bool operator==(const MonitoringPolicy&, const MonitoringPolicy&) = default;
};
struct CheckpointPolicy {
  Duration after = minutes{5};
  std::uint32_t keep = 10;
  friend bool operator==(const CheckpointPolicy&, const CheckpointPolicy&) = default;
};
// The XML-RPC endpoint for supervisorctl and its like; off while both addresses are empty.
struct XmlRpcPolicy {
  std::string socket;  // Path.
  std::string listen;  // "127.0.0.1:9001"; loopback only.
  std::string username;
  base::Secret password;  // Empty: nobody who comes by TCP may do more than look.
  bool enabled() const noexcept { return !socket.empty() || !listen.empty(); }
  friend bool operator==(const XmlRpcPolicy&, const XmlRpcPolicy&) = default;
};
struct ApiPolicy {
  std::string socket = "/run/recoverd/api.sock";
  std::string operator_group;  // Unix group that may reach the socket and operate; empty: none.
  XmlRpcPolicy xmlrpc;
  friend bool operator==(const ApiPolicy&, const ApiPolicy&) = default;
};

struct Policy {
  std::string state_dir = "/var/lib/recoverd";
  ApiPolicy api;
  bool enabled = true;  // auto_recovery.enabled
  DetectionPolicy detection;
  AnalysisPolicy analysis;
  RecoveryPolicy recovery;
  seconds validation_timeout{60};
  bool require_all_checks = true;
  LearningPolicy learning;
  SafetyPolicy safety;
  // Classes that may be recovered unattended; empty: every class.
  std::vector<FailureClass> conditions;
  std::vector<ServicePolicy> services;
  std::vector<PlaybookPolicy> playbooks;
  std::vector<PatternPolicy> patterns;
  MonitoringPolicy monitoring;
  CheckpointPolicy checkpoint;
  base::Secret journal_key;  // 32 bytes; empty: payloads are not encrypted.

  const ServicePolicy& service(ServiceIndex index) const { return services.at(index.value); }
  const PlaybookPolicy& playbook(PlaybookIndex index) const { return playbooks.at(index.value); }
  std::optional<ServiceIndex> find_service(std::string_view name) const noexcept;
  std::optional<PlaybookIndex> find_playbook(std::string_view id) const noexcept;

  friend bool operator==(const Policy&, const Policy&) = default;
};

}  // namespace recover::core
