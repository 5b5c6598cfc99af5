// What must have come to an end once faults stopped.
#include <algorithm>
#include <vector>

#include "sim/invariant.h"

namespace recover::sim {
namespace {

class RecoveriesEnd final : public Invariant {  // L01
 public:
  RecoveriesEnd() : Invariant("L01") {}
  void on_end(const WorldTruth& /*world*/, const Books& books) override {
    for (const auto& [id, of] : books.recoveries) {
      if (of.in_effect()) {
        fail("recovery " + std::to_string(id) + " is still " +
             std::string(core::to_string(of.state)));
      }
    }
  }
};

class NobodyIsForgotten final : public Invariant {  // L02
 public:
  explicit NobodyIsForgotten(const core::Policy& policy) : Invariant("L02"), policy_(policy) {}
  void on_end(const WorldTruth& world, const Books& books) override {
    // A storm is the named policy that holds everything until people have seen it.
    if (books.storm) return;
    const auto last_hour = std::ranges::count_if(
        books.starts, [&](Instant at) { return at + core::hours{1} > world.now; });
    const bool out_of_budget = last_hour >= policy_.safety.max_recoveries_per_hour;
    std::vector<bool> held(world.services.size());  // Itself or something it needs is in trouble.
    for (std::size_t index = 0; index < world.services.size(); ++index) {
      const ServiceTruth& truth = world.services[index];
      const BookIncident* incident = books.open_incident_of(static_cast<int>(index));
      const bool needs_held =
          std::ranges::any_of(policy_.services[index].depends_on,
                              [&held](core::ServiceIndex each) { return held[each.value]; });
      held[index] = needs_held || !truth.well || incident != nullptr;
      // One passing probe is enough for some; which of them sees the trouble is chance.
      if (!policy_.require_all_checks && policy_.services[index].probes.size() > 1) continue;
      const BookService& service = books.services.at(index);
      if (!service.wanted || service.quarantined) continue;
      const bool shadow = books.mode_of(static_cast<int>(index)) == core::Mode::Shadow;
      if (truth.well && incident != nullptr && !shadow && !needs_held) {
        fail("s" + std::to_string(index) + " is well and its incident is still open");
      }
      if (truth.well || truth.depends_bad || needs_held || shadow || out_of_budget) continue;
      if (incident == nullptr) fail("nobody cares for s" + std::to_string(index));
      if (incident != nullptr && !incident->escalated) {
        fail("s" + std::to_string(index) + " is neither healed nor handed to people");
      }
    }
  }

 private:
  const core::Policy& policy_;
};

}  // namespace

void add_liveness_invariants(Invariants& all, const core::Policy& policy) {
  all.push_back(std::make_unique<RecoveriesEnd>());
  all.push_back(std::make_unique<NobodyIsForgotten>(policy));
}

Invariants make_invariants(const core::Policy& policy) {
  Invariants all;
  add_effect_invariants(all, policy);
  add_budget_invariants(all, policy);
  add_gate_invariants(all, policy);
  add_saga_invariants(all, policy);
  add_incident_invariants(all, policy);
  add_journal_invariants(all, policy);
  add_liveness_invariants(all, policy);
  return all;
}

}  // namespace recover::sim
