// Incidents: one per service, opened for what was seen long enough, told once.
#include <algorithm>

#include "core/looks.h"
#include "sim/invariant.h"

namespace recover::sim {
namespace {

class OneOpenIncident final : public Invariant {  // I24
 public:
  OneOpenIncident() : Invariant("I24", bit(Watchable::Notice)) {}
  void on_entry(const Seen& seen, const Books& before) override {
    if (seen.type == "incident:opened" && before.open_incident_of(seen.service) != nullptr) {
      fail("a second incident is opened for one service");
    }
    if (!seen.type.starts_with("incident:") || seen.type == "incident:opened") return;
    const BookIncident* of = before.incident(seen.incident);
    if (of != nullptr && !of->open) fail(std::string(seen.type) + " after it was resolved");
  }
};

class PagesOnce final : public Invariant {  // I25
 public:
  PagesOnce() : Invariant("I25", bit(Watchable::Command)) {}
  void on_entry(const Seen& seen, const Books& before) override {
    if (seen.type != "notify" || seen.command == nullptr || seen.recovery != 0) return;
    if (before.cause == "engine_started") return;  // One in doubt is sent again.
    // The same step may have seen it resolved; the call was decided upon before.
    const bool escalated = std::ranges::any_of(before.incidents, [&seen](const auto& each) {
      return each.second.service == seen.service && each.second.escalated;
    });
    if (!escalated) fail("people are called although nothing was escalated");
  }
};

class UnhealthyWasSeen final : public Invariant {  // I31
 public:
  explicit UnhealthyWasSeen(const core::Policy& policy)
      : Invariant("I31", bit(Watchable::Notice)), policy_(policy) {}
  void on_entry(const Seen& seen, const Books& before) override {
    if (seen.type != "incident:opened" || before.cause != "probe_finished") return;
    const auto service = static_cast<std::size_t>(seen.service);
    if (seen.service != before.cause_service || seen.says("flapping")) return;
    const auto& probes = policy_.services.at(service).probes;
    for (const auto& [probe, look] : before.services.at(service).looks) {
      const std::uint32_t needed =
          core::failures_needed(probes.at(probe), policy_.detection.sensitivity);
      if (look.failures >= needed) return;
    }
    fail("an incident is opened although no probe failed often enough in a row");
  }

 private:
  const core::Policy& policy_;
};

}  // namespace

void add_incident_invariants(Invariants& all, const core::Policy& policy) {
  all.push_back(std::make_unique<OneOpenIncident>());
  all.push_back(std::make_unique<PagesOnce>());
  all.push_back(std::make_unique<UnhealthyWasSeen>(policy));
}

}  // namespace recover::sim
