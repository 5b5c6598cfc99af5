#include "core/sightings.h"

#include <algorithm>

#include "core/incident.h"

namespace recover::core {
namespace {

bool concerns(const ResourceProbe& probe, const ResourceLevelChanged& event) {
  switch (probe.resource) {
    case Resource::Disk:
    case Resource::Inodes: return event.symptom == Symptom::DiskFull && probe.path == event.what;
    case Resource::Memory: return event.symptom == Symptom::MemoryPressure;
    case Resource::Cpu:
    case Resource::Pressure: return event.symptom == Symptom::CpuPressure;
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
  const auto last = turn.state.pattern_seen.find(event.pattern);
  if (last != turn.state.pattern_seen.end() &&
      saturating_add(last->second, pattern.cooldown) > turn.now) {
    return false;
  }
  turn.state.pattern_seen[event.pattern] = turn.now;
  Notice& seen =
      turn.notice("pattern:matched", pattern.severity, text({pattern.id, ": ", event.text}));
  seen.service = event.service;
  if (!event.service) return true;
  report(turn, *event.service,
         {.symptom = Symptom::PatternMatched,
          .failure = pattern.failure,
          .detail = text({pattern.id, ": ", event.text}),
          .began_at = turn.now,
          .pattern = event.pattern,
          .in_health = false});
  return true;
}

}  // namespace recover::core
