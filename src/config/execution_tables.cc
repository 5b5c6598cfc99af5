// The keys of `run:` that say with which rights, limits and shares its processes are executed.
#include <algorithm>
#include <charconv>

#include "base/duration_text.h"
#include "base/size_text.h"
#include "config/tables.h"
#include "core/listen_address.h"

namespace recover::config {
namespace {

using namespace core;  // NOLINT(google-build-using-namespace): the table speaks its vocabulary.

constexpr std::uint32_t kCpuMax = 1'023;

// One of many names: all of them would not fit into a message.
Codec<std::string> known_name(std::string what, std::vector<std::string_view> names) {
  Codec<std::string> codec;
  codec.shape = choice_shape(names);
  codec.read = [what = std::move(what), names = std::move(names)](
                   Reader& reader, const Node& node, std::string) -> std::optional<std::string> {
    if (node.kind != Node::Kind::Scalar) {
      reader.unexpected(node, "the name of a " + what);
      return std::nullopt;
    }
    if (std::ranges::find(names, node.text) != names.end()) return node.text;
    reader.mistake(node.place,
                   "no such " + what + ": `" + node.text + "`" + did_you_mean(node.text, names));
    return std::nullopt;
  };
  return codec;
}

Codec<std::string> capability() {
  const auto names = capability_names();
  return known_name("capability", {names.begin(), names.end()});
}

Codec<std::string> system_call() {
  std::vector<std::string_view> names = system_call_groups();
  for (const std::string_view name : system_call_names()) names.push_back(name);
  return known_name("system call", std::move(names));
}

std::optional<std::uint64_t> parse_limit(std::string_view text) {
  if (text == "infinity") return kUnlimited;
  return base::parse_size(text);
}

// "1024", "1024:4096" (soft:hard), "infinity"; sizes with units.
bool read_limit(Reader& reader, const Node& node, ResourceLimit& limit) {
  const std::string_view text = node.kind == Node::Kind::Scalar ? node.text : std::string_view();
  const auto colon = text.find(':');
  const auto soft = parse_limit(text.substr(0, colon));
  const auto hard = colon == std::string_view::npos ? soft : parse_limit(text.substr(colon + 1));
  if (!soft || !hard) {
    reader.unexpected(node, "a limit such as `1024`, `1024:4096`, `64MiB` or `infinity`");
    return false;
  }
  if (*soft > *hard) {
    reader.mistake(node.place, "the soft limit is larger than the hard one");
    return false;
  }
  limit.soft = *soft;
  limit.hard = *hard;
  return true;
}

Codec<std::vector<ResourceLimit>> resource_limits() {
  const auto names = resource_limit_names();
  const std::vector<std::string_view> known(names.begin(), names.end());
  std::string properties;
  for (const std::string_view name : known) {
    properties +=
        (properties.empty() ? "" : ",") + json_string(name) + R"(:{"type":["string","integer"]})";
  }
  Codec<std::vector<ResourceLimit>> codec;
  codec.shape =
      R"({"type":"object","additionalProperties":false,"properties":{)" + properties + "}}";
  codec.read = [known](Reader& reader, const Node& node,
                       std::vector<ResourceLimit>) -> std::optional<std::vector<ResourceLimit>> {
    if (node.kind != Node::Kind::Map) {
      reader.unexpected(node, "a map");
      return std::nullopt;
    }
    std::vector<ResourceLimit> limits;
    for (const Entry& entry : node.entries) {
      ResourceLimit limit{.name = entry.key, .soft = 0, .hard = 0};
      if (std::ranges::find(known, entry.key) == known.end()) {
        reader.mistake(entry.place, "no such resource limit: `" + entry.key + "`" +
                                        did_you_mean(entry.key, known));
      } else if (read_limit(reader, entry.value, limit)) {
        limits.push_back(std::move(limit));
      }
    }
    return limits;
  };
  return codec;
}

}  // namespace

const Table<IoPriority>& ionice_table() {
  static const auto kTable =
      Table<IoPriority>("Its turn at the disks.")
          .add("class", &IoPriority::io_class,
               choice<IoClass>({{"realtime", IoClass::Realtime},
                                {"best-effort", IoClass::BestEffort},
                                {"idle", IoClass::Idle}}),
               "Realtime needs CAP_SYS_ADMIN.")
          .add("priority", &IoPriority::priority, whole<std::uint32_t>(0, 7), "0 comes first.");
  return kTable;
}

namespace {

bool is_real_time(CpuScheduler scheduler) {
  return scheduler == CpuScheduler::Fifo || scheduler == CpuScheduler::RoundRobin;
}

const Table<SchedulingPolicy>& scheduling_table() {
  static const auto kTable =
      Table<SchedulingPolicy>("Its turn at the processors.")
          .add("policy", &SchedulingPolicy::policy,
               choice<CpuScheduler>({{"other", CpuScheduler::Other},
                                     {"batch", CpuScheduler::Batch},
                                     {"idle", CpuScheduler::Idle},
                                     {"fifo", CpuScheduler::Fifo},
                                     {"rr", CpuScheduler::RoundRobin}}),
               "fifo and rr need CAP_SYS_NICE.")
          .add("priority", &SchedulingPolicy::priority, whole<std::uint32_t>(0, 99),
               "1 to 99 with fifo and rr, else 0.")
          .check([](Reader& reader, const Node& node, SchedulingPolicy& scheduling) {
            if (is_real_time(scheduling.policy) == (scheduling.priority > 0)) return;
            reader.mistake(node.place, is_real_time(scheduling.policy)
                                           ? "`fifo` and `rr` need a `priority` from 1 to 99"
                                           : "only `fifo` and `rr` have a `priority`");
          });
  return kTable;
}

const Table<SystemCallPolicy>& system_call_table() {
  static const auto kTable =
      Table<SystemCallPolicy>("Which system calls it may make (seccomp).")
          .add("allow", &SystemCallPolicy::allow, list_of(system_call()),
               "Names and groups such as @system-service; none: all.")
          .add("deny", &SystemCallPolicy::deny, list_of(system_call()), "Beats `allow`.")
          .add("error", &SystemCallPolicy::kill, choice<bool>({{"kill", true}, {"EPERM", false}}),
               "What a forbidden one does.")
          .check([](Reader& reader, const Node& node, SystemCallPolicy& /*calls*/) {
            if (node.has("allow") || node.has("deny")) return;
            reader.mistake(node.place, "`system_calls` needs `allow` or `deny`");
          });
  return kTable;
}

Codec<std::string> listen_address() {
  Codec<std::string> codec;
  codec.shape = R"({"type":"string"})";
  codec.read = [](Reader& reader, const Node& node, std::string) -> std::optional<std::string> {
    const bool fits = node.kind == Node::Kind::Scalar && parse_listen_address(node.text);
    if (fits) return node.text;
    reader.unexpected(node,
                      "an address such as `127.0.0.1:80`, `[::]:80`, `*:80`, `/run/x.sock` "
                      "or `udp:127.0.0.1:53`");
    return std::nullopt;
  };
  return codec;
}

}  // namespace

const Table<SocketPolicy>& socket_table() {
  static const auto kTable =
      Table<SocketPolicy>("A socket that listens before the service runs.")
          .add("listen", &SocketPolicy::listen, listen_address(), "Address and port, or a path.",
               Need::Required)
          .add("name", &SocketPolicy::name, silent(identifier()), "In LISTEN_FDNAMES.")
          .add("backlog", &SocketPolicy::backlog, whole<std::uint32_t>(1, 1'048'576),
               "Connections that may wait.")
          .add("mode", &SocketPolicy::mode, octal(), "Of a unix socket; default 666.");
  return kTable;
}

const Table<ExecutionPolicy>& execution_table() {
  static const auto kTable =
      Table<ExecutionPolicy>({})
          .add("supplementary_groups", &ExecutionPolicy::supplementary_groups, list_of(text()),
               "None: the user's own.")
          .add("rlimits", &ExecutionPolicy::rlimits, resource_limits(),
               "Name to limit, or soft:hard, as setrlimit(2).")
          .add("nice", &ExecutionPolicy::nice, whole<int>(-20, 19), "Below 0 needs CAP_SYS_NICE.")
          .add("ionice", &ExecutionPolicy::ionice, object(ionice_table()), {})
          .add("scheduling", &ExecutionPolicy::scheduling, object(scheduling_table()), {})
          .add("cpus", &ExecutionPolicy::cpus, list_of(whole<std::uint32_t>(0, kCpuMax)),
               "The processors it may run on; none: all.")
          .add("oom_score_adj", &ExecutionPolicy::oom_score_adj, whole<int>(-1'000, 1'000),
               "Lowering it needs CAP_SYS_RESOURCE.")
          .add("capabilities", &ExecutionPolicy::capabilities, list_of(capability()),
               "The most it can get; [] is none.")
          .add("ambient_capabilities", &ExecutionPolicy::ambient_capabilities,
               list_of(capability()), "It has them without being root.")
          .add("no_new_privileges", &ExecutionPolicy::no_new_privileges, flag(),
               "No set-user-ID program gives it more.")
          .add("private_tmp", &ExecutionPolicy::private_tmp, flag(),
               "An empty /tmp and /var/tmp of its own, in memory.")
          .add("read_only", &ExecutionPolicy::read_only, list_of(absolute_path()),
               "Paths it cannot write below.")
          .add("system_calls", &ExecutionPolicy::system_calls, object(system_call_table()), {});
  return kTable;
}

}  // namespace recover::config
