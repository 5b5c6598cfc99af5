// What must have come to an end once faults stopped.
#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "sim/invariant.h"

namespace recover::sim {
namespace {

class RecoveriesEnd final : public Invariant {  // L01
 public:
  RecoveriesEnd() : Invariant("L01", 0) {}
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
  explicit NobodyIsForgotten(const core::Policy& policy) : Invariant("L02", 0), policy_(policy) {}
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
      // What people asked for waits for the budget, too.
      if (truth.well && incident != nullptr && !shadow && !needs_held && !out_of_budget) {
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

class NobodyIsOvertakenForEver final : public Invariant {  // L03
 public:
  explicit NobodyIsOvertakenForEver(const core::Policy& policy)
      : Invariant("L03", bit(Watchable::Notice)), policy_(policy) {}
  void on_journal_lost() override { overtaken_.clear(); }
  void on_entry(const Seen& seen, const Books& before) override {
    if (!before.is_start(seen) || before.recovery(seen.recovery)->requested) return;
    for (const std::uint64_t id : before.active) {
      if (id >= seen.recovery) break;
      if (!is_eligible(before.recoveries.at(id), before, seen.at)) continue;
      if (++overtaken_[id] <= kOvertakenMax) continue;
      fail("recovery " + std::to_string(id) + " waits while later ones start");
    }
  }

 private:
  // What the journal does not tell (a pause between attempts) may hold it a few times.
  static constexpr int kOvertakenMax = 12;

  // As far as the journal tells: nothing holds it but what holds the others, too.
  bool is_eligible(const BookRecovery& of, const Books& books, Instant now) const {
    const auto& service = books.services.at(static_cast<std::size_t>(of.service));
    const auto& book = policy_.playbooks.at(static_cast<std::size_t>(of.playbook));
    const BookIncident* incident = books.incident(of.incident);
    const auto ended = books.last_ended.find({of.service, of.playbook});
    const Duration cooldown =
        book.cooldown > Duration::zero() ? book.cooldown : policy_.safety.cooldown;
    return of.state == core::RecoveryState::Planned && book.risk == core::Risk::Low &&
           books.mode_of(of.service) == core::Mode::Automatic && !service.tripped &&
           !service.quarantined && !books.in_maintenance(of.service, now) &&
           !books.playbook_open.at(static_cast<std::size_t>(of.playbook)) &&
           !books.demoted.at(static_cast<std::size_t>(of.playbook)) && book.prerequisites.empty() &&
           incident != nullptr && incident->open && !incident->suppressed &&
           (ended == books.last_ended.end() || ended->second + cooldown <= now);
  }

  const core::Policy& policy_;
  std::map<std::uint64_t, int> overtaken_;
};

class PeopleAreTold final : public Invariant {  // L04
 public:
  PeopleAreTold() : Invariant("L04", kDecisions) {}
  void on_journal_lost() override { owed_.clear(); }
  void on_entry(const Seen& seen, const Books& /*before*/) override {
    if (seen.type == "incident:escalated") owed_.insert(seen.service);
    const bool told = seen.is_command(core::Part::Supervision) &&
                      seen.command->action == core::ActionKind::Notify;
    if (told) owed_.erase(seen.service);
  }
  void on_end(const WorldTruth& /*world*/, const Books& /*books*/) override {
    if (owed_.empty()) return;
    fail("s" + std::to_string(*owed_.begin()) + " needs a person, and nobody is told");
  }

 private:
  std::set<int> owed_;
};

class BreakersClose final : public Invariant {  // L05
 public:
  explicit BreakersClose(const core::Policy& policy)
      : Invariant("L05", bit(Watchable::Notice)), policy_(policy) {}
  void on_entry(const Seen& seen, const Books& /*before*/) override {
    if (seen.type == "incident:resolved") resolved_[seen.service] = seen.at;
  }
  // It stays open no longer than its pause and, with the service well, one window.
  void on_end(const WorldTruth& world, const Books& books) override {
    constexpr Duration kGrace = core::minutes{10};
    const core::BreakerPolicy& breaker = policy_.safety.circuit_breaker;
    for (std::size_t index = 0; index < books.services.size(); ++index) {
      const BookService& service = books.services[index];
      const auto number = static_cast<int>(index);
      const bool well = world.services[index].well && books.open_incident_of(number) == nullptr;
      if (!service.tripped || !well) continue;
      const auto resolved = resolved_.find(number);
      const Instant from = std::max(
          service.breaker_since, resolved == resolved_.end() ? Instant::min() : resolved->second);
      if (world.now <= from + breaker.reset_timeout + breaker.window + kGrace) continue;
      fail("the breaker of s" + std::to_string(index) + " never closes");
    }
  }

 private:
  std::map<int, Instant> resolved_;
  const core::Policy& policy_;
};

}  // namespace

void add_liveness_invariants(Invariants& all, const core::Policy& policy) {
  all.push_back(std::make_unique<RecoveriesEnd>());
  all.push_back(std::make_unique<NobodyIsForgotten>(policy));
  all.push_back(std::make_unique<NobodyIsOvertakenForEver>(policy));
  all.push_back(std::make_unique<PeopleAreTold>());
  all.push_back(std::make_unique<BreakersClose>(policy));
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
