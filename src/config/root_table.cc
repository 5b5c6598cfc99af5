#include <algorithm>
#include <string>
#include <unordered_map>

#include "config/backup_tables.h"
#include "config/short_form.h"
#include "config/tables.h"
#include "core/listen_address.h"

namespace recover::config {
namespace {

using namespace core;  // NOLINT(google-build-using-namespace): the table speaks its vocabulary.

const Table<DetectionPolicy>& detection_table() {
  using P = DetectionPolicy;
  static const auto kTable =
      Table<P>("How failures are noticed.")
          .add("monitoring_interval", &P::monitoring_interval, duration(milliseconds{10}),
               "Time between two looks of a probe.")
          .add("failure_threshold", &P::failure_threshold, whole<std::uint32_t>(1, 1'000),
               "Failures in a row.")
          .add("success_threshold", &P::success_threshold, whole<std::uint32_t>(1, 1'000),
               "Passes in a row.")
          .add("sensitivity", &P::sensitivity, one_of<Sensitivity>(), "How soon to believe it.")
          .add("flap_changes", &P::flap_changes, whole<std::uint32_t>(2, 1'000),
               "Changes of state within flap_window: flapping.")
          .add("flap_window", &P::flap_window, duration(seconds{1}), "See flap_changes.");
  return kTable;
}

const Table<AnalysisPolicy>& analysis_table() {
  using P = AnalysisPolicy;
  static const auto kTable =
      Table<P>("How causes are found.")
          .add("analysis_timeout", &P::analysis_timeout, duration(kTick), "At most so long.")
          .add("confidence_threshold", &P::confidence_threshold, ratio(),
               "Below it a person decides.");
  return kTable;
}

const Table<RecoveryPolicy>& recovery_table() {
  using P = RecoveryPolicy;
  static const auto kTable =
      Table<P>("How recoveries run.")
          .add("mode", &P::mode, one_of<Mode>(), "How much may happen unattended.")
          .add("max_concurrent_recoveries", &P::max_concurrent_recoveries,
               whole<std::uint32_t>(1, 1'000), "At the same time.")
          .add("recovery_timeout", &P::recovery_timeout, duration(seconds{1}),
               "A recovery fails after so long.")
          .add("max_attempts", &P::max_attempts, whole<std::uint32_t>(1, 10'000),
               "Playbooks tried for one incident.")
          .add("retry_delay", &P::retry_delay, duration(), "Between the first two attempts.")
          .add("retry_multiplier", &P::retry_multiplier, number(1, 10), "Longer each time by it.")
          .add("retry_delay_max", &P::retry_delay_max, duration(), "But no longer than this.");
  return kTable;
}

const Table<LearningPolicy>& learning_table() {
  using P = LearningPolicy;
  static const auto kTable =
      Table<P>("What outcomes teach.")
          .add("enabled", &P::enabled, flag(), "Whether outcomes order playbooks.")
          .add("update_interval", &P::update_interval, duration(seconds{1}), "How often.")
          .add("min_samples", &P::min_samples, whole<std::uint32_t>(1, 1'000'000),
               "Outcomes before they count.")
          .add("confidence_threshold", &P::confidence_threshold, ratio(), "How sure to be.");
  return kTable;
}

const Table<BreakerPolicy>& breaker_table() {
  using P = BreakerPolicy;
  static const auto kTable =
      Table<P>("Stops recovering a service that recovery does not help.")
          .add("failure_threshold", &P::failure_threshold, whole<std::uint32_t>(1, 1'000),
               "Failed recoveries within the window.")
          .add("window", &P::window, duration(seconds{1}), "See failure_threshold.")
          .add("reset_timeout", &P::reset_timeout, duration(kTick), "Then it lets some through.")
          .add("half_open_requests", &P::half_open_requests, whole<std::uint32_t>(1, 1'000),
               "So many of them.");
  return kTable;
}

const Table<SafetyPolicy>& storm_table() {
  using P = SafetyPolicy;
  static const auto kTable =
      Table<P>("When too much is unhealthy, nothing new is started.")
          .add("enter", &P::storm_enter, ratio(), "Share of services unhealthy.")
          .add("exit", &P::storm_exit, ratio(), "Share of services unhealthy.")
          .add("cooldown", &P::storm_cooldown, duration(), "Calm for so long before it ends.");
  return kTable;
}

const Table<GroupPolicy>& group_table() {
  using P = GroupPolicy;
  static const auto kTable =
      Table<P>("What may happen at once among the services of a `group`.")
          .add("max_concurrent_recoveries", &P::max_concurrent_recoveries,
               whole<std::uint32_t>(1, 1'000), "At the same time.")
          .add("blast_radius", &P::blast_radius, ratio(),
               "Share of its services in recovery or unhealthy; rounded down, at least one.");
  return kTable;
}

void read_groups(Reader& reader, const Entry& entry, SafetyPolicy& safety) {
  if (entry.value.kind != Node::Kind::Map) {
    reader.unexpected(entry.value, "a map of groups by name");
    return;
  }
  for (const Entry& each : entry.value.entries) {
    GroupPolicy group;
    group.name = each.key;
    group_table().apply(reader, each.value, group);
    safety.groups.push_back(std::move(group));
  }
}

const Table<SafetyPolicy>& safety_table() {
  using P = SafetyPolicy;
  static const auto kTable =
      Table<P>("What keeps automation from doing harm.")
          .add("enable_rollback", &P::enable_rollback, flag(), "Undo what did not help.")
          .add("require_checkpoint", &P::require_checkpoint, flag(), "Of every playbook.")
          .add("max_rollback_attempts", &P::max_rollback_attempts, whole<std::uint32_t>(0, 100),
               "Then a person.")
          .add("circuit_breaker", &P::circuit_breaker, object(breaker_table()), {})
          .add("cooldown", &P::cooldown, duration(), "Between two recoveries of a service.")
          .add("max_recoveries_per_hour", &P::max_recoveries_per_hour,
               whole<std::uint32_t>(1, 100'000), "Of all services.")
          .add("blast_radius", &P::blast_radius, ratio(),
               "Share of services in recovery or unhealthy; rounded down, at least one.")
          .add("playbook_breaker_threshold", &P::playbook_breaker_threshold,
               whole<std::uint32_t>(1, 1'000), "Failures in a row; people reset it.")
          .group("storm", storm_table())
          .add("groups",
               R"({"type":"object","additionalProperties":)" + group_table().shape() + "}",
               "Limits for the services of a group, by its name.", read_groups);
  return kTable;
}

// Keeps where the groups are named: services are not known yet.
void read_safety(Reader& reader, const Entry& entry, Draft& draft) {
  auto safety = object(safety_table()).read(reader, entry.value, draft.safety);
  if (safety) draft.safety = std::move(*safety);
  const Entry* groups = entry.value.find("groups");
  if (groups == nullptr) return;
  for (const Entry& each : groups->value.entries) {
    draft.groups_named.push_back({each.key, each.place});
  }
}

void read_validation_timeout(Reader& reader, const Entry& entry, Draft& draft) {
  const auto timeout = duration(seconds{1}).read(reader, entry.value, {});
  if (!timeout) return;
  draft.validation_timeout = std::chrono::duration_cast<seconds>(*timeout);
  if (*timeout != draft.validation_timeout) {
    reader.mistake(entry.value.place, "`validation_timeout` is in whole seconds");
  }
}

const Table<Draft>& auto_validation_table() {
  static const auto kTable =
      Table<Draft>("How success is proven.")
          .add("validation_timeout", duration().shape, "Default of `within` of playbooks.",
               read_validation_timeout)
          .add("require_all_checks", &Policy::require_all_checks, flag(),
               "False: one probe that passes, and most criteria, are enough.");
  return kTable;
}

const Table<Draft>& auto_recovery_table() {
  static const auto kTable =
      Table<Draft>("Automatic recovery.")
          .add("enabled", &Policy::enabled, flag(), "Whether anything is recovered at all.")
          .add("detection", &Policy::detection, object(detection_table()), {})
          .add("analysis", &Policy::analysis, object(analysis_table()), {})
          .add("recovery", &Policy::recovery, object(recovery_table()), {})
          .group("validation", auto_validation_table())
          .add("learning", &Policy::learning, object(learning_table()), {})
          .add("safety", safety_table().shape(), {}, read_safety)
          .add("conditions", &Policy::conditions, list_of(condition_codec()),
               "Classes recovered unattended; none: every class.");
  return kTable;
}

Table<ThresholdPolicy> threshold_table(ThresholdPolicy MonitoringPolicy::*threshold) {
  return Table<ThresholdPolicy>("A level held for a time.", MonitoringPolicy{}.*threshold)
      .add("value", &ThresholdPolicy::value, ratio(), "In use.")
      .add("for", &ThresholdPolicy::over, duration(), "So long.");
}
const Table<ThresholdPolicy>& cpu_threshold_table() {
  static const auto kTable = threshold_table(&MonitoringPolicy::cpu_threshold);
  return kTable;
}
const Table<ThresholdPolicy>& memory_threshold_table() {
  static const auto kTable = threshold_table(&MonitoringPolicy::memory_threshold);
  return kTable;
}

const Table<MonitoringPolicy>& thresholds_table() {
  using P = MonitoringPolicy;
  static const auto kTable =
      Table<P>("Beyond these something is wrong.")
          .add("cpu", &P::cpu_threshold, object(cpu_threshold_table()), {})
          .add("memory", &P::memory_threshold, object(memory_threshold_table()), {})
          .add("disk_usage", &P::disk_usage, ratio(), "Of each file system watched.")
          .add("response_time", &P::response_time, duration(kTick), "Of probes.")
          .add("error_rate", &P::error_rate, ratio(),
               "Share of a service's looks that fail within five minutes; none: not judged.")
          .add("queue_depth", &P::queue_depth, number(0, 1e12), "Of watched queues.");
  return kTable;
}

const Table<MonitoringPolicy>& resources_table() {
  using P = MonitoringPolicy;
  static const auto kTable =
      Table<P>("What of the machine is watched.")
          .add("cpu", &P::cpu, flag(), "Processor time.")
          .add("memory", &P::memory, flag(), "Memory.")
          .add("disk", &P::disk, list_of(absolute_path()), "File systems, by a path on each.")
          .add("inodes", &P::inodes, flag(), "Inodes of those.")
          .add("pressure", &P::pressure, flag(), "Stalls (PSI).")
          .add("files", &P::files, flag(), "Open files.");
  return kTable;
}

const Table<MonitoringPolicy>& levels_table() {
  using P = MonitoringPolicy;
  static const auto kTable =
      Table<P>("Levels of a resource in use.")
          .add("warning", &P::level_warning, ratio(), "Told.")
          .add("critical", &P::level_critical, ratio(), "Recovered.")
          .add("emergency", &P::level_emergency, ratio(), "Recovered at once.")
          .check([](Reader& reader, const Node& node, P& levels) {
            if (levels.level_warning >= levels.level_critical ||
                levels.level_critical >= levels.level_emergency) {
              reader.mistake(node.place, "`warning` < `critical` < `emergency` must hold");
            }
          });
  return kTable;
}

const Table<MonitoringPolicy>& monitoring_table() {
  static const auto kTable = Table<MonitoringPolicy>("The machine itself.")
                                 .add("interval", &MonitoringPolicy::interval,
                                      duration(milliseconds{100}), "Time between two looks.")
                                 .group("resources", resources_table())
                                 .group("thresholds", thresholds_table())
                                 .group("levels", levels_table());
  return kTable;
}

const Table<CheckpointPolicy>& checkpoint_table() {
  static const auto kTable =
      Table<CheckpointPolicy>("When `last-good` is taken.")
          .add("after", &CheckpointPolicy::after, duration(),
               "A service was healthy so long with new state.")
          .add("keep", &CheckpointPolicy::keep, whole<std::uint32_t>(1, 10'000), "Of a service.");
  return kTable;
}

void ignore_text(Reader& reader, const Entry& entry, Draft& /*draft*/) {
  static_cast<void>(reader.plain_text(entry.value));
}

const Table<Draft>& tls_table() {
  static const auto kTable = Table<Draft>("TLS of the TCP address.")
                                 .add("cert", text().shape, "Path.", ignore_text)
                                 .add("key", text().shape, "Path.", ignore_text);
  return kTable;
}

void read_socket(Reader& reader, const Entry& entry, Draft& draft) {
  const auto path = absolute_path().read(reader, entry.value, {});
  if (path) draft.api.socket = *path;
}

void read_operator_group(Reader& reader, const Entry& entry, Draft& draft) {
  const auto group = reader.plain_text(entry.value);
  if (group) draft.api.operator_group = *group;
}

// Whoever reaches the address may try the password, and it is sent as it is: this machine only.
std::optional<std::string> wrong_listen(const std::string& text) {
  const auto address = parse_listen_address(text);
  const bool tcp = address && !address->datagram && address->path.empty();
  if (!tcp || address->port == 0) return "`listen` is HOST:PORT, such as `127.0.0.1:9001`";
  if (address->host.starts_with("127.") || address->host == "::1") return std::nullopt;
  return "`listen` must be a loopback address, `127.0.0.1:PORT` or `[::1]:PORT`: passwords are "
         "sent "
         "in clear; put a proxy with TLS before it for other machines";
}

const Table<XmlRpcPolicy>& xmlrpc_table() {
  using P = XmlRpcPolicy;
  static const auto kTable =
      Table<P>("For supervisorctl and what else speaks supervisord's XML-RPC; off unless given.")
          .add("socket", &P::socket, silent(absolute_path()), "A unix socket.")
          .add("listen", &P::listen, silent(text()), "HOST:PORT of this machine's loopback.")
          .add("username", &P::username, silent(text()), "Whom the password is of.")
          .add("password", &P::password, silent(secret()),
               "Who knows it is an admin. None: by TCP everybody may look and no more.")
          .check([](Reader& reader, const Node& node, P& xmlrpc) {
            const auto wrong = xmlrpc.listen.empty() ? std::nullopt : wrong_listen(xmlrpc.listen);
            if (wrong) reader.mistake(node.place, *wrong);
            if (xmlrpc.username.empty() != xmlrpc.password.empty()) {
              reader.mistake(node.place, "`username` and `password` come together");
            }
            if (xmlrpc.username.find(':') != std::string::npos) {
              reader.mistake(node.place, "`username` cannot have a colon");
            }
            if (!xmlrpc.enabled()) {
              reader.mistake(node.place, "`xmlrpc` needs a `socket` or a `listen`");
            }
          });
  return kTable;
}

void read_xmlrpc(Reader& reader, const Entry& entry, Draft& draft) {
  xmlrpc_table().apply(reader, entry.value, draft.api.xmlrpc);
  if (!draft.api.xmlrpc.socket.empty() && draft.api.xmlrpc.socket == draft.api.socket) {
    reader.mistake(entry.place, "`xmlrpc` needs a socket of its own");
  }
}

const Table<Draft>& api_table() {
  static const auto kTable =
      Table<Draft>("Where the daemon is spoken to.")
          .add("socket", absolute_path().shape, "The unix socket.", read_socket)
          .add("operator_group", text().shape,
               "Unix group whose members may use the socket and operate; none: root and "
               "recoverd's own user only.",
               read_operator_group)
          .add("http", text().shape, "HOST:PORT; kept for later.", ignore_text)
          .add("xmlrpc", xmlrpc_table().shape(), {}, read_xmlrpc)
          .group("tls", tls_table());
  return kTable;
}

const Table<Draft>& journal_table() {
  static const auto kTable = Table<Draft>("The journal.")
                                 .add("key", &Policy::journal_key, key(),
                                      "Encrypts payloads: 32 bytes, or 64 hexadecimal digits.");
  return kTable;
}

void read_target(Reader& reader, const Entry& entry, PatternActionDraft& action) {
  const auto target = reader.plain_text(entry.value);
  if (target && !target->empty()) action.target_named = Named{*target, entry.value.place};
}

const Table<PatternActionDraft>& pattern_action_table() {
  static const auto kTable =
      Table<PatternActionDraft>("What helps against it.")
          .add("type", &PatternActionDraft::type_named, name(), "An action, or a playbook's id.",
               Need::Required)
          .add("target", text().shape,
               "The service it acts on; none, or no service's name: where it was seen.",
               read_target)
          .add("priority", &PatternAction::priority, one_of<Priority>(), "How urgent.");
  return kTable;
}

const Table<PatternDraft>& pattern_table() {
  static const auto kTable =
      Table<PatternDraft>("A failure pattern over logs and error texts.")
          .add("id", &PatternPolicy::id, identifier(), "Its name.", Need::Required)
          .add("pattern", &PatternPolicy::pattern, regex(), "RE2.", Need::Required)
          .add("category", &PatternPolicy::category, silent(text()), "network, database, …")
          .add("failure", &PatternDraft::failure_given, one_of<FailureClass>(),
               "Default: what the category means.")
          .add("severity", &PatternPolicy::severity, one_of<Severity>(), "Of a match.")
          .add("cooldown", &PatternPolicy::cooldown, duration(), "Between two matches that count.")
          .add("recovery", &PatternDraft::recovery_drafts, list_of(object(pattern_action_table())),
               "What helps.")
          .check([](Reader& /*reader*/, const Node& node, PatternDraft& pattern) {
            pattern.place = node.place;
          });
  return kTable;
}

void read_patterns(Reader& reader, const Entry& entry, Draft& draft) {
  auto patterns = list_of(object(pattern_table())).read(reader, entry.value, {});
  if (!patterns) return;
  for (PatternDraft& pattern : *patterns) {
    const auto first = std::ranges::find(draft.pattern_drafts, pattern.id, &PatternDraft::id);
    if (first != draft.pattern_drafts.end() && !pattern.id.empty()) {
      reader.mistake(pattern.place, "the pattern `" + pattern.id + "` is already defined at " +
                                        reader.show(first->place));
      continue;
    }
    draft.pattern_drafts.push_back(std::move(pattern));
  }
}

// By name, where they were defined.
using ServicePlaces = std::unordered_map<std::string, Place>;

void read_service(Reader& reader, const Entry& entry, Draft& draft, ServicePlaces& known) {
  if (!is_identifier(entry.key)) {
    reader.mistake(entry.place, "`" + entry.key +
                                    "` cannot name a service: up to 64 letters, digits, `-`, `_` "
                                    "and `.`");
  }
  const auto [first, is_new] = known.emplace(entry.key, entry.place);
  if (!is_new) {
    reader.mistake(entry.place, "the service `" + entry.key + "` is already defined at " +
                                    reader.show(first->second));
    return;
  }
  ServiceDraft service;
  service.name = entry.key;
  service.place = entry.place;
  service_table().apply(reader, entry.value, service);
  draft.service_drafts.push_back(std::move(service));
}

void read_services(Reader& reader, const Entry& entry, Draft& draft) {
  if (entry.value.kind != Node::Kind::Map && entry.value.kind != Node::Kind::Null) {
    reader.unexpected(entry.value, "a map of services by name");
    return;
  }
  ServicePlaces known;
  for (const ServiceDraft& each : draft.service_drafts) known.emplace(each.name, each.place);
  draft.service_drafts.reserve(draft.service_drafts.size() + entry.value.entries.size());
  for (const Entry& service : entry.value.entries) read_service(reader, service, draft, known);
}

void read_names(Reader& reader, const Entry& entry, std::vector<Named>& names) {
  const auto list = list_of(name()).read(reader, entry.value, {});
  if (list) names.insert(names.end(), list->begin(), list->end());
}

void read_version(Reader& reader, const Entry& entry, Draft& /*draft*/) {
  const auto version = whole<int>(0, 1'000'000).read(reader, entry.value, 1);
  if (version && *version != 1) {
    reader.mistake(entry.value.place, "this recoverd reads version 1, not " + entry.value.text);
  }
}

}  // namespace

const Table<Draft>& root_table() {
  static const auto kTable =
      Table<Draft>("Configuration of recoverd.")
          .add("version", R"({"const":1})", "Of this format.", read_version)
          .add("state_dir", &Policy::state_dir, absolute_path(),
               "Journal, checkpoints, runtime state.")
          .add("environment", &Draft::environment, identifier(),
               "What this host is part of; versions of the configuration are kept apart by it.")
          .group("api", api_table())
          .group("auto_recovery", auto_recovery_table())
          .add("recovery_actions", short_form_shape(),
               "Condition to actions; becomes a playbook of that name.", read_short_forms)
          .add("services",
               R"({"type":"object","additionalProperties":)" + service_table().shape() + "}",
               "What is watched, by name.", read_services)
          .add("checkpoint", &Policy::checkpoint, object(checkpoint_table()), {})
          .add("monitoring", &Policy::monitoring, object(monitoring_table()), {})
          .add("patterns", list_of(object(pattern_table())).shape, "Failure patterns.",
               read_patterns)
          .add("playbooks", list_of(name()).shape, "Files, globs allowed, from this file's folder.",
               [](Reader& reader, const Entry& entry, Draft& draft) {
                 read_names(reader, entry, draft.playbook_globs);
               })
          .add("include", list_of(name()).shape, "Files, globs allowed, from this file's folder.",
               [](Reader& reader, const Entry& entry, Draft& draft) {
                 read_names(reader, entry, draft.includes);
               })
          .group("journal", journal_table())
          .add("backup", backup_table().shape(), {},
               [](Reader& reader, const Entry& entry, Draft& draft) {
                 backup_table().apply(reader, entry.value, draft.backup);
               })
          .later("alerts", "alerts: is not supported yet; it comes with the alert engine");
  return kTable;
}

}  // namespace recover::config
