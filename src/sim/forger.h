// For the tests of the checkers: a journal written by hand, entry by entry, and who objects first.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sim/checker.h"
#include "sim/scenario.h"

namespace recover::sim {

// Three services, each on its own, and one playbook of two steps.
inline core::Policy small_policy() {
  Scenario scenario;
  scenario.services_max = 3;
  core::Policy policy = make_policy(scenario);
  policy.recovery.mode = core::Mode::Automatic;
  policy.recovery.max_concurrent_recoveries = 2;
  policy.recovery.max_attempts = 2;
  policy.recovery.recovery_timeout = core::seconds{60};
  policy.require_all_checks = true;
  policy.safety.blast_radius = 1.0;
  policy.safety.max_recoveries_per_hour = 3;
  policy.safety.cooldown = core::seconds{10};
  policy.playbooks.resize(1);
  policy.playbooks[0].cooldown = core::seconds{0};
  policy.playbooks[0].approval_ttl = core::seconds{30};
  policy.playbooks[0].prerequisites = {*core::Expression::parse("maintenance == false")};
  policy.playbooks[0].prerequisites_max_age = core::seconds{5};
  core::StepPolicy step;
  step.action = core::ActionKind::Exec;
  step.undo = core::ActionKind::Exec;
  policy.playbooks[0].steps = {step, step};
  for (core::ServicePolicy& service : policy.services) {
    service.depends_on.clear();
    service.mode.reset();
    service.playbooks = {{0}};
    service.probes.resize(1);
    service.probes[0].failure_threshold = 3;
  }
  return policy;
}

class Forger {
 public:
  explicit Forger(core::Policy policy = small_policy())
      : policy_(std::move(policy)), checker_(policy_, 0) {}

  Forger& pass(Duration time) {
    now_ += time;
    return *this;
  }
  Forger& event(const core::Event& event) { return add(ports::EntryKind::Event, event); }
  Forger& notice(std::string type, int service, std::string message, std::uint64_t recovery = 0,
                 std::uint64_t incident = 0, std::string actor = "") {
    core::Notice notice;
    notice.type = std::move(type);
    if (service >= 0) notice.service = core::ServiceIndex{static_cast<std::uint32_t>(service)};
    notice.recovery = {recovery};
    notice.incident = {incident};
    notice.actor = std::move(actor);
    notice.message = std::move(message);
    return add(ports::EntryKind::Notice, std::move(notice));
  }
  Forger& command(std::uint64_t id, core::ActionKind action, std::uint32_t service,
                  core::Part part = core::Part::Supervision, std::uint64_t recovery = 0,
                  std::uint32_t index = 0) {
    core::Command command;
    command.id = {id};
    command.action = action;
    command.service = {service};
    command.part = part;
    command.playbook = core::PlaybookIndex{0};
    command.recovery = {recovery};
    command.index = index;
    command.epoch = 1;
    return add(ports::EntryKind::Command, std::move(command));
  }
  Forger& planned(std::uint64_t recovery, int service, std::uint64_t incident) {
    return notice("recovery:planned", service, "p0 for s" + std::to_string(service), recovery,
                  incident);
  }
  Forger& to(std::uint64_t recovery, int service, std::string state) {
    return notice("recovery:action", service, state + ": why", recovery, recovery);
  }
  // An incident and its recovery, started.
  Forger& started(std::uint64_t id, int service) {
    notice("incident:opened", service, "s", 0, id);
    return planned(id, service, id).to(id, service, "running");
  }
  Forger& finished(std::uint64_t command, core::CommandOutcome outcome) {
    return event(core::CommandFinished{.command = {command}, .outcome = outcome});
  }
  Checker& checker() { return checker_; }
  Instant now() const { return now_; }
  WorldTruth truth(bool well) const {
    return {.services = std::vector<ServiceTruth>(policy_.services.size(), {.well = well}),
            .now = now_};
  }
  std::string verdict() const {
    return checker_.violation() ? checker_.violation()->id : std::string("none");
  }
  Forger& skip_sequence() {
    ++sequence_;
    return *this;
  }

 private:
  Forger& add(ports::EntryKind kind, Row row) {
    const ports::Entry entry{.kind = kind, .at = now_};
    rows_.push_back(std::make_unique<Row>(std::move(row)));
    checker_.entry(entry, rows_.back().get(), ++sequence_);
    return *this;
  }

  core::Policy policy_;
  Checker checker_;
  Instant now_ = Instant{} + core::seconds{10};
  std::uint64_t sequence_ = 0;
  std::vector<std::unique_ptr<const Row>> rows_;
};

inline core::Command command_of(std::uint64_t id, std::uint64_t epoch = 1) {
  core::Command command;
  command.id = {id};
  command.epoch = epoch;
  command.recovery = {1};
  command.part = core::Part::Step;
  command.idempotent = false;
  return command;
}

}  // namespace recover::sim
