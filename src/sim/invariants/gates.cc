// Modes, approvals, pauses, storms, breakers: what must not start, and not go on.
#include <algorithm>

#include "sim/invariant.h"

namespace recover::sim {
namespace {

class ShadowRunsNothing final : public Invariant {  // I12
 public:
  ShadowRunsNothing() : Invariant("I12") {}
  void on_entry(const Seen& seen, const Books& before) override {
    const BookRecovery* of = before.recovery(seen.recovery);
    if (of != nullptr && seen.kind == ports::EntryKind::Command &&
        of->state == core::RecoveryState::Shadow) {
      return fail("a shadowed recovery sends a command");
    }
    if (!before.is_start(seen) || of->requested || of->approved_at != kNever) return;
    if (before.mode_of(of->service) == core::Mode::Shadow) fail("a recovery starts in shadow mode");
  }
};

class ApprovedPlansOnly final : public Invariant {  // I13
 public:
  explicit ApprovedPlansOnly(const core::Policy& policy) : Invariant("I13"), policy_(policy) {}
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
  PausesHold() : Invariant("I14") {}
  void on_entry(const Seen& seen, const Books& before) override {
    if (before.is_start(seen) && before.in_maintenance(seen.service, seen.at)) {
      fail("a recovery starts in maintenance");
    }
    if (seen.kind != ports::EntryKind::Command || !before.kill_switch) return;
    if (seen.type == "notify" || seen.command.settle) return;  // Words and questions.
    if (seen.recovery != 0) return fail("an effect of a recovery although the kill switch is on");
    const bool by_people = before.cause.starts_with("operator_");
    // What was under way when recoverd ended may be what people asked for.
    if (by_people || before.cause == "engine_started") return;
    fail("a " + std::string(seen.type) + " by itself although the kill switch is on");
  }
};

class PrerequisitesHold final : public Invariant {  // I15
 public:
  explicit PrerequisitesHold(const core::Policy& policy) : Invariant("I15"), policy_(policy) {}
  void on_entry(const Seen& seen, const Books& before) override {
    const auto service = static_cast<std::size_t>(seen.service);
    if (seen.type == "operator_maintenance") since_.clear();
    if (seen.kind != ports::EntryKind::Command || seen.command.part != "step") return;
    const BookRecovery* of = before.recovery(seen.recovery);
    if (of == nullptr) return;
    const auto& book = policy_.playbooks.at(static_cast<std::size_t>(of->playbook));
    const bool unwanted = std::ranges::any_of(book.prerequisites, [](const core::Expression& e) {
      return e.text() == "maintenance == false";
    });
    if (!unwanted || before.cause == "engine_started") return;
    if (!before.in_maintenance(of->service, seen.at)) {
      since_[service] = seen.at;
      return;
    }
    const auto last =
        std::max(of->started_at, since_.contains(service) ? since_[service] : Instant::min());
    if (seen.at <= last + book.prerequisites_max_age) return;
    fail("a step starts in maintenance, longer after its prerequisites were met than they hold");
  }

 private:
  const core::Policy& policy_;
  std::map<std::size_t, Instant> since_;
};

class LearningStaysAllowed final : public Invariant {  // I28
 public:
  explicit LearningStaysAllowed(const core::Policy& policy) : Invariant("I28"), policy_(policy) {}
  void on_entry(const Seen& seen, const Books& before) override {
    if (seen.type != "recovery:planned" || seen.says("asked for by")) return;
    const auto book = policy_.find_playbook(seen.message.substr(0, seen.message.find(' ')));
    const auto& listed = policy_.services.at(static_cast<std::size_t>(seen.service)).playbooks;
    if (!book || std::ranges::find(listed, *book) == listed.end()) {
      return fail("a playbook that is not the service's was chosen");
    }
    if (before.playbook_open.at(book->value)) fail("a playbook with an open breaker was chosen");
  }

 private:
  const core::Policy& policy_;
};

class BreakersHold final : public Invariant {  // I29
 public:
  BreakersHold() : Invariant("I29") {}
  void on_entry(const Seen& seen, const Books& before) override {
    if (!before.is_start(seen)) return;
    const BookRecovery& of = *before.recovery(seen.recovery);
    if (before.playbook_open.at(static_cast<std::size_t>(of.playbook))) {
      fail("a playbook runs although its breaker is open");
    }
    if (before.services.at(static_cast<std::size_t>(of.service)).breaker_open) {
      fail("a recovery starts although the service's breaker is open");
    }
  }
};

class StormsAreWaitedOut final : public Invariant {  // I30
 public:
  explicit StormsAreWaitedOut(const core::Policy& policy) : Invariant("I30"), policy_(policy) {}
  void on_entry(const Seen& seen, const Books& before) override {
    const double services = static_cast<double>(policy_.services.size());
    if (seen.type == "storm:entered" &&
        before.open_incidents() <= policy_.safety.storm_enter * services) {
      fail("a storm is entered with too few services unhealthy");
    }
    if (seen.type == "storm:left" && seen.at < before.storm_since + policy_.safety.storm_cooldown) {
      fail("a storm is left before its cooldown");
    }
    if (before.is_start(seen) && before.storm && !before.recovery(seen.recovery)->requested) {
      fail("a recovery starts in a storm");
    }
  }

 private:
  const core::Policy& policy_;
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
