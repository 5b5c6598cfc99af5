// The life of a recovery: its states, its validation, the way back, its deadlines.
#include <algorithm>
#include <array>

#include "core/recovery_table.h"
#include "core/turn.h"
#include "sim/invariant.h"
#include "sim/scenario.h"

namespace recover::sim {
namespace {

class SuccessWasSeen final : public Invariant {  // I16
 public:
  explicit SuccessWasSeen(const core::Policy& policy)
      : Invariant("I16", bit(Watchable::Notice)), policy_(policy) {}
  void on_entry(const Seen& seen, const Books& before) override {
    if (seen.to != core::RecoveryState::Succeeded) return;
    const BookRecovery* of = before.recovery(seen.recovery);
    if (of == nullptr) return;
    const auto service = static_cast<std::size_t>(of->service);
    const auto& looks = before.services.at(service).looks;
    const std::size_t probes = policy_.services.at(service).probes.size();
    std::size_t passed = 0;
    for (std::uint32_t probe = 0; probe < probes; ++probe) {
      const auto look = looks.find(probe);
      if (look != looks.end() && look->second.passed &&
          look->second.started_at >= of->last_effect_end) {
        ++passed;
      } else if (policy_.require_all_checks) {
        return fail("it succeeded although probe " + std::to_string(probe) +
                    " did not pass after the last effect");
      }
    }
    if (probes > 0 && passed == 0)
      fail("it succeeded although no probe passed after the last effect");
  }

 private:
  const core::Policy& policy_;
};

class RollbackFits final : public Invariant {  // I17
 public:
  explicit RollbackFits(const core::Policy& policy)
      : Invariant("I17", kDecisions), policy_(policy) {}
  void on_entry(const Seen& seen, const Books& before) override {
    const BookRecovery* of = before.recovery(seen.recovery);
    if (of == nullptr) return;
    if (seen.is_command(core::Part::Undo)) {
      const auto step = of->steps.find(seen.command->index);
      // One still open got no answer in time.
      const bool happened = step != of->steps.end() && (step->second.possibly || step->second.open);
      if (!happened) {
        return fail("a step is undone that did not happen: " + std::to_string(seen.command->index));
      }
      if (seen.command->index > of->last_undo) fail("steps are not undone in reverse");
    }
    if (seen.to == core::RecoveryState::RolledBack) check_complete(*of);
  }

 private:
  void check_complete(const BookRecovery& of) {
    const auto& steps = policy_.playbooks.at(static_cast<std::size_t>(of.playbook)).steps;
    for (const auto& [index, step] : of.steps) {
      if (!step.possibly || step.undone || !steps.at(index).undo) continue;
      fail("step " + std::to_string(index) + " may have happened and was not undone");
    }
  }
  const core::Policy& policy_;
};

class DeadlinesEnd final : public Invariant {  // I19
 public:
  explicit DeadlinesEnd(const core::Policy& policy)
      : Invariant("I19", kEvents | bit(Watchable::Other)), policy_(policy) {}
  void on_entry(const Seen& seen, const Books& before) override {
    // While recoverd is away nothing is watched; its deadlines begin anew.
    // The first it writes is its policy.
    if (seen.event == nullptr) back_at_ = seen.at;
    const Duration grace = core::kLostAfter + core::seconds{12};
    for (const std::uint64_t id : before.active) {
      const BookRecovery& of = before.recoveries.at(id);
      if (!of.in_effect() || of.state == core::RecoveryState::RollingBack) continue;
      Instant end = std::max(of.started_at + policy_.recovery.recovery_timeout, back_at_);
      // The time people take is not the recovery's.
      if (of.asked_at != kNever && of.asked_at >= of.started_at) {
        end = std::max(end, of.asked_at + kAskedFor + policy_.recovery.recovery_timeout);
      }
      if (seen.at > end + grace) {
        fail("recovery " + std::to_string(id) + " goes on beyond recovery_timeout");
      }
    }
  }

 private:
  const core::Policy& policy_;
  Instant back_at_ = Instant::min();
};

class TableIsFollowed final : public Invariant {  // I23
 public:
  TableIsFollowed() : Invariant("I23", kDecisions) {}
  void on_entry(const Seen& seen, const Books& before) override {
    const BookRecovery* of = before.recovery(seen.recovery);
    if (seen.type == "recovery:planned" && of != nullptr) fail("a recovery is planned twice");
    if (of == nullptr) return;
    if (seen.command != nullptr && core::is_over(of->state) &&
        seen.command->part != core::Part::Supervision) {
      fail("a recovery that is over sends a command");
    }
    if (!seen.to) return;
    for (std::size_t signal = 0; signal < core::kSignalCount; ++signal) {
      if (core::next_state(of->state, static_cast<core::Signal>(signal)) == seen.to) return;
    }
    fail("no way leads from " + std::string(core::to_string(of->state)) + " to " +
         std::string(core::to_string(*seen.to)));
  }
};

}  // namespace

void add_saga_invariants(Invariants& all, const core::Policy& policy) {
  all.push_back(std::make_unique<SuccessWasSeen>(policy));
  all.push_back(std::make_unique<RollbackFits>(policy));
  all.push_back(std::make_unique<DeadlinesEnd>(policy));
  all.push_back(std::make_unique<TableIsFollowed>());
}

}  // namespace recover::sim
