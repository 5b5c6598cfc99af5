#include "sim/scenario.h"

#include <algorithm>

#include "sim/dice.h"

namespace recover::sim {
namespace {

using core::ActionKind;
using core::milliseconds;
using core::seconds;

constexpr std::uint32_t kPatterns = 2;
constexpr std::uint64_t kPolicySalt = 0x706f6c696379ULL;

core::ProbePolicy make_probe(Dice& dice) {
  core::ProbePolicy probe;
  core::HttpProbe http;
  http.url = base::Secret("http://user:" + std::string(kCanary) + "@localhost/");
  probe.spec = http;
  probe.interval = seconds{dice.between(8, 25)};
  probe.failure_threshold = dice.between(1, 3);
  probe.success_threshold = dice.between(1, 2);
  return probe;
}

core::ServicePolicy make_service(Dice& dice, std::uint32_t index, std::uint32_t playbooks) {
  core::ServicePolicy service;
  service.name = "s" + std::to_string(index);
  core::RunSpec run;
  run.ready.start_timeout = seconds{dice.between(5, 20)};
  run.environment = {{"KEY", base::Secret(std::string(kCanary))}};
  service.spec = run;
  for (std::uint32_t other = 0; other < index; ++other) {
    if (dice.percent(100 / (index + 1))) service.depends_on.push_back({other});
  }
  for (std::uint32_t probe = dice.between(1, 2); probe > 0; --probe) {
    service.probes.push_back(make_probe(dice));
  }
  if (dice.percent(50)) {
    service.probes.push_back(
        {.spec = core::ResourceProbe{.resource = core::Resource::Disk, .path = "/", .max = 0.9},
         .interval = seconds{20}});
  }
  if (dice.percent(60)) service.state = {"/etc/" + service.name};
  service.priority = static_cast<core::Priority>(dice.roll(4));
  if (dice.percent(25)) service.mode = static_cast<core::Mode>(dice.roll(4));
  const std::uint32_t first = dice.roll(playbooks);
  for (std::uint32_t book = 0; book < playbooks; ++book) {
    service.playbooks.push_back({(first + book) % playbooks});
  }
  return service;
}

core::StepPolicy make_step(Dice& dice, std::uint32_t index) {
  core::StepPolicy step;
  step.name = "step" + std::to_string(index);
  constexpr std::array kActions = {
      ActionKind::Restart,    ActionKind::Restart, ActionKind::RestoreCheckpoint,
      ActionKind::CleanFiles, ActionKind::Exec,    ActionKind::Sql,
      ActionKind::Reload,     ActionKind::Wait,    ActionKind::KillLongQueries,
      ActionKind::Notify,     ActionKind::Stop,    ActionKind::Start,
      ActionKind::Approve};
  step.action = kActions[dice.roll(kActions.size())];
  step.timeout = seconds{dice.between(4, 25)};
  step.retry.attempts = dice.between(1, 3);
  step.retry.backoff.initial_interval = milliseconds{500};
  step.on_failure =
      dice.percent(60) ? core::OnFailure::Rollback : static_cast<core::OnFailure>(dice.roll(4));
  step.risk = dice.percent(70) ? core::Risk::Low : core::Risk::Medium;
  if (step.action == ActionKind::Wait)
    step.with = core::WaitAction{.duration = seconds{2}, .until = {}};
  if (step.action == ActionKind::Approve) {
    step.with = core::ApproveAction{.question = "go on?", .ttl = kAskedFor};
  }
  if (step.action == ActionKind::Exec || step.action == ActionKind::Sql) {
    step.idempotent = dice.percent(25);
    step.irreversible = dice.percent(50);
    if (!step.irreversible) step.undo = ActionKind::Exec;
  }
  if (step.action == ActionKind::Stop) step.undo = ActionKind::Start;
  return step;
}

core::PlaybookPolicy make_playbook(Dice& dice, std::uint32_t index) {
  core::PlaybookPolicy book;
  book.id = "p" + std::to_string(index);
  for (std::size_t failure = 0; failure < core::kFailureClassCount; ++failure) {
    core::TriggerPolicy trigger;
    trigger.failure = static_cast<core::FailureClass>(failure);
    book.triggers.push_back(trigger);
  }
  for (std::uint32_t step = 0, count = dice.between(1, 4); step < count; ++step) {
    book.steps.push_back(make_step(dice, step));
  }
  // Most playbooks can help: they end with the service started again.
  if (dice.percent(80)) {
    book.steps.back() = core::StepPolicy();
    book.steps.back().name = "last";
    book.steps.back().action = ActionKind::Restart;
    book.steps.back().timeout = seconds{25};
  }
  if (dice.percent(30)) {
    core::StepPolicy back;
    back.name = "back";
    back.action = ActionKind::RestoreCheckpoint;
    book.rollback.push_back(back);
  }
  book.checkpoint_required = dice.percent(25);
  book.risk = dice.percent(75) ? core::Risk::Low : core::Risk::High;
  book.cooldown = seconds{dice.between(0, 40)};
  book.approval_ttl = seconds{dice.between(15, 60)};
  book.validation.within = seconds{dice.between(10, 30)};
  book.validation.stable_for = seconds{dice.between(1, 6)};
  book.prerequisites_max_age = seconds{dice.between(2, 10)};
  if (dice.percent(40)) {
    book.prerequisites.push_back(*core::Expression::parse("maintenance == false"));
  }
  return book;
}

void set_safety(Dice& dice, core::Policy& policy) {
  core::SafetyPolicy& safety = policy.safety;
  safety.require_checkpoint = dice.percent(60);
  safety.enable_rollback = dice.percent(90);
  safety.max_rollback_attempts = dice.between(1, 2);
  safety.cooldown = seconds{dice.between(1, 20)};
  safety.max_recoveries_per_hour = dice.between(4, 25);
  safety.blast_radius = 0.1 * dice.between(1, 8);
  safety.playbook_breaker_threshold = dice.between(2, 4);
  safety.storm_enter = 0.1 * dice.between(4, 7);
  safety.storm_exit = 0.1 * dice.between(2, 3);
  safety.storm_cooldown = seconds{dice.between(5, 30)};
  safety.circuit_breaker.failure_threshold = dice.between(3, 6);
  safety.circuit_breaker.window = seconds{dice.between(60, 240)};
  safety.circuit_breaker.reset_timeout = seconds{dice.between(20, 60)};
  safety.circuit_breaker.half_open_requests = dice.between(1, 2);
}

}  // namespace

std::string_view to_string(Fault fault) noexcept {
  constexpr std::array<std::string_view, kFaultCount> kNames = {
      "crash",      "hang",      "slow",     "bad-config",   "disk-full",    "storm",
      "probes",     "effects",   "results",  "engine-crash", "journal-full", "fsync-error",
      "wall-clock", "operators", "patterns", "reload"};
  return kNames[static_cast<std::size_t>(fault)];
}

std::string describe(const Scenario& scenario) {
  std::string text =
      "seed " + std::to_string(scenario.seed) + ", at most " +
      std::to_string(scenario.services_max) + " services and " +
      std::to_string(scenario.troubles_max) + " faults within " +
      std::to_string(std::chrono::duration_cast<seconds>(scenario.troubled_for).count()) +
      " s of these kinds:";
  for (std::size_t fault = 0; fault < kFaultCount; ++fault) {
    const auto kind = static_cast<Fault>(fault);
    if (scenario.has(kind)) text += " " + std::string(to_string(kind));
  }
  return text;
}

Scenario scenario_of(std::uint64_t seed, std::uint32_t faults) {
  constexpr std::uint64_t kLargeEvery = 8;
  Scenario scenario{.seed = seed, .faults = faults};
  if (seed % kLargeEvery == 0) return scenario;
  scenario.services_max = 5;
  scenario.troubles_max = 12;
  scenario.troubled_for = std::chrono::minutes{2};
  return scenario;
}

core::Policy make_policy(const Scenario& scenario) {
  Dice dice(Random::mix(scenario.seed ^ kPolicySalt));
  core::Policy policy;
  const std::uint32_t playbooks = dice.between(1, 4);
  const std::uint32_t services = std::min(dice.between(3, 12), scenario.services_max);
  constexpr std::array kModes = {core::Mode::Shadow,           core::Mode::SemiAutomatic,
                                 core::Mode::AutomaticLimited, core::Mode::Automatic,
                                 core::Mode::Automatic,        core::Mode::Automatic};
  policy.recovery.mode = kModes[dice.roll(kModes.size())];
  policy.recovery.max_concurrent_recoveries = dice.between(1, 4);
  policy.recovery.recovery_timeout = seconds{dice.between(40, 180)};
  policy.recovery.max_attempts = dice.between(1, 4);
  policy.recovery.retry_delay = seconds{dice.between(1, 20)};
  policy.analysis.analysis_timeout = seconds{dice.between(2, 20)};
  policy.analysis.confidence_threshold = 0.1 * dice.between(3, 8);
  policy.require_all_checks = dice.percent(85);
  policy.detection.sensitivity = static_cast<core::Sensitivity>(dice.roll(3));
  policy.detection.flap_changes = dice.between(4, 6);
  policy.learning.min_samples = dice.between(1, 2);
  policy.learning.confidence_threshold = 0.3;
  policy.checkpoint.after = seconds{dice.between(10, 40)};
  set_safety(dice, policy);
  for (std::uint32_t book = 0; book < playbooks; ++book) {
    policy.playbooks.push_back(make_playbook(dice, book));
  }
  for (std::uint32_t service = 0; service < services; ++service) {
    policy.services.push_back(make_service(dice, service, playbooks));
  }
  for (std::uint32_t pattern = 0; pattern < kPatterns; ++pattern) {
    core::PatternPolicy made;
    made.id = "pattern" + std::to_string(pattern);
    made.failure = static_cast<core::FailureClass>(dice.roll(core::kFailureClassCount));
    made.cooldown = seconds{dice.between(5, 40)};
    policy.patterns.push_back(std::move(made));
  }
  if (scenario.mode) {
    policy.recovery.mode = *scenario.mode;
    for (core::ServicePolicy& service : policy.services) service.mode.reset();
  }
  return policy;
}

// Only what is judged at the moment a recovery starts, so that what runs is judged as it began.
core::Policy reloaded(core::Policy policy, const Scenario& scenario, std::uint32_t version) {
  Dice dice(Random::mix(scenario.seed ^ (kPolicySalt + version)));
  policy.recovery.max_concurrent_recoveries = dice.between(1, 4);
  policy.safety.max_recoveries_per_hour = dice.between(4, 25);
  policy.safety.blast_radius = 0.1 * dice.between(1, 8);
  policy.safety.cooldown = seconds{dice.between(1, 20)};
  policy.safety.playbook_breaker_threshold = dice.between(2, 4);
  policy.learning.min_samples = dice.between(1, 2);
  return policy;
}

}  // namespace recover::sim
