#include "config/tables.h"

namespace recover::config {
namespace {

using namespace core;  // NOLINT(google-build-using-namespace): the table speaks its vocabulary.

constexpr std::int64_t kPortMax = 65'535;

const Table<HttpProbe>& http_table() {
  static const auto kTable =
      Table<HttpProbe>("Asks a web server.")
          .add("url", &HttpProbe::url, secret(), "What to ask for.", Need::Required)
          .add("method", &HttpProbe::method, text(), "The HTTP method.")
          .add("headers", &HttpProbe::headers, map_of(secret()), "Headers to send.")
          .add("status", &HttpProbe::status, list_of(whole<int>(100, 599), 1),
               "Any of these passes.")
          .add("body_matches", &HttpProbe::body_matches, regex(),
               "A regular expression (RE2) the body must contain.")
          .add("max_latency", &HttpProbe::max_latency, duration(kTick), "Slower fails.");
  return kTable;
}

const Table<TcpProbe>& tcp_table() {
  static const auto kTable =
      Table<TcpProbe>("Connects.")
          .add("host", &TcpProbe::host, text(), "Name or address.")
          .add("port", &TcpProbe::port, whole<std::uint16_t>(1, kPortMax), "Port.", Need::Required);
  return kTable;
}

const Table<ExecProbe>& exec_table() {
  static const auto kTable = Table<ExecProbe>("Runs a program; exit status 0 passes.")
                                 .add("command", &ExecProbe::command, list_of(text(), 1),
                                      "Program and arguments.", Need::Required)
                                 .add("environment", &ExecProbe::environment, map_of(secret()),
                                      "Variables of the program.");
  return kTable;
}

const Table<ProcessProbe>& process_table() {
  static const auto kTable =
      Table<ProcessProbe>("Looks for processes; with neither match nor pid_file, for our own.")
          .add("match", &ProcessProbe::match, regex(), "RE2 on the command line.")
          .add("pid_file", &ProcessProbe::pid_file, absolute_path(), "A file that holds the pid.")
          .add("min", &ProcessProbe::min, whole<std::uint32_t>(1, 100'000), "At least so many.")
          .add("max_memory", &ProcessProbe::max_memory, size(1),
               "In memory at most, of them and of what they started.");
  return kTable;
}

const Table<FileProbe>& file_table() {
  static const auto kTable =
      Table<FileProbe>("Looks at a file.")
          .add("path", &FileProbe::path, absolute_path(), "The file.", Need::Required)
          .add("max_age", &FileProbe::max_age, duration(kTick), "Of its last change.")
          .add("max_size", &FileProbe::max_size, size(), "Larger fails.")
          .add("min_size", &FileProbe::min_size, size(), "Smaller fails.")
          .add("exists", &FileProbe::exists, flag(), "False: passes while there is none.");
  return kTable;
}

const Table<PostgresProbe>& postgres_table() {
  static const auto kTable =
      Table<PostgresProbe>("Asks PostgreSQL.")
          .add("dsn", &PostgresProbe::dsn, secret(), "libpq connection string or URI.",
               Need::Required)
          .add("query", &PostgresProbe::query, text(), "Must succeed.")
          .add("max_replication_lag", &PostgresProbe::max_replication_lag, duration(),
               "More lag fails.")
          .add("max_lock_wait", &PostgresProbe::max_lock_wait, duration(kTick),
               "A session that blocks another for so long fails.")
          .add("queue_depth", &PostgresProbe::queue_depth,
               whole<std::uint64_t>(0, 1'000'000'000'000),
               "The query returns the length of a queue; a longer one fails.");
  return kTable;
}

const Table<RedisProbe>& redis_table() {
  static const auto kTable =
      Table<RedisProbe>("Asks Redis.")
          .add("host", &RedisProbe::host, text(), "Name or address.")
          .add("port", &RedisProbe::port, whole<std::uint16_t>(1, kPortMax), "Port.")
          .add("socket", &RedisProbe::socket, absolute_path(), "In place of host and port.")
          .add("password", &RedisProbe::password, secret(), "For AUTH.")
          .add("max_replication_lag", &RedisProbe::max_replication_lag, duration(),
               "More lag fails.")
          .add("queue", &RedisProbe::queue, text(), "A list or stream whose length is watched.")
          .add("queue_depth", &RedisProbe::queue_depth, whole<std::uint64_t>(1, 1'000'000'000),
               "A longer queue fails.")
          .check([](Reader& reader, const Node& node, RedisProbe& probe) {
            if (probe.queue_depth && probe.queue.empty()) {
              reader.mistake(node.find("queue_depth")->place, "`queue_depth` needs `queue`");
            }
          });
  return kTable;
}

const Table<ResourceProbe>& resource_table() {
  static const auto kTable =
      Table<ResourceProbe>("Looks at a resource of the machine.")
          .add("resource", &ResourceProbe::resource,
               choice<Resource>({{"cpu", Resource::Cpu},
                                 {"memory", Resource::Memory},
                                 {"disk", Resource::Disk},
                                 {"inodes", Resource::Inodes},
                                 {"pressure", Resource::Pressure},
                                 {"files", Resource::Files}}),
               "Which one.")
          .add("path", &ResourceProbe::path, absolute_path(), "Of disk and inodes.")
          .add("max", &ResourceProbe::max, ratio(), "More in use fails.");
  return kTable;
}

const Table<MysqlProbe>& mysql_table() {
  static const auto kTable =
      Table<MysqlProbe>("Asks MySQL or MariaDB.")
          .add("host", &MysqlProbe::host, text(), "Name or address.")
          .add("port", &MysqlProbe::port, whole<std::uint16_t>(1, kPortMax), "Port.")
          .add("socket", &MysqlProbe::socket, absolute_path(), "In place of host and port.")
          .add("user", &MysqlProbe::user, text(), "Who asks.", Need::Required)
          .add("password", &MysqlProbe::password, secret(), "Of the user.")
          .add("database", &MysqlProbe::database, text(), "Where.")
          .add("query", &MysqlProbe::query, text(), "Must succeed; none: a ping is enough.");
  return kTable;
}

const Table<DnsProbe>& dns_table() {
  using Type = DnsProbe::Type;
  static const auto kTable =
      Table<DnsProbe>("Asks a DNS server, over UDP.")
          .add("name", &DnsProbe::name, text(), "The domain name.", Need::Required)
          .add("type", &DnsProbe::type,
               choice<Type>({{"A", Type::A},
                             {"AAAA", Type::Aaaa},
                             {"CNAME", Type::Cname},
                             {"MX", Type::Mx},
                             {"NS", Type::Ns},
                             {"PTR", Type::Ptr},
                             {"SOA", Type::Soa},
                             {"SRV", Type::Srv},
                             {"TXT", Type::Txt}}),
               "Of the records.")
          .add("server", &DnsProbe::server, text(), "Its address; none: that of /etc/resolv.conf.")
          .add("port", &DnsProbe::port, whole<std::uint16_t>(1, kPortMax), "Of the server.")
          .add("expect", &DnsProbe::expect, list_of(text(), 1),
               "Each must be among the answers; none: any answer.");
  return kTable;
}

const Table<TlsExpiryProbe>& tls_expiry_table() {
  static const auto kTable =
      Table<TlsExpiryProbe>("Looks how long certificates are still good.")
          .add("host", &TlsExpiryProbe::host, text(), "Name or address.")
          .add("port", &TlsExpiryProbe::port, whole<std::uint16_t>(1, kPortMax), "Port.")
          .add("server_name", &TlsExpiryProbe::server_name, text(),
               "What to ask for (SNI); none: the host.")
          .add("file", &TlsExpiryProbe::file, absolute_path(),
               "A PEM file, in place of host and port.")
          .add("min_left", &TlsExpiryProbe::min_left, duration(), "Less fails.");
  return kTable;
}

const Table<HeartbeatProbe>& heartbeat_table() {
  static const auto kTable =
      Table<HeartbeatProbe>("Waits for signs of life: a file is touched, or the API told.")
          .add("path", &HeartbeatProbe::path, absolute_path(),
               "A file that is touched; without it only the API is listened to.")
          .add("every", &HeartbeatProbe::every, duration(kTick), "At least this often.",
               Need::Required);
  return kTable;
}

const Table<LogProbe>& log_table() {
  static const auto kTable =
      Table<LogProbe>("Follows a log file, through rotation and truncation.")
          .add("path", &LogProbe::path, absolute_path(), "The file.", Need::Required)
          .add("pattern", &LogProbe::pattern, regex(), "RE2; lines that mean trouble.")
          .add("max", &LogProbe::max, whole<std::uint32_t>(0, 100'000),
               "More such lines within `window` fail.")
          .add("window", &LogProbe::window, duration(kTick), "For so long a line counts.")
          .add("max_silence", &LogProbe::max_silence, duration(kTick),
               "No line at all for so long fails.")
          .check([](Reader& reader, const Node& node, LogProbe& probe) {
            if (probe.pattern.empty() && !probe.max_silence) {
              reader.mistake(node.place, "a log probe needs `pattern` or `max_silence`");
            }
          });
  return kTable;
}

// One kind of probe: a key whose map becomes the spec.
template <class Spec>
Table<ProbeDraft> with_kind(Table<ProbeDraft> table, std::string_view kind,
                            const Table<Spec>& spec) {
  return std::move(table).add(std::string(kind), spec.shape(), {},
                              [&spec](Reader& reader, const Entry& entry, ProbeDraft& probe) {
                                Spec value;
                                spec.apply(reader, entry.value, value);
                                probe.spec = std::move(value);
                              });
}

Table<ProbeDraft> probe_kinds() {
  Table<ProbeDraft> table("A probe: one kind, and how often to ask.");
  table = with_kind(std::move(table), "http", http_table());
  table = with_kind(std::move(table), "tcp", tcp_table());
  table = with_kind(std::move(table), "exec", exec_table());
  table = with_kind(std::move(table), "process", process_table());
  table = with_kind(std::move(table), "file", file_table());
  table = with_kind(std::move(table), "postgres", postgres_table());
  table = with_kind(std::move(table), "redis", redis_table());
  table = with_kind(std::move(table), "resource", resource_table());
  table = with_kind(std::move(table), "mysql", mysql_table());
  table = with_kind(std::move(table), "dns", dns_table());
  table = with_kind(std::move(table), "tls_expiry", tls_expiry_table());
  table = with_kind(std::move(table), "heartbeat", heartbeat_table());
  table = with_kind(std::move(table), "log", log_table());
  return table;
}

}  // namespace

const Table<ProbeDraft>& probe_table() {
  static const auto kTable =
      probe_kinds()
          .add("interval", &ProbeDraft::interval, duration(milliseconds{10}),
               "Time between two looks; default: detection.monitoring_interval.")
          .add("timeout", &ProbeDraft::timeout, duration(kTick),
               "No answer within it fails; default: 5s, at most the interval.")
          .add("failure_threshold", &ProbeDraft::failure_threshold, whole<std::uint32_t>(1, 1'000),
               "Failures in a row; default: detection.failure_threshold.")
          .add("success_threshold", &ProbeDraft::success_threshold, whole<std::uint32_t>(1, 1'000),
               "Passes in a row; default: detection.success_threshold.")
          .exactly_one({"http", "tcp", "exec", "process", "file", "postgres", "redis", "resource",
                        "mysql", "dns", "tls_expiry", "heartbeat", "log"});
  return kTable;
}

}  // namespace recover::config
