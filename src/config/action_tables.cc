#include "config/action_tables.h"

#include <algorithm>

#include "config/free_resources.h"
#include "config/table.h"

namespace recover::config {
namespace {

using namespace core;  // NOLINT(google-build-using-namespace): the table speaks its vocabulary.

const Table<NoArguments>& no_table() {
  static const auto kTable = Table<NoArguments>("Takes no arguments.");
  return kTable;
}

const Table<SignalAction>& signal_table() {
  static const auto kTable =
      Table<SignalAction>("signal: sends a signal to the service.")
          .add("signal", &SignalAction::signal, signal_number(), "Which one.");
  return kTable;
}

const Table<ExecAction>& exec_action_table() {
  static const auto kTable =
      Table<ExecAction>("exec: runs a program; exit status 0 is success.")
          .add("command", &ExecAction::command, list_of(text(), 1),
               "Program and arguments; no shell.", Need::Required)
          .add("environment", &ExecAction::environment, map_of(secret()), "Variables.");
  return kTable;
}

const Table<HttpAction>& http_action_table() {
  static const auto kTable =
      Table<HttpAction>("http: calls a web server.")
          .add("url", &HttpAction::url, secret(), "What to call.", Need::Required)
          .add("method", &HttpAction::method, text(), "The HTTP method.")
          .add("headers", &HttpAction::headers, map_of(secret()), "Headers to send.")
          .add("body", &HttpAction::body, secret(), "Body to send.")
          .add("status", &HttpAction::status, list_of(whole<int>(100, 599)),
               "Any of these is success; none: any 2xx.");
  return kTable;
}

const Table<SqlAction>& sql_table() {
  static const auto kTable =
      Table<SqlAction>("sql: runs a statement in PostgreSQL.")
          .add("dsn", &SqlAction::dsn, secret(),
               "libpq connection string or URI; without it, that of the service's postgres probe.")
          .add("statement", &SqlAction::statement, text(), "What to run.", Need::Required);
  return kTable;
}

const Table<KillLongQueriesAction>& kill_long_queries_table() {
  using Action = KillLongQueriesAction;
  static const auto kTable =
      Table<Action>("kill_long_queries: ends sessions of PostgreSQL.")
          .add("dsn", &Action::dsn, secret(),
               "libpq connection string or URI; without it, that of the service's postgres probe.")
          .add("longer_than", &Action::longer_than, duration(kTick), "Only those running so long.")
          .add("blockers_only", &Action::blockers_only, flag(),
               "Only sessions that keep others waiting for a lock.")
          .add("max", &Action::max, whole<std::uint32_t>(1, 1'000), "Sessions ended at most.");
  return kTable;
}

bool climbs(std::string_view path) {
  return path == ".." || path.starts_with("../") || path.ends_with("/..") ||
         path.find("/../") != std::string_view::npos;
}

void check_roots(Reader& reader, const Node& node, const std::string& action) {
  const Entry* roots = node.find("roots");
  if (roots == nullptr) return;
  for (const Node& root : roots->value.items) {
    const bool everything = root.kind == Node::Kind::Scalar && !root.text.empty() &&
                            root.text.find_first_not_of("/.") == std::string::npos;
    if (everything || climbs(root.text)) {
      reader.mistake(root.place, action + " must not have the root " + describe(root));
    }
  }
}

void check_globs(Reader& reader, const Node& node) {
  const Entry* globs = node.find("globs");
  if (globs == nullptr) return;
  for (const Node& glob : globs->value.items) {
    if (glob.text.starts_with('/') || climbs(glob.text)) {
      reader.mistake(glob.place, "the pattern " + describe(glob) + " leaves its roots");
    }
  }
}

void check_clean_files(Reader& reader, const Node& node, CleanFilesAction& /*action*/) {
  check_roots(reader, node, "clean_files");
  check_globs(reader, node);
  for (const char* bound : {"older_than", "larger_than", "free_target", "max_files"}) {
    if (node.has(bound)) return;
  }
  reader.mistake(node.place,
                 "clean_files is unbounded: it needs `older_than`, `larger_than`, `free_target` or "
                 "`max_files`");
}

const Table<CleanFilesAction>& clean_files_table() {
  using Action = CleanFilesAction;
  static const auto kTable =
      Table<Action>("clean_files: removes files below its roots; never leaves them.")
          .add("roots", &Action::roots, list_of(absolute_path(), 1), "Absolute folders.",
               Need::Required)
          .add("globs", &Action::globs, list_of(text(), 1),
               "Relative to a root; `**` crosses folders.", Need::Required)
          .add("older_than", &Action::older_than, duration(), "Only files so old.")
          .add("larger_than", &Action::larger_than, size(), "Only files so large.")
          .add("free_target", &Action::free_target, size(1), "Stops when so much was freed.")
          .add("max_files", &Action::max_files, whole<std::uint32_t>(1, 1'000'000),
               "Files removed at most.")
          .check(check_clean_files);
  return kTable;
}

const Table<CheckpointAction>& checkpoint_action_table() {
  static const auto kTable =
      Table<CheckpointAction>("checkpoint, restore_checkpoint: of the service's state.")
          .add("name", &CheckpointAction::name, text(), "Which one.");
  return kTable;
}

const Table<WaitAction>& wait_table() {
  static const auto kTable =
      Table<WaitAction>("wait: lets time pass.")
          .add("duration", &WaitAction::duration, duration(kTick, hours{24}), "At most so long.")
          .add("until", &WaitAction::until, expression(), "Ends the wait early once true.");
  return kTable;
}

const Table<ApproveAction>& approve_table() {
  static const auto kTable =
      Table<ApproveAction>("approve: asks a person.")
          .add("question", &ApproveAction::question, text(), "What is shown.")
          .add("ttl", &ApproveAction::ttl, duration(seconds{1}), "No answer by then is a no.");
  return kTable;
}

const Table<NotifyAction>& notify_table() {
  static const auto kTable =
      Table<NotifyAction>("notify: tells people; never fails a recovery.")
          .add("message", &NotifyAction::message, text(), "What to say.")
          .add("webhook", &NotifyAction::webhook, secret(), "Where to; none: the log only.");
  return kTable;
}

const Table<ScaleAction>& scale_table() {
  static const auto kTable =
      Table<ScaleAction>("scale: more instances, or fewer.")
          .add("by", &ScaleAction::by, whole<int>(-100, 100), "Instances more (or fewer).")
          .check([](Reader& reader, const Node& node, ScaleAction& action) {
            if (action.by == 0) reader.mistake(node.place, "`by` must not be 0");
          });
  return kTable;
}

const Table<RedisAction>& redis_action_table() {
  static const auto kTable =
      Table<RedisAction>("redis: sends one command; an error reply is a failure.")
          .add("host", &RedisAction::host, text(), "Name or address.")
          .add("port", &RedisAction::port, whole<std::uint16_t>(1, 65'535), "Port.")
          .add("socket", &RedisAction::socket, absolute_path(), "In place of host and port.")
          .add("password", &RedisAction::password, secret(), "For AUTH.")
          .add("command", &RedisAction::command, list_of(text(), 1), "Its words.", Need::Required);
  return kTable;
}

const Table<RotateLogsAction>& rotate_logs_table() {
  using Action = RotateLogsAction;
  static const auto kTable =
      Table<Action>("rotate_logs: renames log files and begins them anew; removes the oldest.")
          .add("roots", &Action::roots, list_of(absolute_path(), 1), "Absolute folders.",
               Need::Required)
          .add("globs", &Action::globs, list_of(text(), 1),
               "Relative to a root; `**` crosses folders.", Need::Required)
          .add("larger_than", &Action::larger_than, size(), "Only files so large.")
          .add("keep", &Action::keep, whole<std::uint32_t>(1, 100), "Old files of each log.")
          .add("max_files", &Action::max_files, whole<std::uint32_t>(1, 10'000),
               "Files rotated at most.")
          .add("truncate", &Action::truncate, flag(),
               "Copy and empty, for a program that does not open its log anew.")
          .check([](Reader& reader, const Node& node, Action& /*action*/) {
            check_roots(reader, node, "rotate_logs");
            check_globs(reader, node);
          });
  return kTable;
}

const Table<AdjustLimitsAction>& adjust_limits_table() {
  using Action = AdjustLimitsAction;
  static const auto kTable =
      Table<Action>("adjust_limits: of the running service, until it is started again.")
          .add("by", &Action::by, ratio(10.0), "Each limit times this.")
          .add("memory_min", &Action::memory_min, size(1), "Never below.")
          .add("memory_max", &Action::memory_max, size(1),
               "Never above. With no `_min` and `_max` at all: up to twice what `limits` says.")
          .add("cpu_min", &Action::cpu_min, ratio(1'000.0), "Never below.")
          .add("cpu_max", &Action::cpu_max, ratio(1'000.0), "Never above.")
          .add("pids_min", &Action::pids_min, whole<std::uint32_t>(1, 4'000'000), "Never below.")
          .add("pids_max", &Action::pids_max, whole<std::uint32_t>(1, 4'000'000), "Never above.")
          .add("reset", &Action::reset, flag(), "Back to what `limits` says, in place of all else.")
          .check([](Reader& reader, const Node& node, Action& action) {
            constexpr double kLeast = 0.1;
            if (action.by < kLeast) reader.mistake(node.place, "`by` must be 10% or more");
          });
  return kTable;
}

const Table<GitRestoreAction>& git_restore_table() {
  using Action = GitRestoreAction;
  static const auto kTable =
      Table<Action>("git_restore: files of a work tree as a commit holds them.")
          .add("path", &Action::path, absolute_path(), "Of the work tree.", Need::Required)
          .add("ref", &Action::ref, text(),
               "A commit; `before`: what was there before the last git_restore.")
          .add("paths", &Action::paths, list_of(text(), 1), "Within the work tree.", Need::Required)
          .check([](Reader& reader, const Node& node, Action& action) {
            for (const std::string& path : action.paths) {
              if (path.starts_with('/') || path.starts_with(':') || climbs(path)) {
                reader.mistake(node.place, "the path `" + path + "` leaves the work tree");
              }
            }
            if (action.ref.starts_with('-')) {
              reader.mistake(node.place, "`" + action.ref + "` is no commit");
            }
          });
  return kTable;
}

const Table<RestoreBackupAction>& restore_backup_table() {
  using Action = RestoreBackupAction;
  static const auto kTable =
      Table<Action>("restore_backup: what was backed up, onto the paths it came from.")
          .add("backup", &Action::backup, text(), "A type of `backup:`.", Need::Required)
          .add("snapshot", &Action::snapshot, text(),
               "latest; an id; `before`: what stood there before its last restore.")
          .add("paths", &Action::paths, list_of(absolute_path(), 1),
               "Within its sources; none: all.")
          .add("exact", &Action::exact, flag(), "Remove what was added since.")
          .add("dry_run", &Action::dry_run, flag(), "Only tell what would be restored.")
          .add("points", &Action::points, whole<std::uint32_t>(1, 100),
               "When the latest is damaged, go back so many snapshots at most.");
  return kTable;
}

// A path that goes round about hides what it is of, from us and from who reads it.
void check_sync(Reader& reader, const Node& node, SyncAction& action) {
  for (const std::string& path : {action.from, action.to}) {
    if (path.empty()) return;
    if (path == "/") return reader.mistake(node.place, "`/` is not synced");
    const std::string whole = path.ends_with('/') ? path : path + "/";
    for (const char* part : {"//", "/./", "/../"}) {
      if (whole.find(part) == std::string::npos) continue;
      return reader.mistake(node.place, "`" + path + "` is no plain path");
    }
  }
  const auto within = [](std::string inner, std::string outer) {
    for (std::string* path : {&inner, &outer}) {
      if (!path->ends_with('/')) *path += '/';
    }
    return inner.starts_with(outer);
  };
  if (!within(action.from, action.to) && !within(action.to, action.from)) return;
  reader.mistake(node.place, "`from` and `to` are one within the other");
}

const Table<SyncAction>& sync_table() {
  using Action = SyncAction;
  static const auto kTable =
      Table<Action>("sync: makes one folder hold what another one holds, with rsync.")
          .add("from", &Action::from, absolute_path(), "The source.", Need::Required)
          .add("to", &Action::to, absolute_path(), "What is brought in line.", Need::Required)
          .add("delete", &Action::remove, flag(), "Remove what only `to` has.")
          .add("check_only", &Action::check_only, flag(),
               "Change nothing; the step fails when they differ.")
          .check(check_sync);
  return kTable;
}

template <class Spec>
ActionSpec read_spec(Reader& reader, const Node& node, const Table<Spec>& table) {
  Spec spec;
  table.apply(reader, node, spec);
  return spec;
}

}  // namespace

bool is_supported(ActionKind action) noexcept {
  switch (action) {
    case ActionKind::Start:
    case ActionKind::Stop:
    case ActionKind::Restart:
    case ActionKind::Reload:
    case ActionKind::Signal:
    case ActionKind::Exec:
    case ActionKind::Http:
    case ActionKind::Sql:
    case ActionKind::KillLongQueries:
    case ActionKind::CleanFiles:
    case ActionKind::Scale:
    case ActionKind::Failover:
    case ActionKind::Checkpoint:
    case ActionKind::RestoreCheckpoint:
    case ActionKind::Wait:
    case ActionKind::Approve:
    case ActionKind::Redis:
    case ActionKind::RotateLogs:
    case ActionKind::FreeResources:
    case ActionKind::AdjustLimits:
    case ActionKind::GitRestore:
    case ActionKind::RestoreBackup:
    case ActionKind::Freeze:
    case ActionKind::Thaw:
    case ActionKind::Quarantine:
    case ActionKind::Sync:
    case ActionKind::Notify: return true;
    case ActionKind::Isolate: return false;
  }
  return false;
}

bool is_destructive(ActionKind action) noexcept {
  switch (action) {
    case ActionKind::Signal:
    case ActionKind::Exec:
    case ActionKind::Http:
    case ActionKind::Sql:
    case ActionKind::KillLongQueries:
    case ActionKind::Redis:
    case ActionKind::CleanFiles:
    case ActionKind::RotateLogs:
    case ActionKind::Isolate:
    case ActionKind::RestoreCheckpoint:
    case ActionKind::RestoreBackup:
    case ActionKind::GitRestore:
    case ActionKind::Sync: return true;
    case ActionKind::Start:
    case ActionKind::Stop:
    case ActionKind::Restart:
    case ActionKind::Reload:
    case ActionKind::FreeResources:
    case ActionKind::AdjustLimits:
    case ActionKind::Scale:
    case ActionKind::Failover:  // Undoes itself.
    case ActionKind::Quarantine:
    case ActionKind::Checkpoint:
    case ActionKind::Wait:
    case ActionKind::Approve:
    case ActionKind::Freeze:
    case ActionKind::Thaw:
    case ActionKind::Notify: return false;
  }
  return true;
}

bool is_idempotent(ActionKind action) noexcept {
  // Those of which nobody but the author knows, those that add up, and the one that would keep the
  // wrong state to go back to.
  return action != ActionKind::Exec && action != ActionKind::Http && action != ActionKind::Sql &&
         action != ActionKind::Redis && action != ActionKind::Scale &&
         action != ActionKind::AdjustLimits && action != ActionKind::GitRestore &&
         action != ActionKind::RestoreBackup;
}

bool is_waiting(ActionKind action) noexcept {
  return action == ActionKind::Wait || action == ActionKind::Approve ||
         action == ActionKind::Notify || action == ActionKind::Quarantine;
}

std::vector<std::string_view> supported_actions() {
  std::vector<std::string_view> names;
  for (const std::string_view name : names_of<ActionKind>()) {
    if (is_supported(*parse<ActionKind>(name))) names.push_back(name);
  }
  return names;
}

std::optional<ActionKind> read_action(Reader& reader, const Node& node) {
  const auto known = parse<ActionKind>(node.text);
  if (node.kind == Node::Kind::Scalar && known && !is_supported(*known)) {
    reader.mistake(node.place, "the action `" + node.text + "` is not supported yet");
    return std::nullopt;
  }
  const auto names = supported_actions();
  const auto index = read_choice(reader, node, names);
  return index ? parse<ActionKind>(names[*index]) : std::nullopt;
}

ActionSpec read_arguments(Reader& reader, ActionKind action, const Node* with, Place at) {
  Node nothing;
  nothing.place = at;
  const Node& node = with != nullptr ? *with : nothing;
  switch (action) {
    case ActionKind::Signal: return read_spec(reader, node, signal_table());
    case ActionKind::Exec: return read_spec(reader, node, exec_action_table());
    case ActionKind::Http: return read_spec(reader, node, http_action_table());
    case ActionKind::Sql: return read_spec(reader, node, sql_table());
    case ActionKind::KillLongQueries: return read_spec(reader, node, kill_long_queries_table());
    case ActionKind::CleanFiles: return read_spec(reader, node, clean_files_table());
    case ActionKind::Checkpoint:
    case ActionKind::RestoreCheckpoint: return read_spec(reader, node, checkpoint_action_table());
    case ActionKind::Wait: return read_spec(reader, node, wait_table());
    case ActionKind::Approve: return read_spec(reader, node, approve_table());
    case ActionKind::Notify: return read_spec(reader, node, notify_table());
    case ActionKind::Scale: return read_spec(reader, node, scale_table());
    case ActionKind::Redis: return read_spec(reader, node, redis_action_table());
    case ActionKind::RotateLogs: return read_spec(reader, node, rotate_logs_table());
    case ActionKind::AdjustLimits: return read_spec(reader, node, adjust_limits_table());
    case ActionKind::GitRestore: return read_spec(reader, node, git_restore_table());
    case ActionKind::RestoreBackup: return read_spec(reader, node, restore_backup_table());
    case ActionKind::Sync: return read_spec(reader, node, sync_table());
    case ActionKind::Start:
    case ActionKind::Stop:
    case ActionKind::Restart:
    case ActionKind::Reload:
    case ActionKind::FreeResources:
    case ActionKind::Failover:
    case ActionKind::Isolate:
    case ActionKind::Quarantine:
    case ActionKind::Freeze:
    case ActionKind::Thaw: break;
  }
  return read_spec(reader, node, no_table());
}

std::string action_shape() {
  return choice_shape(supported_actions());
}

std::string arguments_shape() {
  return R"({"anyOf":[)" + no_table().shape() + "," + signal_table().shape() + "," +
         exec_action_table().shape() + "," + http_action_table().shape() + "," +
         sql_table().shape() + "," + kill_long_queries_table().shape() + "," +
         clean_files_table().shape() + "," + checkpoint_action_table().shape() + "," +
         wait_table().shape() + "," + approve_table().shape() + "," + notify_table().shape() + "," +
         scale_table().shape() + "," + redis_action_table().shape() + "," +
         rotate_logs_table().shape() + "," + adjust_limits_table().shape() + "," +
         git_restore_table().shape() + "," + restore_backup_table().shape() + "," +
         sync_table().shape() + "," + free_resources_shape() + "]}";
}

CleanFilesAction read_clean_files(Reader& reader, const Node& node) {
  CleanFilesAction action;
  clean_files_table().apply(reader, node, action);
  return action;
}
std::string clean_files_shape() {
  return clean_files_table().shape();
}

KillLongQueriesAction read_kill_long_queries(Reader& reader, const Node& node) {
  KillLongQueriesAction action;
  kill_long_queries_table().apply(reader, node, action);
  return action;
}
std::string kill_long_queries_shape() {
  return kill_long_queries_table().shape();
}

}  // namespace recover::config
