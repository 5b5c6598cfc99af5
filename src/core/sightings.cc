#include "core/sightings.h"

#include <algorithm>

#include "core/incident.h"

namespace recover::core {
namespace {

bool concerns(const ResourceProbe& probe, const ResourceLevelChanged& event) {
  constexpr std::string_view kPressure = "pressure:";
  constexpr std::string_view kInodes = "inodes:";
  const std::string_view what = event.what;
  const bool pressure = what.starts_with(kPressure);
  switch (probe.resource) {
    case Resource::Disk: return event.symptom == Symptom::DiskFull && what == probe.path;
    case Resource::Inodes:
      return what.starts_with(kInodes) && what.substr(kInodes.size()) == probe.path;
    case Resource::Memory: return event.symptom == Symptom::MemoryPressure && !pressure;
    case Resource::Cpu: return event.symptom == Symptom::CpuPressure && !pressure;
    // Without one of its names: any.
    case Resource::Pressure:
      return pressure && (probe.path.empty() || probe.path == "/" ||
                          what.substr(kPressure.size()) == probe.path);
    case Resource::Files: return event.symptom == Symptom::FilesExhausted;
  }
  return false;
}

std::string_view resource_notice(Symptom symptom) {
  if (symptom == Symptom::DiskFull) return "health:high_disk";
  if (symptom == Symptom::MemoryPressure) return "health:high_memory";
  if (symptom == Symptom::CpuPressure) return "health:high_cpu";
  return "health:high_files";
}

std::string_view level_name(std::uint8_t level) {
  if (level == 0) return "normal";
  if (level == 1) return "warning";
  return level == kCriticalLevel ? "critical" : "emergency";
}

void report_resource(Turn& turn, const ResourceLevelChanged& event, const std::string& message) {
  for (std::uint32_t index = 0; index < turn.policy.services.size(); ++index) {
    const bool concerned =
        std::ranges::any_of(turn.policy.services[index].probes, [&event](const ProbePolicy& probe) {
          const ResourceProbe* resource = std::get_if<ResourceProbe>(&probe.spec);
          return resource != nullptr && concerns(*resource, event);
        });
    if (!concerned) continue;
    report(turn, ServiceIndex{index},
           {.symptom = event.symptom,
            .failure = FailureClass::ResourceExhaustion,
            .detail = message,
            .began_at = turn.now,
            .in_health = false});
  }
}

// Where it was seen; a text of nobody's is the trouble of whom its recovery names.
std::optional<ServiceIndex> sufferer_of(const PatternPolicy& pattern, const PatternSeen& event) {
  if (event.service) return event.service;
  for (const PatternAction& action : pattern.recovery) {
    if (action.service) return action.service;
  }
  return std::nullopt;
}

}  // namespace

bool on_resource_level(Turn& turn, const ResourceLevelChanged& event) {
  std::vector<ResourceLevel>& resources = turn.state.resources;
  const auto known = std::ranges::find_if(resources, [&event](const ResourceLevel& level) {
    return level.symptom == event.symptom && level.what == event.what;
  });
  const std::uint8_t before = known == resources.end() ? std::uint8_t{0} : known->level;
  if (known != resources.end()) {
    known->ratio = event.ratio;
    known->level = event.level;
  } else if (resources.size() < kResourcesMax) {
    resources.push_back({event.what, event.symptom, event.ratio, event.level});
  }
  if (event.level == before) return true;
  const std::string message = text(
      {event.what, " is at level ", level_name(event.level), " (", shown(event.ratio), " used)"});
  turn.notice(std::string(resource_notice(event.symptom)),
              static_cast<Severity>(std::min<std::uint8_t>(event.level, 3)), message);
  if (event.level >= kCriticalLevel) report_resource(turn, event, message);
  return true;
}

bool on_pattern_seen(Turn& turn, const PatternSeen& event) {
  if (event.pattern.value >= turn.policy.patterns.size()) return false;
  const PatternPolicy& pattern = turn.policy.patterns[event.pattern.value];
  const std::pair key{event.pattern, event.service};
  const auto last = turn.state.pattern_seen.find(key);
  if (last != turn.state.pattern_seen.end() &&
      saturating_add(last->second, pattern.cooldown) > turn.now) {
    return false;
  }
  turn.state.pattern_seen[key] = turn.now;
  const std::string said = text({pattern.id, ": ", event.text});
  const std::optional<ServiceIndex> service = sufferer_of(pattern, event);
  Notice& seen = turn.notice("pattern:matched", pattern.severity, said);
  seen.service = service;
  if (!service) return true;
  report(turn, *service,
         {.symptom = Symptom::PatternMatched,
          .failure = pattern.failure,
          .detail = said,
          .began_at = turn.now,
          .pattern = event.pattern,
          .in_health = false,
          .severity = pattern.severity});
  return true;
}

}  // namespace recover::core
