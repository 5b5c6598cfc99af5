// Modes, approvals, pauses, storms, breakers: what must not start, and not go on.
#include <algorithm>

#include "sim/invariant.h"

namespace recover::sim {
namespace {

class ShadowRunsNothing final : public Invariant {  // I12
 public:
  ShadowRunsNothing() : Invariant("I12", kDecisions) {}
  void on_entry(const Seen& seen, const Books& before) override {
    const BookRecovery* of = before.recovery(seen.recovery);
    if (of != nullptr && seen.command != nullptr && of->state == core::RecoveryState::Shadow) {
      return fail("a shadowed recovery sends a command");
    }
    const bool wanted = of != nullptr && (of->requested || of->approved_at != kNever);
    const bool effect = of != nullptr && seen.command != nullptr && !seen.command->settle;
    // What was under way when recoverd ended is done again, or settled.
    if (effect && !wanted && before.cause != "engine_started" &&
        before.mode_of(of->service) == core::Mode::Shadow) {
      return fail("a recovery goes on although the mode became shadow");
    }
    if (!before.is_start(seen) || of->requested || of->approved_at != kNever) return;
    if (before.mode_of(of->service) == core::Mode::Shadow) fail("a recovery starts in shadow mode");
  }
};

class ApprovedPlansOnly final : public Invariant {  // I13
 public:
  explicit ApprovedPlansOnly(const core::Policy& policy)
      : Invariant("I13", bit(Watchable::Notice)), policy_(policy) {}
  void on_entry(const Seen& seen, const Books& before) override {
    if (!before.is_start(seen)) return;
    const BookRecovery& of = *before.recovery(seen.recovery);
    if (of.requested || before.mode_of(of.service) != core::Mode::SemiAutomatic) return;
    if (of.approved_at == kNever) return fail("a recovery starts without its approval");
    const Duration ttl = policy_.playbooks.at(static_cast<std::size_t>(of.playbook)).approval_ttl;
    if (seen.at > of.asked_at + ttl) fail("a recovery starts on an approval that has expired");
  }

 private:
  const core::Policy& policy_;
};

class PausesHold final : public Invariant {  // I14
 public:
  PausesHold() : Invariant("I14", kDecisions) {}
  void on_entry(const Seen& seen, const Books& before) override {
    if (before.is_start(seen) && before.in_maintenance(seen.service, seen.at)) {
      fail("a recovery starts in maintenance");
    }
    if (seen.command == nullptr || !before.kill_switch) return;
    if (seen.type == "notify" || seen.command->settle) return;  // Words and questions.
    if (seen.recovery != 0) return fail("an effect of a recovery although the kill switch is on");
    const bool by_people = before.cause.starts_with("operator_");
    // What was under way when recoverd ended may be what people asked for.
    if (by_people || before.cause == "engine_started") return;
    fail("a " + std::string(seen.type) + " by itself although the kill switch is on");
  }
};

class PrerequisitesHold final : public Invariant {  // I15
 public:
  explicit PrerequisitesHold(const core::Policy& policy)
      : Invariant("I15", bit(Watchable::Command)), policy_(policy) {}
  void on_entry(const Seen& seen, const Books& before) override {
    if (!seen.is_command(core::Part::Step)) return;
    const BookRecovery* of = before.recovery(seen.recovery);
    if (of == nullptr) return;
    const auto& book = policy_.playbooks.at(static_cast<std::size_t>(of->playbook));
    const bool unwanted = std::ranges::any_of(book.prerequisites, [](const core::Expression& e) {
      return e.text() == "maintenance == false";
    });
    if (!unwanted || before.cause == "engine_started") return;
    if (!before.in_maintenance(of->service, seen.at)) {
      met_[seen.recovery] = seen.at;
      return;
    }
    const auto met = met_.find(seen.recovery);
    const Instant last = std::max(of->started_at, met == met_.end() ? Instant::min() : met->second);
    if (seen.at <= last + book.prerequisites_max_age) return;
    fail("a step starts in maintenance, longer after its prerequisites were met than they hold");
  }

 private:
  const core::Policy& policy_;
  std::map<std::uint64_t, Instant> met_;  // When a step last started with them met.
};

class LearningStaysAllowed final : public Invariant {  // I28
 public:
  explicit LearningStaysAllowed(const core::Policy& policy)
      : Invariant("I28", bit(Watchable::Notice)), policy_(policy) {}
  void on_entry(const Seen& seen, const Books& before) override {
    if (seen.type != "recovery:planned" || seen.says("asked for by")) return;
    const auto book = policy_.find_playbook(seen.message.substr(0, seen.message.find(' ')));
    const auto& listed = policy_.services.at(static_cast<std::size_t>(seen.service)).playbooks;
    if (!book || std::ranges::find(listed, *book) == listed.end()) {
      return fail("a playbook that is not the service's was chosen");
    }
    if (before.playbook_open.at(book->value)) fail("a playbook with an open breaker was chosen");
    if (before.playbook_open_for.contains({static_cast<int>(book->value), seen.service})) {
      fail("a playbook whose breaker for the service is open was chosen");
    }
    if (before.demoted.at(book->value)) fail("a playbook that was demoted was chosen");
  }

 private:
  const core::Policy& policy_;
};

class BreakersHold final : public Invariant {  // I29
 public:
  BreakersHold() : Invariant("I29", bit(Watchable::Notice)) {}
  void on_entry(const Seen& seen, const Books& before) override {
    if (!before.is_start(seen)) return;
    const BookRecovery& of = *before.recovery(seen.recovery);
    if (before.playbook_open.at(static_cast<std::size_t>(of.playbook))) {
      fail("a playbook runs although its breaker is open");
    }
    const std::pair key{of.playbook, of.service};
    if (before.playbook_open_for.contains(key) || before.playbook_worn_out.contains(key)) {
      fail("a playbook runs again for a service it failed too often for");
    }
    if (before.services.at(static_cast<std::size_t>(of.service)).breaker_open) {
      fail("a recovery starts although the service's breaker is open");
    }
  }
};

class StormsAreWaitedOut final : public Invariant {  // I30
 public:
  explicit StormsAreWaitedOut(const core::Policy& policy)
      : Invariant("I30", kEvents | bit(Watchable::Notice)), policy_(policy) {}
  void on_entry(const Seen& seen, const Books& before) override {
    const double services = static_cast<double>(policy_.services.size());
    if (seen.type == "storm:entered" &&
        before.open_incidents() <= policy_.safety.storm_enter * services) {
      fail("a storm is entered with too few services unhealthy");
    }
    if (seen.type == "storm:entered") stirred_ = seen.at;
    // Those known to be unhealthy when a step is over were so until the next one.
    const double most = policy_.safety.storm_exit * services;
    if (seen.event != nullptr) {
      if (before.storm && before.unhealthy() > most) stirred_ = seen.at;
      return;
    }
    if (seen.type == "storm:left" && seen.at < stirred_ + policy_.safety.storm_cooldown) {
      fail("a storm is left before health was good for its whole cooldown");
    }
    if (before.is_start(seen) && before.storm && !before.recovery(seen.recovery)->requested) {
      fail("a recovery starts in a storm");
    }
  }

 private:
  const core::Policy& policy_;
  Instant stirred_ = Instant::min();  // When too many were last unhealthy.
};

}  // namespace

void add_gate_invariants(Invariants& all, const core::Policy& policy) {
  all.push_back(std::make_unique<ShadowRunsNothing>());
  all.push_back(std::make_unique<ApprovedPlansOnly>(policy));
  all.push_back(std::make_unique<PausesHold>());
  all.push_back(std::make_unique<PrerequisitesHold>(policy));
  all.push_back(std::make_unique<LearningStaysAllowed>(policy));
  all.push_back(std::make_unique<BreakersHold>());
  all.push_back(std::make_unique<StormsAreWaitedOut>(policy));
}

}  // namespace recover::sim
