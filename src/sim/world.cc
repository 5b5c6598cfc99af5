#include "sim/world.h"

#include <algorithm>
#include <utility>

namespace recover::sim {
namespace {

using core::ActionKind;
using core::CommandOutcome;
using core::milliseconds;
using core::seconds;

constexpr double kDiskFull = 0.9;
// Most histories are quiet by then; the others wait for an hourly budget, and looks are rarer.
constexpr Duration kPeaceUsual = core::minutes{4};
constexpr int kRareLooks = 8;

std::uint8_t level_of(double ratio) {
  if (ratio >= 0.95) return 3;
  if (ratio >= 0.85) return 2;
  return ratio >= 0.7 ? 1 : 0;
}

bool starts(ActionKind action) {
  return action == ActionKind::Start || action == ActionKind::Restart;
}

}  // namespace

// NOLINTNEXTLINE(readability-function-size): six things it is made of, each named where it is made.
World::World(const core::Policy& policy, const Scenario& scenario, Agenda& agenda, Checker& checker,
             Dice& dice, std::function<void(core::Event)> post)
    : policy_(policy),
      scenario_(scenario),
      agenda_(agenda),
      checker_(checker),
      dice_(dice),
      post_(std::move(post)),
      services_(policy.services.size()) {
  for (std::uint32_t service = 0; service < services_.size(); ++service) {
    services_[service].crashes_broken = dice_.percent(40);
    const auto& probes = policy_.services[service].probes;
    for (std::uint32_t probe = 0; probe < probes.size(); ++probe) {
      agenda_.add(now_ + dice_.pause(milliseconds{1}, probes[probe].interval), Happening::Look,
                  service, probe, 1);
    }
  }
}

// ---- probes ------------------------------------------------------------------------------------

void World::watch(const core::Policy& /*policy*/) {}

void World::look(core::ServiceIndex service) {
  if (cut_ == 0) return;
  const auto count = static_cast<std::uint32_t>(policy_.services[service.value].probes.size());
  for (std::uint32_t probe = 0; probe < count; ++probe) {
    agenda_.add(now_ + milliseconds{1}, Happening::Look, service.value, probe, 0);
  }
}

World::Look World::see(std::uint32_t service, std::uint32_t probe) {
  const Service& of = services_[service];
  Look look{.started_at = now_, .latency = dice_.pause(milliseconds{1}, milliseconds{40})};
  const auto fails = [&look](core::Symptom symptom, core::FailureClass failure) {
    look.outcome = core::ProbeOutcome::Failed;
    look.symptom = symptom;
    look.failure = failure;
  };
  if (has(Fault::Probes) && dice_.percent(3)) look.outcome = core::ProbeOutcome::Unknown;
  if (look.outcome == core::ProbeOutcome::Unknown) return look;
  const bool disk =
      core::kind_of(policy_.services[service].probes[probe].spec) == core::ProbeKind::Resource;
  if (disk) {
    if (disk_ > kDiskFull) {
      fails(core::Symptom::DiskFull, core::FailureClass::ResourceExhaustion);
    }
    return look;
  }
  const bool flaps = now_ < of.flaps_until && dice_.percent(50);
  if (!of.running || !of.ready || now_ < of.out_until) {
    fails(core::Symptom::ConnectionRefused, core::FailureClass::Connection);
  } else if (of.hung) {
    fails(core::Symptom::ServiceUnresponsive, core::FailureClass::Timeout);
  } else if (of.broken || flaps) {
    fails(core::Symptom::ProbeFailed, core::FailureClass::ServiceFailure);
  } else if (of.slow) {
    fails(core::Symptom::SlowResponse, core::FailureClass::Timeout);
  } else if (!is_well(service)) {
    fails(core::Symptom::ProbeFailed, core::FailureClass::DependencyFailure);
  }
  return look;
}

void World::begin_look(std::uint32_t service, std::uint32_t probe, bool repeats) {
  const core::ProbePolicy& policy = policy_.services[service].probes[probe];
  const int rarer = now_ < rare_from_ ? 1 : kRareLooks;
  if (repeats) agenda_.add(now_ + policy.interval * rarer, Happening::Look, service, probe, 1);
  Look look = see(service, probe);
  if (has(Fault::Probes) && dice_.percent(4)) {
    look.latency = dice_.pause(seconds{1}, seconds{6});
  }
  agenda_.add(now_ + look.latency, Happening::Answer, service, probe, looks_.size());
  looks_.push_back(look);
}

void World::answer(const Planned& planned) {
  const Look& look = looks_[planned.c];
  core::ProbeFinished event;
  event.service = {planned.a};
  event.probe = planned.b;
  event.outcome = look.outcome;
  event.latency = look.latency;
  event.started_at = look.started_at;
  event.symptom = look.symptom;
  event.failure = look.failure;
  if (look.outcome == core::ProbeOutcome::Failed) event.detail = "wrong answer";
  post_(std::move(event));
}

// ---- processes ---------------------------------------------------------------------------------

void World::start(std::uint32_t service) {
  Service& of = services_[service];
  if (of.running) return;
  of.running = true;
  of.ready = false;
  of.told = true;
  of.hung = false;
  of.slow = false;
  of.pid = next_pid_++;
  post_(core::ProcessStarted{{service}, 0, {of.pid, 1}, false});
  const auto pid = static_cast<std::uint64_t>(of.pid);
  if (of.broken && of.crashes_broken) {
    agenda_.add(now_ + milliseconds{60}, Happening::Exit, service, 0, pid);
  } else {
    agenda_.add(now_ + dice_.pause(milliseconds{20}, milliseconds{400}), Happening::Ready, service,
                0, pid);
  }
}

void World::stop(std::uint32_t service, bool expected) {
  Service& of = services_[service];
  if (!of.running) return;
  of.running = false;
  of.ready = false;
  core::ProcessExited event;
  event.service = {service};
  event.incarnation = {of.pid, 1};
  event.code = expected ? 0 : 1;
  event.expected = expected;
  post_(event);
}

void World::set_disk(double ratio) {
  const bool crossed = level_of(ratio) != level_of(disk_);
  disk_ = ratio;
  if (crossed) {
    post_(core::ResourceLevelChanged{core::Symptom::DiskFull, "/", ratio, level_of(ratio)});
  }
}

// ---- effects -----------------------------------------------------------------------------------

void World::perform(const core::Command& command, const core::Policy& /*policy*/,
                    ports::Done done) {
  if (cut_ == 0) return;
  if (cut_ > 0) --cut_;
  checker_.command(command, now_);
  slots_.push_back({.command = command,
                    .done = std::move(done),
                    .engine = engine_,
                    .begun = false,
                    .dropped = false,
                    .answered = false,
                    .outcome = CommandOutcome::Done,
                    .checkpoint = {}});
  plan_effect(slots_.size() - 1);
}

// What an effector can find out about an earlier run of the same step.
CommandOutcome World::query(const core::Command& command) {
  CommandOutcome known = CommandOutcome::Failed;
  for (Slot& slot : slots_) {
    const core::Command& other = slot.command;
    if (other.settle || other.recovery != command.recovery || other.part != command.part ||
        other.index != command.index || other.attempt != command.attempt) {
      continue;
    }
    if (slot.begun) return CommandOutcome::Done;
    if (!slot.dropped && slot.outcome != CommandOutcome::Failed) known = CommandOutcome::Unknown;
  }
  return known;
}

void World::plan_effect(std::uint64_t index) {
  Slot& slot = slots_[index];
  const core::Command& command = slot.command;
  const auto result = [&](Duration after, CommandOutcome outcome) {
    slot.outcome = outcome;
    agenda_.add(now_ + after, Happening::Result, 0, 0, index);
  };
  const auto effect = [&](Duration after) {
    agenda_.add(now_ + after, Happening::Effect, 0, 0, index);
  };
  const Duration quick = dice_.pause(milliseconds{2}, milliseconds{700});
  if (command.settle) return result(quick, query(command));
  // After a start its effector waits until it is ready.
  const Duration settled = starts(command.action) ? milliseconds{500} : milliseconds{0};
  if (has(Fault::Effects) && dice_.percent(12)) {
    const Duration late = command.deadline - now_;
    switch (dice_.roll(6)) {
      case 0:  // It never was.
        slot.dropped = true;
        checker_.goals().reach(Goal::EmptySelector);
        return result(milliseconds{1}, CommandOutcome::Refused);
      case 1: slot.dropped = true; return result(quick, CommandOutcome::Failed);
      case 2: slot.dropped = true; return result(quick, CommandOutcome::Done);  // A lie.
      case 3:  // Too slow: it may still come.
        if (dice_.percent(50)) {
          effect(late + quick);
        } else {
          slot.dropped = true;
        }
        return result(late, CommandOutcome::Unknown);
      case 4: effect(quick); return result(quick + settled, CommandOutcome::Unknown);
      default: effect(late / 2); return result(late / 2 + settled, CommandOutcome::Done);
    }
  }
  effect(quick);
  if (has(Fault::Results) && dice_.percent(4)) return;  // Lost.
  result(quick + settled, CommandOutcome::Done);
  if (has(Fault::Results) && dice_.percent(6)) {
    agenda_.add(now_ + quick + settled + dice_.pause(milliseconds{1}, seconds{20}),
                Happening::Duplicate, 0, 0, index);
  }
}

void World::cancel(core::CommandId command) {
  if (cut_ == 0) return;
  for (std::uint64_t index = 0; index < slots_.size(); ++index) {
    Slot& slot = slots_[index];
    if (slot.engine != engine_ || slot.command.id != command || slot.answered) continue;
    if (!slot.begun) slot.dropped = true;
    if (slot.outcome != CommandOutcome::Unknown) {
      slot.outcome = slot.begun ? CommandOutcome::Unknown : CommandOutcome::Failed;
    }
    agenda_.add(now_ + milliseconds{5}, Happening::Result, 0, 0, index);
  }
}

void World::feel(Slot& slot) {
  if (slot.dropped || slot.begun) return;
  slot.begun = true;
  checker_.effect(slot.command, now_);
  if (scenario_.effects_twice) checker_.effect(slot.command, now_);
  act(slot.command, slot);
}

void World::act(const core::Command& command, Slot& slot) {
  const std::uint32_t index = command.service.value;
  Service& of = services_[index];
  const bool partial = has(Fault::Effects) && dice_.percent(4);
  switch (command.action) {
    case ActionKind::Start: return start(index);
    case ActionKind::Stop: return stop(index, true);
    case ActionKind::Restart:
      stop(index, true);
      if (partial) {
        slot.outcome = CommandOutcome::Unknown;
        return;
      }
      return start(index);
    case ActionKind::Reload:
    case ActionKind::KillLongQueries: of.slow = false; return;
    case ActionKind::Checkpoint:
      if (!command.checkpoint.empty()) {  // Nothing is taken: that one gets the name.
        slot.checkpoint = command.checkpoint;
        of.checkpoints["last-good"] = of.checkpoints[command.checkpoint];
        return;
      }
      slot.checkpoint = "cp" + std::to_string(next_checkpoint_++);
      of.checkpoints[slot.checkpoint] = of.broken;
      if (!command.text.empty()) of.checkpoints[command.text] = of.broken;
      return;
    case ActionKind::RestoreCheckpoint: {
      const auto found = of.checkpoints.find(command.text);
      if (found == of.checkpoints.end()) {
        slot.outcome = CommandOutcome::Failed;
        return;
      }
      of.broken = found->second;
      return;
    }
    case ActionKind::CleanFiles:
      if (disk_ > 0.5) set_disk(partial ? disk_ - 0.03 : 0.5);
      return;
    case ActionKind::Signal: of.hung = false; return;
    case ActionKind::Exec:
    case ActionKind::Http:
    case ActionKind::Sql:
    case ActionKind::Redis:
    case ActionKind::RotateLogs:
    case ActionKind::FreeResources:
    case ActionKind::AdjustLimits:
    case ActionKind::Scale:
    case ActionKind::Failover:
    case ActionKind::Isolate:
    case ActionKind::Quarantine:
    case ActionKind::RestoreBackup:
    case ActionKind::GitRestore:
    case ActionKind::Sync:
    case ActionKind::Wait:
    case ActionKind::Approve:
    case ActionKind::Freeze:
    case ActionKind::Thaw:
    case ActionKind::Notify: return;
  }
}

void World::finish(std::uint64_t index) {
  Slot& slot = slots_[index];
  if (slot.answered || slot.engine != engine_ || !slot.done) return;
  slot.answered = true;
  const Service& of = services_[slot.command.service.value];
  const bool lied = slot.dropped;
  if (slot.outcome == CommandOutcome::Done && starts(slot.command.action) && !lied && !of.ready) {
    slot.outcome = CommandOutcome::Failed;
  }
  // Failed means: nothing happened. Of what may have run on its own nobody says so.
  if (slot.outcome == CommandOutcome::Failed && slot.begun && !slot.command.idempotent) {
    slot.outcome = CommandOutcome::Unknown;
  }
  slot.done({.command = slot.command.id,
             .outcome = slot.outcome,
             .detail = slot.outcome == CommandOutcome::Done ? "" : "trouble",
             .checkpoint = slot.checkpoint});
}

void World::happen(const Planned& planned) {
  switch (planned.what) {
    case Happening::Look: return begin_look(planned.a, planned.b, planned.c == 1);
    case Happening::Answer: return answer(planned);
    case Happening::Ready: {
      Service& of = services_[planned.a];
      if (!of.running || static_cast<std::uint64_t>(of.pid) != planned.c) return;
      of.ready = true;
      // recoverd ended before it could write that it started.
      if (!of.told) post_(core::ProcessStarted{{planned.a}, 0, {of.pid, 1}, true});
      of.told = true;
      return post_(core::ProcessReady{{planned.a}, 0, {of.pid, 1}});
    }
    case Happening::Exit: {
      const Service& of = services_[planned.a];
      if (static_cast<std::uint64_t>(of.pid) == planned.c) stop(planned.a, false);
      return;
    }
    case Happening::Effect: return feel(slots_[planned.c]);
    case Happening::Result: return finish(planned.c);
    case Happening::Duplicate: {
      const Slot& slot = slots_[planned.c];
      checker_.goals().reach(Goal::StaleResult);
      return post_(core::CommandFinished{
          .command = slot.command.id, .outcome = slot.outcome, .detail = "again"});
    }
    case Happening::Trouble:
    case Happening::Person:
    case Happening::Back:
    case Happening::JournalBack:
    case Happening::KillOff:
    case Happening::Peace:
    case Happening::Quiet: return;
  }
}

// ---- trouble -----------------------------------------------------------------------------------

void World::crash(std::uint32_t service) {
  stop(service, false);
}
void World::hang(std::uint32_t service) {
  services_[service].hung = services_[service].running;
  if (services_[service].hung && dice_.percent(40)) {
    post_(core::WatchdogExpired{{service}, 0});
  }
}
void World::slow(std::uint32_t service) {
  services_[service].slow = true;
}
void World::corrupt(std::uint32_t service) {
  services_[service].broken = true;
  if (services_[service].crashes_broken) stop(service, false);
}
void World::flap(std::uint32_t service, Duration time) {
  services_[service].flaps_until = now_ + time;
}
void World::cut_off(std::uint32_t service, Duration time) {
  services_[service].out_until = now_ + time;
}
void World::fill_disk() {
  set_disk(0.97);
}
void World::make_peace() {
  peace_ = true;
  rare_from_ = now_ + kPeaceUsual;
  for (Service& of : services_) of.flaps_until = of.out_until = Instant::min();
}

// ---- recoverd ----------------------------------------------------------------------------------

bool World::in_doubt() const {
  return std::ranges::any_of(slots_, [this](const Slot& slot) {
    return slot.engine == engine_ && slot.begun && !slot.answered;
  });
}

void World::lose_engine() {
  for (Slot& slot : slots_) {
    if (slot.engine != engine_ || slot.answered) continue;
    if (slot.begun) checker_.goals().reach(Goal::CrashBeforeRecord);
    if (!slot.begun && !slot.dropped) {
      checker_.goals().reach(Goal::CrashBeforeEffect);
      slot.dropped = dice_.percent(50);
    }
    slot.done = nullptr;
  }
  ++engine_;
}

void World::begin_engine() {
  uncut();
}

void World::announce() {
  for (std::uint32_t service = 0; service < services_.size(); ++service) {
    Service& of = services_[service];
    of.told = of.running && of.ready;
    if (!of.told) continue;
    post_(core::ProcessStarted{{service}, 0, {of.pid, 1}, true});
    // It may have become so while nobody looked.
    post_(core::ProcessReady{{service}, 0, {of.pid, 1}});
  }
  if (level_of(disk_) > 0) {
    post_(core::ResourceLevelChanged{core::Symptom::DiskFull, "/", disk_, level_of(disk_)});
  }
}

// Down the dependencies, in which configurations allow no cycle.
bool World::is_well(std::uint32_t service) const {  // NOLINT(misc-no-recursion): no cycles there.
  const Service& of = services_[service];
  if (!of.running || !of.ready || of.hung || of.slow || of.broken) return false;
  const core::ServicePolicy& policy = policy_.services[service];
  return std::ranges::all_of(policy.depends_on,
                             // NOLINTNEXTLINE(misc-no-recursion): no cycles there.
                             [this](core::ServiceIndex each) { return is_well(each.value); });
}

WorldTruth World::truth() const {
  WorldTruth truth;
  truth.now = now_;
  for (std::uint32_t service = 0; service < services_.size(); ++service) {
    const core::ServicePolicy& policy = policy_.services[service];
    ServiceTruth each;
    each.well = is_well(service);
    // They come before it.
    each.depends_bad = std::ranges::any_of(policy.depends_on, [&truth](core::ServiceIndex other) {
      return !truth.services[other.value].well || truth.services[other.value].depends_bad;
    });
    const bool on_disk = std::ranges::any_of(policy.probes, [](const core::ProbePolicy& probe) {
      return core::kind_of(probe.spec) == core::ProbeKind::Resource;
    });
    if (on_disk && disk_ > kDiskFull) each.well = false;
    truth.services.push_back(each);
  }
  return truth;
}

}  // namespace recover::sim
