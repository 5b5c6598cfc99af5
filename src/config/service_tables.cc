#include "config/tables.h"

namespace recover::config {
namespace {

using namespace core;  // NOLINT(google-build-using-namespace): the table speaks its vocabulary.

constexpr std::int64_t kInstancesMax = 1'000;

const Table<StopPolicy>& stop_table() {
  static const auto kTable =
      Table<StopPolicy>("How it is stopped; KILL to the whole tree after the timeout.")
          .add("signal", &StopPolicy::signal, signal_number(), "The polite signal.")
          .add("timeout", &StopPolicy::timeout, duration(), "Then KILL.");
  return kTable;
}

const Table<LimitPolicy>& limit_table() {
  static const auto kTable =
      Table<LimitPolicy>("What it may use.")
          .add("memory", &LimitPolicy::memory, size(1U << 20U), "Bytes.")
          .add("cpu", &LimitPolicy::cpu, ratio(1'024.0), "150% is one and a half processors.")
          .add("pids", &LimitPolicy::pids, whole<std::uint32_t>(1, 4'194'304), "Processes.")
          .add("files", &LimitPolicy::files, whole<std::uint32_t>(16, 1'073'741'816), "Open files.")
          .add("memory_high", &LimitPolicy::memory_high, size(1U << 20U),
               "Above it is slowed down and its memory reclaimed.")
          .add("io_weight", &LimitPolicy::io_weight, whole<std::uint32_t>(1, 10'000),
               "Its share of the disks; 100 is everybody's.");
  return kTable;
}

// "separate" is an empty path: no file.
Codec<std::string> error_log() {
  Codec<std::string> codec;
  codec.shape = R"({"type":"string","pattern":"^(separate|/.*)$"})";
  codec.read = [](Reader& reader, const Node& node,
                  const std::string&) -> std::optional<std::string> {
    auto log = reader.plain_text(node);
    if (!log || log->starts_with('/')) return log;
    if (*log == "separate") return std::string();
    reader.unexpected(node, "`separate` or an absolute path");
    return std::nullopt;
  };
  return codec;
}

const Table<OutputPolicy>& output_table() {
  static const auto kTable =
      Table<OutputPolicy>("Where its output goes.")
          .add("path", &OutputPolicy::path, absolute_path(), "None: kept in memory only.")
          .add("rotate", &OutputPolicy::rotate, size(4'096), "A new file after so much.")
          .add("keep", &OutputPolicy::keep, whole<std::uint32_t>(0, 1'000), "Old files kept.")
          .add("rate", &OutputPolicy::rate, size(4'096),
               "Written a second, with as much in one burst; lines beyond are dropped, counted and "
               "told of.")
          .add("stderr", &OutputPolicy::errors, error_log(),
               "A log of its own for stderr, with the same bounds: a file, or `separate`: kept in "
               "memory only. None: it goes where stdout goes.")
          .check([](Reader& reader, const Node& node, OutputPolicy& output) {
            if (!output.errors || output.errors->empty() || *output.errors != output.path) return;
            reader.mistake(node.find("stderr")->place,
                           "`stderr` names the file of stdout; without it both go there");
          });
  return kTable;
}

const Table<ReadyPolicy>& ready_table() {
  static const auto kTable =
      Table<ReadyPolicy>("When a start counts as done; with none of notify, probe, after: at once.")
          .add("notify", &ReadyPolicy::notify, flag(), "It says READY=1 (sd_notify).")
          .add("probe", &ReadyPolicy::probe, flag(), "Its probes pass for the first time.")
          .add("after", &ReadyPolicy::after, duration(), "So long after the start.")
          .add("fd", &ReadyPolicy::fd, whole<std::uint32_t>(3, 255),
               "It writes a newline to this descriptor (s6's notification-fd).")
          .add("start_timeout", &ReadyPolicy::start_timeout, duration(kTick),
               "Not ready by then: the start failed.");
  return kTable;
}

const Table<RunSpec>& instances_table() {
  static const auto kTable =
      Table<RunSpec>("How far scaling goes.")
          .add("min", &RunSpec::scale_min, whole<std::uint32_t>(0, kInstancesMax), "Instances.")
          .add("max", &RunSpec::scale_max, whole<std::uint32_t>(1, kInstancesMax), "Instances.");
  return kTable;
}

// Without `scale` there is exactly the number asked for.
void settle_scale(Reader& reader, const Node& node, RunSpec& run) {
  const Entry* scale = node.find("scale");
  if (scale == nullptr || !scale->value.has("min")) run.scale_min = std::min(1U, run.instances);
  if (scale == nullptr || !scale->value.has("max")) {
    run.scale_max = std::max(run.instances, run.scale_min);
  }
  if (scale == nullptr) {
    run.scale_min = run.scale_max = run.instances;
  } else if (run.scale_min > run.scale_max) {
    reader.mistake(scale->place, "`scale.min` is larger than `scale.max`");
  } else if (run.instances < run.scale_min || run.instances > run.scale_max) {
    const Entry* instances = node.find("instances");
    reader.mistake(instances != nullptr ? instances->place : scale->place,
                   "`instances` must lie within `scale`");
  }
}

void add_start_timeout(Reader& reader, const Entry& entry, RunSpec& run) {
  const auto timeout = duration(kTick).read(reader, entry.value, {});
  if (timeout) run.ready.start_timeout = *timeout;
}

void check_oneshot(Reader& reader, const Node& node, RunSpec& run) {
  if (run.type != RunType::Oneshot) return;
  const bool waits = run.ready.notify || run.ready.probe || run.ready.after || run.ready.fd;
  if (waits) reader.mistake(node.place, "a `oneshot` is ready when it has ended with 0");
  if (run.watchdog) reader.mistake(node.place, "a `oneshot` has no `watchdog`");
}

const Table<RunSpec>& run_table() {
  static const auto kTable =
      Table<RunSpec>("A program recoverd runs and supervises.")
          .add("command", &RunSpec::command, list_of(text(), 1), "Program and arguments; no shell.",
               Need::Required)
          .add("user", &RunSpec::user, text(), "None: recoverd's own.")
          .add("group", &RunSpec::group, text(), "None: the user's first.")
          .add("environment", &RunSpec::environment, map_of(secret()), "Variables.")
          .add("working_directory", &RunSpec::working_directory, absolute_path(), "Where it runs.")
          .add("umask", &RunSpec::umask, octal(), "Octal; default 022.")
          .add("instances", &RunSpec::instances, whole<std::uint32_t>(1, kInstancesMax),
               "How many run.")
          .group("scale", instances_table())
          .add("ready", &RunSpec::ready, object(ready_table()), {})
          .add("start_timeout", duration().shape, "The same as ready.start_timeout.",
               add_start_timeout)
          .add("watchdog", &RunSpec::watchdog, duration(kTick),
               "WATCHDOG=1 (sd_notify) is expected this often.")
          .add("stop", &RunSpec::stop, object(stop_table()), {})
          .add("reload_signal", &RunSpec::reload_signal, signal_number(), "What reloads it.")
          .add("limits", &RunSpec::limits, object(limit_table()), {})
          .add("output", &RunSpec::output, object(output_table()), {})
          .add("type", &RunSpec::type,
               choice<RunType>({{"simple", RunType::Simple}, {"oneshot", RunType::Oneshot}}),
               "oneshot: it ends by itself; ended with 0 it counts as up.")
          .add("sockets", &RunSpec::sockets, list_of(object(socket_table())),
               "Opened by recoverd, kept over restarts, passed as LISTEN_FDS.")
          .add("fd_store", &RunSpec::fd_store, whole<std::uint32_t>(0, 256),
               "Descriptors it may have kept over its restarts (sd_notify FDSTORE=1).")
          .add("before", &RunSpec::before, list_of(list_of(text(), 1)),
               "Commands that must end with 0 before an instance starts.")
          .add("after", &RunSpec::after, list_of(list_of(text(), 1)),
               "Commands that run once an instance is down.")
          .within(&RunSpec::execution, execution_table())
          .check(settle_scale)
          .check(check_oneshot)
          .check([](Reader& reader, const Node& node, RunSpec& run) {
            if (run.command.empty() || !run.command.front().empty()) return;
            reader.mistake(node.find("command")->value.place, "the program must not be empty");
          });
  return kTable;
}

const Table<ObserveSpec>& observe_table() {
  static const auto kTable =
      Table<ObserveSpec>("Somebody else's process: seen, not started.")
          .add("pid_file", &ObserveSpec::pid_file, absolute_path(), "A file that holds the pid.")
          .add("match", &ObserveSpec::match, regex(), "RE2 on the command line.")
          .add("name", &ObserveSpec::name, regex(), "RE2 on the process's name.")
          .add("exe", &ObserveSpec::exe, regex(), "RE2 on the path of its program.")
          .check([](Reader& reader, const Node& node, ObserveSpec& /*observe*/) {
            for (const char* key : {"pid_file", "match", "name", "exe"}) {
              if (node.has(key)) return;
            }
            reader.mistake(node.place, "`observe` needs `pid_file`, `match`, `name` or `exe`");
          });
  return kTable;
}

const Table<LimitPolicy>& unit_limit_table() {
  static const auto kTable =
      Table<LimitPolicy>("Set in systemd while the unit lives; what is not given stays its own.")
          .add("memory", &LimitPolicy::memory, size(1U << 20U), "MemoryMax=")
          .add("cpu", &LimitPolicy::cpu, ratio(1'024.0), "CPUQuota=")
          .add("pids", &LimitPolicy::pids, whole<std::uint32_t>(1, 4'194'304), "TasksMax=");
  return kTable;
}

// A template is no unit: only one that has an instance between `@` and the suffix is.
void check_unit(Reader& reader, const Node& node, const std::string& unit) {
  const std::size_t at = unit.find('@');
  if (unit.find('/') != std::string::npos) {
    reader.mistake(node.place, "a unit's name has no `/`; `systemd-escape` makes one of a path");
  } else if (at != std::string::npos && (at + 1 == unit.size() || unit[at + 1] == '.')) {
    reader.mistake(node.place, "`" + unit + "` is a template: name an instance of it, as in `" +
                                   unit.substr(0, at + 1) + "NAME" +
                                   (at + 1 == unit.size() ? ".service" : unit.substr(at + 1)) +
                                   "`");
  }
}

const Table<SystemdSpec>& systemd_table() {
  static const auto kTable =
      Table<SystemdSpec>("A unit of systemd, watched and acted upon over D-Bus.")
          .add("unit", &SystemdSpec::unit, text(), "Its name; `.service` may be left out.",
               Need::Required)
          .add("limits", &SystemdSpec::limits, object(unit_limit_table()), {})
          .check([](Reader& reader, const Node& node, SystemdSpec& spec) {
            const Entry* unit = node.find("unit");
            if (unit != nullptr) check_unit(reader, unit->value, spec.unit);
          });
  return kTable;
}

const Table<ContainerSpec>& container_table() {
  static const auto kTable =
      Table<ContainerSpec>("A container, or those of a compose service, through the engine's API.")
          .add("name", &ContainerSpec::container, text(), "Its name or id.")
          .add("compose_project", &ContainerSpec::compose_project, text(),
               "With `compose_service`; none: any project.")
          .add("compose_service", &ContainerSpec::compose_service, text(),
               "Every container with that label is an instance.")
          .add("socket", &ContainerSpec::socket, absolute_path(),
               "Of the engine's API; none: /var/run/docker.sock, else /run/podman/podman.sock.")
          .check([](Reader& reader, const Node& node, ContainerSpec& /*spec*/) {
            if (node.has("name") != node.has("compose_service")) return;
            reader.mistake(node.place, "`container` needs one of `name` and `compose_service`");
          });
  return kTable;
}

// The name of a unit or a container.
std::string read_foreign_name(Reader& reader, const Node& node) {
  const auto name = reader.plain_text(node);
  if (name && name->empty()) reader.mistake(node.place, "the name must not be empty");
  return name.value_or("");
}

void read_run(Reader& reader, const Entry& entry, ServiceDraft& service) {
  RunSpec run;
  run_table().apply(reader, entry.value, run);
  service.spec = std::move(run);
}
void read_systemd(Reader& reader, const Entry& entry, ServiceDraft& service) {
  SystemdSpec spec;
  if (entry.value.kind == Node::Kind::Map) {
    systemd_table().apply(reader, entry.value, spec);
  } else {
    spec.unit = read_foreign_name(reader, entry.value);
    check_unit(reader, entry.value, spec.unit);
  }
  service.spec = std::move(spec);
}
void read_container(Reader& reader, const Entry& entry, ServiceDraft& service) {
  ContainerSpec spec;
  if (entry.value.kind == Node::Kind::Map) {
    container_table().apply(reader, entry.value, spec);
  } else {
    spec.container = read_foreign_name(reader, entry.value);
  }
  service.spec = std::move(spec);
}
// A name alone, or a map.
std::string text_or(const std::string& shape) {
  return R"({"anyOf":[)" + text().shape + "," + shape + "]}";
}
void read_observe(Reader& reader, const Entry& entry, ServiceDraft& service) {
  ObserveSpec observe;
  observe_table().apply(reader, entry.value, observe);
  service.spec = std::move(observe);
}

}  // namespace

const Table<ServiceDraft>& service_table() {
  static const auto kTable =
      Table<ServiceDraft>("A service: what it is, how it is watched, how it is recovered.")
          .add("run", run_table().shape(), {}, read_run)
          .add("systemd", text_or(systemd_table().shape()), "A unit of systemd.", read_systemd)
          .add("container", text_or(container_table().shape()), "A container's name.",
               read_container)
          .add("observe", observe_table().shape(), {}, read_observe)
          .exactly_one({"run", "systemd", "container", "observe"})
          .add("priority", &ServicePolicy::priority, one_of<Priority>(), "Gives the RTO.")
          .add("rto", &ServiceDraft::rto_given, duration(kTick),
               "Time to recover in; default: 5m, 15m, 1h or 4h by priority.")
          .add("depends_on", &ServiceDraft::depends_on_named, list_of(name()),
               "Services it cannot work without.")
          .add("standby", &ServiceDraft::standby_named, name(),
               "The service that takes its place in a failover.")
          .add("autostart", &ServicePolicy::autostart, flag(),
               "False: stopped until somebody starts it.")
          .add("state", &ServicePolicy::state, list_of(absolute_path()),
               "Paths that a checkpoint of it holds.")
          .add("probes", &ServiceDraft::probe_drafts, list_of(object(probe_table())), "Its probes.")
          .add("playbooks", &ServiceDraft::playbooks_named, list_of(name()),
               "In order of preference; default: every playbook.")
          .add("mode", &ServicePolicy::mode, one_of<Mode>(),
               "Beats the global mode when it allows less.")
          .add("group", &ServicePolicy::group, text(),
               "Its limits stand under auto_recovery.safety.groups.")
          .add("start_grace", &ServicePolicy::start_grace, duration(),
               "After a start, failed probes are not held against it.");
  return kTable;
}

}  // namespace recover::config
