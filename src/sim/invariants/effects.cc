// Commands and what became of them: durable first, once, in order, and never misread.
#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "core/turn.h"
#include "sim/invariant.h"

namespace recover::sim {
namespace {

std::string name(const core::Command& command) {
  return "command " + std::to_string(command.id.value) + " (" +
         std::string(core::to_string(command.action)) + ")";
}

class IntentFirst final : public Invariant {  // I01
 public:
  IntentFirst() : Invariant("I01", bit(Watchable::Command) | bit(Watchable::Performed)) {}
  void on_entry(const Seen& seen, const Books& /*before*/) override {
    if (seen.command == nullptr || seen.sequence == 0) return;
    durable_[seen.command->id.value] = {seen.recovery, seen.command->index, seen.command->attempt};
  }
  void on_command(const core::Command& command, const Books& /*books*/) override {
    const auto found = durable_.find(command.id.value);
    const std::tuple key{command.recovery.value, command.index, command.attempt};
    if (found == durable_.end()) return fail(name(command) + " has no durable intent");
    if (found->second != key) fail(name(command) + " is not what its intent says");
  }

 private:
  std::map<std::uint64_t, std::tuple<std::uint64_t, std::uint32_t, std::uint32_t>> durable_;
};

class AtMostOnce final : public Invariant {  // I02
 public:
  AtMostOnce() : Invariant("I02", bit(Watchable::Effect)) {}
  void on_effect(const core::Command& command) override {
    if (command.idempotent) return;
    const std::tuple key{command.recovery.value, command.part, command.index};
    if (++applied_[key] > 1) {
      fail(name(command) + " took effect twice: step " + std::to_string(command.index) +
           " of recovery " + std::to_string(command.recovery.value));
    }
  }

 private:
  std::map<std::tuple<std::uint64_t, core::Part, std::uint32_t>, int> applied_;
};

class OneRecoveryPerTarget final : public Invariant {  // I03
 public:
  OneRecoveryPerTarget() : Invariant("I03", bit(Watchable::Notice)) {}
  void on_entry(const Seen& seen, const Books& before) override {
    if (!before.is_start(seen)) return;
    for (const auto& [id, other] : before.recoveries) {
      if (id == seen.recovery || other.service != seen.service || !other.in_effect()) continue;
      fail("recovery " + std::to_string(seen.recovery) + " starts while " + std::to_string(id) +
           " is in effect for the same service");
    }
  }
};

class EpochsGrow final : public Invariant {  // I04
 public:
  EpochsGrow() : Invariant("I04", bit(Watchable::Performed)) {}
  // Forgotten with the rest: the price of going on without a disk.
  void on_journal_lost() override { epochs_.clear(); }
  void on_command(const core::Command& command, const Books& /*books*/) override {
    std::uint64_t& highest = epochs_[command.service.value];
    if (command.epoch <= highest) fail(name(command) + " carries an old epoch");
    highest = std::max(highest, command.epoch);
  }

 private:
  std::map<std::uint32_t, std::uint64_t> epochs_;
};

class StaleResultsChangeNothing final : public Invariant {  // I05
 public:
  StaleResultsChangeNothing() : Invariant("I05", bit(Watchable::Event)) {}
  void on_entry(const Seen& seen, const Books& before) override {
    if (seen.event == nullptr) return;
    const auto* finished = std::get_if<core::CommandFinished>(seen.event);
    if (finished == nullptr || before.commands.contains(finished->command.value)) return;
    fail("the result of command " + std::to_string(finished->command.value) +
         ", which is not in flight, changed the state");
  }
};

// Said of a step right after its result: what the result was.
class OutcomesAreNotMisread final : public Invariant {  // I18, and I11 for what was refused.
 public:
  OutcomesAreNotMisread(std::string_view id, core::CommandOutcome outcome)
      : Invariant(id, kEvents | bit(Watchable::Notice)), outcome_(outcome) {}
  void on_entry(const Seen& seen, const Books& before) override {
    if (seen.event != nullptr) told_ = false;
    if (told_ || seen.type != "recovery:action" || seen.to) return;
    if (before.cause_outcome != outcome_ || before.cause_recovery != seen.recovery) return;
    told_ = true;
    const bool done = seen.message.ends_with(": done");
    const bool failed = seen.message.ends_with(": failed");
    if (done) fail("a step counts as done: " + std::string(seen.message));
    if (failed && outcome_ == core::CommandOutcome::Unknown) {
      fail("a step whose outcome is unknown counts as failed: " + std::string(seen.message));
    }
  }

 private:
  core::CommandOutcome outcome_;
  bool told_ = true;
};

}  // namespace

void add_effect_invariants(Invariants& all, const core::Policy& /*policy*/) {
  all.push_back(std::make_unique<IntentFirst>());
  all.push_back(std::make_unique<AtMostOnce>());
  all.push_back(std::make_unique<OneRecoveryPerTarget>());
  all.push_back(std::make_unique<EpochsGrow>());
  all.push_back(std::make_unique<StaleResultsChangeNothing>());
  all.push_back(std::make_unique<OutcomesAreNotMisread>("I11", core::CommandOutcome::Refused));
  all.push_back(std::make_unique<OutcomesAreNotMisread>("I18", core::CommandOutcome::Unknown));
}

}  // namespace recover::sim
