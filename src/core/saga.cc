#include "core/saga.h"

#include <algorithm>

#include "core/facts.h"
#include "core/health.h"
#include "core/hold.h"
#include "core/plan.h"
#include "core/recovery.h"
#include "core/safety.h"
#include "core/steps.h"
#include "core/validation.h"

namespace recover::core {
namespace {

// Between two looks for a fact that is not known.
constexpr Duration kFactPause = seconds{1};

bool is_finished(StepState state) {
  return state != StepState::Pending && state != StepState::Running;
}

StepProgress* step_in_flight(Turn& turn, Recovery& recovery) {
  const auto flies = [&turn](const StepProgress& progress) {
    return progress.state == StepState::Running && turn.state.in_flight.contains(progress.command);
  };
  for (std::vector<StepProgress>* list : {&recovery.steps, &recovery.rollback}) {
    const auto found = std::ranges::find_if(*list, flies);
    if (found != list->end()) return &*found;
  }
  return nullptr;
}

StepProgress* step_of(Recovery& recovery, CommandId command) {
  for (std::vector<StepProgress>* list : {&recovery.steps, &recovery.rollback}) {
    for (StepProgress& progress : *list) {
      if (progress.command == command && progress.state == StepState::Running) return &progress;
    }
  }
  return nullptr;
}

void tell(Turn& turn, const Recovery& recovery, const StepPolicy& step, std::string_view what) {
  Notice& notice =
      turn.notice("recovery:action", Severity::Low, recovery.service,
                  text({step.name.empty() ? to_string(step.action) : std::string_view(step.name),
                        " (", to_string(step.action), "): ", what}));
  notice.incident = recovery.incident;
  notice.recovery = recovery.id;
}

bool prerequisites_hold(Turn& turn, Recovery& recovery) {
  const PlaybookPolicy& playbook = turn.policy.playbook(recovery.playbook);
  const Instant stale = saturating_add(recovery.prerequisites_at, playbook.prerequisites_max_age);
  if (playbook.prerequisites.empty() || stale > turn.now) return true;
  for (const PrerequisiteCheck& check :
       check_prerequisites(turn.policy, turn.state, recovery, turn.now)) {
    if (check.truth == Truth::True) continue;
    const Duration patience = turn.policy.analysis.analysis_timeout;
    if (check.truth == Truth::Missing && saturating_add(stale, patience) > turn.now) {
      // A step before made it unknown (a process that starts anew): it may be known again soon.
      recovery.wake_at = saturating_add(turn.now, kFactPause);
      turn.look(recovery.service);
      return false;
    }
    fail_recovery(turn, recovery, Rule::Prerequisites,
                  text({"no longer met: ", check.expression, " (", check.observed, ")"}));
    return false;
  }
  recovery.prerequisites_at = turn.now;
  return true;
}

// Whether all of the fault shows in instances, each for itself.
bool is_of_instances(const Incident& incident) {
  if (incident.symptoms.empty() || !incident.requested_by.empty()) return false;
  return std::ranges::all_of(incident.symptoms, [](Symptom symptom) {
    return symptom == Symptom::ProcessCrash || symptom == Symptom::CrashLoop ||
           symptom == Symptom::WatchdogTimeout;
  });
}

// What a playbook may do beside instances that go on working: nothing to what they share.
bool spares_the_shared(const PlaybookPolicy& playbook) {
  return std::ranges::all_of(playbook.steps, [](const StepPolicy& step) {
    return step.action == ActionKind::Stop || step.action == ActionKind::Start ||
           step.action == ActionKind::Restart || step.action == ActionKind::Wait ||
           step.action == ActionKind::Notify || step.action == ActionKind::Approve;
  });
}

// The instances a stop or restart is about, "1,3" counted from 0: where some of them failed and the
// others are well, those that are well are left alone. Empty: all.
std::string failed_instances(Turn& turn, const Recovery& recovery, const StepPolicy& step) {
  const bool stops = step.action == ActionKind::Stop || step.action == ActionKind::Restart;
  const Incident* incident = turn.incident(recovery.incident);
  if (!stops || step.target.value_or(recovery.service) != recovery.service) return {};
  if (incident == nullptr || !is_of_instances(*incident)) return {};
  if (!spares_the_shared(turn.policy.playbook(recovery.playbook))) return {};
  const ServiceHealth& health = turn.state.services.at(recovery.service.value);
  const std::size_t wanted = std::min<std::size_t>(health.desired, health.instances.size());
  std::string failed;
  bool any_well = false;
  for (std::size_t index = 0; index < wanted; ++index) {
    const InstanceHealth& instance = health.instances[index];
    if (instance.held) continue;
    const bool well = instance.state == InstanceState::Up && !instance.hung;
    any_well = any_well || well;
    if (!well) failed += text({failed.empty() ? "" : ",", std::to_string(index)});
  }
  return any_well ? failed : std::string();
}

void send_step(Turn& turn, Recovery& recovery, StepProgress& progress, const StepPolicy& step) {
  Command command;
  command.service = step.target.value_or(recovery.service);
  command.action = step.action;
  command.part = progress.part;
  if (progress.part != Part::Checkpoint) command.playbook = recovery.playbook;
  command.index = progress.index;
  command.recovery = recovery.id;
  command.incident = recovery.incident;
  command.attempt = ++progress.attempts;
  command.idempotent = step.idempotent;
  command.deadline = saturating_add(turn.now, step.timeout);
  command.text = text_of(recovery, step);
  const std::string failed =
      progress.part == Part::Step ? failed_instances(turn, recovery, step) : std::string();
  if (!failed.empty()) command.text = failed;
  progress.state = StepState::Running;
  if (progress.started_at == kNever) progress.started_at = turn.now;
  progress.command = turn.send(std::move(command));
  tell(turn, recovery, step,
       text({"attempt ", std::to_string(progress.attempts),
             failed.empty() ? "" : ", only of what failed"}));
}

void finish(Turn& turn, StepProgress& progress, StepState state) {
  progress.state = state;
  progress.ended_at = turn.now;
  turn.moved = true;
}

void begin_wait(Turn& turn, Recovery& recovery, StepProgress& progress, const StepPolicy& step) {
  const WaitAction* wait = std::get_if<WaitAction>(&step.with);
  progress.state = StepState::Running;
  progress.attempts = 1;
  progress.started_at = turn.now;
  recovery.wake_at = saturating_add(turn.now, wait == nullptr ? seconds{1} : wait->duration);
  tell(turn, recovery, step, "waits");
}

// What was met before a wait is asked again after it, however short it was.
void expire_prerequisites(const Turn& turn, Recovery& recovery) {
  const Duration max_age = turn.policy.playbook(recovery.playbook).prerequisites_max_age;
  recovery.prerequisites_at = std::min(recovery.prerequisites_at, turn.now - max_age);
}

void continue_wait(Turn& turn, Recovery& recovery, StepProgress& progress, const StepPolicy& step) {
  const WaitAction* wait = std::get_if<WaitAction>(&step.with);
  bool over = recovery.wake_at <= turn.now;
  if (wait != nullptr && !wait->until.text().empty()) {
    const ServiceFacts facts(turn.policy, turn.state, recovery.service, turn.now);
    over = over || wait->until.evaluate(facts) == Truth::True;
  }
  if (!over) return;
  recovery.wake_at = kNever;
  expire_prerequisites(turn, recovery);
  finish(turn, progress, StepState::Done);
}

void begin_approval(Turn& turn, Recovery& recovery, StepProgress& progress,
                    const StepPolicy& step) {
  const ApproveAction* approve = std::get_if<ApproveAction>(&step.with);
  const std::string question = approve == nullptr ? step.name : approve->question;
  progress.state = StepState::Running;
  progress.attempts = 1;
  progress.started_at = turn.now;
  recovery.approval_until = saturating_add(
      turn.now,
      approve == nullptr ? turn.policy.playbook(recovery.playbook).approval_ttl : approve->ttl);
  // The time people take is not the recovery's.
  recovery.deadline =
      std::max(recovery.deadline,
               saturating_add(recovery.approval_until, turn.policy.recovery.recovery_timeout));
  signal(turn, recovery, Signal::ApprovalAsked, question);
  Notice& notice = turn.notice("recovery:approval_required", Severity::High, recovery.service,
                               text({question, "; plan ", std::to_string(recovery.plan_hash)}));
  notice.recovery = recovery.id;
}

// The mode became shadow under way: nothing of it runs any more unless a person wanted it to.
bool fell_in_shadow(const Turn& turn, const Recovery& recovery) {
  return recovery.requested_by.empty() && recovery.approved_by.empty() &&
         effective_mode(turn.policy, turn.state, recovery.service) == Mode::Shadow;
}

Reason held_in_shadow() {
  return {Rule::Mode, Verdict::Wait, "shadow: its next step is held"};
}

void leave_shadow(Recovery& recovery) {
  std::erase(recovery.reasons, held_in_shadow());
  if (recovery.state == RecoveryState::RollingBack) recovery.deadline = kNever;
}

// Held no longer than a recovery may take; then a person goes on from where it stands.
void hold_in_shadow(Turn& turn, Recovery& recovery) {
  if (recovery.deadline == kNever) {
    recovery.deadline = saturating_add(turn.now, turn.policy.recovery.recovery_timeout);
  }
  if (std::ranges::find(recovery.reasons, held_in_shadow()) != recovery.reasons.end()) return;
  add_reason(recovery.reasons, held_in_shadow());
  Notice& notice =
      turn.notice("recovery:held", Severity::High, recovery.service,
                  text({"the mode is shadow now: recovery ", std::to_string(recovery.id.value),
                        " of ", turn.service(recovery.service).name,
                        " takes no further step; what it did so far stays"}));
  notice.incident = recovery.incident;
  notice.recovery = recovery.id;
}

// Of our own books alone: no edge has a part in it. Undone, the service is released, unless it was
// in quarantine before.
void quarantine_step(Turn& turn, Recovery& recovery, StepProgress& progress,
                     const StepPolicy& step) {
  const bool on = progress.part != Part::Undo;
  const ServiceIndex target = step.target.value_or(recovery.service);
  progress.attempts = 1;
  progress.started_at = turn.now;
  if (turn.seen(target).quarantined == on) {
    progress.output = on ? "it is in quarantine already" : "it was released meanwhile";
    return finish(turn, progress, StepState::Skipped);
  }
  turn.health(target).quarantined = on;
  progress.output = text({turn.service(target).name,
                          on ? " is left alone until `recoverctl release " : " is released",
                          on ? turn.service(target).name : "", on ? "`" : ""});
  recovery.last_effect_at = turn.now;
  finish(turn, progress, StepState::Done);
  tell(turn, recovery, step, to_string(progress.state));
  refresh(turn, target);
}

// How many instances are wanted after it.
std::uint32_t scaled(const Turn& turn, ServiceIndex service, const ScaleAction& scale) {
  const std::uint32_t now = turn.state.services.at(service.value).desired;
  const RunSpec* run = std::get_if<RunSpec>(&turn.service(service).spec);
  if (run == nullptr) return now;
  const std::int64_t wanted = static_cast<std::int64_t>(now) + scale.by;
  return static_cast<std::uint32_t>(
      std::clamp<std::int64_t>(wanted, run->scale_min, std::max(run->scale_max, run->scale_min)));
}

// A recovery stops no service by taking those away that a person left running.
bool takes_the_last(const Turn& turn, ServiceIndex service, const StepPolicy& step) {
  const ScaleAction* scale = std::get_if<ScaleAction>(&step.with);
  if (step.action != ActionKind::Scale || scale == nullptr) return false;
  return !leaves_one(turn.state.services.at(service.value), scaled(turn, service, *scale));
}

bool is_held(const Turn& turn, const StepPolicy& step) {
  if (turn.state.kill_switch) return true;
  return turn.state.journal_degraded && !is_safe_without_journal(step);
}

void fail_step(Turn& turn, Recovery& recovery, StepProgress& progress, const StepPolicy& step);

// Of a step that is Pending. Every check is made again right before the effect.
void begin_step(Turn& turn, Recovery& recovery, StepProgress& progress) {
  if (recovery.wake_at != kNever && recovery.wake_at > turn.now) return;
  recovery.wake_at = kNever;
  const StepPolicy step = policy_of(turn, recovery, progress);
  if (fell_in_shadow(turn, recovery)) return hold_in_shadow(turn, recovery);
  leave_shadow(recovery);
  if (is_held(turn, step)) return;
  if (progress.part == Part::Step && !prerequisites_hold(turn, recovery)) return;
  const ServiceFacts facts(turn.policy, turn.state, recovery.service, turn.now);
  if (step.when.evaluate(facts) != Truth::True) {
    add_reason(
        recovery.reasons,
        {Rule::Step, Verdict::Info,
         text({step.name, " skipped: ", step.when.text(), " (", step.when.observed(facts), ")"})});
    return finish(turn, progress, StepState::Skipped);
  }
  const ServiceIndex target = step.target.value_or(recovery.service);
  if (step.action == ActionKind::RestoreCheckpoint && turn.service(target).state.empty()) {
    progress.output = "nothing to restore: the service has no `state:`";
    return finish(turn, progress, StepState::Skipped);
  }
  if (step.action == ActionKind::Quarantine) return quarantine_step(turn, recovery, progress, step);
  if (step.action == ActionKind::Wait) return begin_wait(turn, recovery, progress, step);
  if (step.action == ActionKind::Approve) {
    // Nobody is asked twice about the way back.
    if (progress.part != Part::Step) return finish(turn, progress, StepState::Skipped);
    return begin_approval(turn, recovery, progress, step);
  }
  if (takes_the_last(turn, target, step)) {
    progress.output = "the instances that would be left were stopped by a person";
    finish(turn, progress, StepState::Failed);
    return fail_step(turn, recovery, progress, step);
  }
  send_step(turn, recovery, progress, step);
}

// Moves the first step that is not over; true when all are.
bool advance_steps(Turn& turn, Recovery& recovery, bool rollback) {
  std::vector<StepProgress>& steps = rollback ? recovery.rollback : recovery.steps;
  const RecoveryState before = recovery.state;
  for (StepProgress& progress : steps) {
    if (is_finished(progress.state)) continue;
    const bool due = progress.state == StepState::Pending;
    if (due && recovery.state == RecoveryState::Checkpointing && progress.part == Part::Step) {
      signal(turn, recovery, Signal::StepsDue, "the checkpoint is over");  // The saga's own.
      return false;
    }
    if (due) {
      begin_step(turn, recovery, progress);
    } else if (progress.action == ActionKind::Wait) {
      continue_wait(turn, recovery, progress, policy_of(turn, recovery, progress));
    }
    if (recovery.state != before || !is_finished(progress.state)) return false;
  }
  return true;
}

// After its halves the failed service rests, and its successor is what must prove itself.
void note_failover(Turn& turn, Recovery& recovery, const Command& command) {
  const bool half = command.part == Part::Step || command.part == Part::Undo;
  if (!half || !command.playbook) return;
  const StepPolicy& step = turn.policy.playbook(*command.playbook).steps.at(command.index);
  if (step.action != ActionKind::Failover) return;
  const auto successor = successor_of(turn.policy, step, recovery.service);
  const bool starts = command.action == ActionKind::Start;
  ServiceHealth& target = turn.health(command.service);
  target.wanted = starts;
  if (starts) target.replaced_by = std::nullopt;
  const bool done = command.part == Part::Step && starts;
  recovery.successor = done ? successor : std::nullopt;
  if (done) turn.health(recovery.service).replaced_by = successor;
  if (command.part == Part::Undo) turn.health(recovery.service).replaced_by = std::nullopt;
  refresh(turn, command.service);
}

// What an action that took effect means to our own books.
void note_done(Turn& turn, Recovery& recovery, const Command& command, const CommandFinished& event,
               const StepPolicy& step) {
  ServiceHealth& target = turn.health(command.service);
  if (command.action == ActionKind::Checkpoint && !event.checkpoint.empty()) {
    if (command.part == Part::Checkpoint) recovery.checkpoint = event.checkpoint;
    target.last_checkpoint = event.checkpoint;
    target.last_checkpoint_at = turn.now;
  }
  note_failover(turn, recovery, command);
  if (command.action == ActionKind::Stop || command.action == ActionKind::Start ||
      command.action == ActionKind::Restart) {
    target.state_is_new = true;
  }
  const ScaleAction* scale = std::get_if<ScaleAction>(&step.with);
  const bool runs = std::holds_alternative<RunSpec>(turn.service(command.service).spec);
  if (command.action != ActionKind::Scale || scale == nullptr || !runs) return;
  target.desired = scaled(turn, command.service, *scale);
  fit_instances(target);
  fit_holds(target);
}

void fail_rollback_step(Turn& turn, Recovery& recovery, StepProgress& progress,
                        const StepPolicy& step) {
  if (step.on_failure == OnFailure::Continue) return;
  // What may have happened is not done again unless it may be.
  const bool repeatable = step.idempotent || progress.state == StepState::Failed;
  if (repeatable && recovery.rollback_attempts < turn.policy.safety.max_rollback_attempts) {
    ++recovery.rollback_attempts;
    progress.state = StepState::Pending;
    progress.ended_at = kNever;
    recovery.wake_at = saturating_add(turn.now, kRollbackPause);
    return;
  }
  end(turn, recovery, Signal::RollbackFailed, Rule::Rollback,
      text({"rollback failed at ", to_string(progress.action), ": ", progress.output}));
}

void fail_step(Turn& turn, Recovery& recovery, StepProgress& progress, const StepPolicy& step) {
  const std::string_view name =
      step.name.empty() ? to_string(step.action) : std::string_view(step.name);
  const std::string why = text(
      {name, " ", to_string(progress.state), progress.output.empty() ? "" : ": ", progress.output});
  if (progress.part == Part::Checkpoint) {
    if (turn.policy.playbook(recovery.playbook).checkpoint_required) {
      return fail_recovery(turn, recovery, Rule::Step, why);
    }
    add_reason(recovery.reasons,
               {Rule::Step, Verdict::Info, why + "; going on without, it is not required"});
    return;
  }
  if (progress.part != Part::Step) return fail_rollback_step(turn, recovery, progress, step);
  switch (step.on_failure) {
    case OnFailure::Rollback: return fail_recovery(turn, recovery, Rule::Step, why);
    case OnFailure::Continue:
      return add_reason(recovery.reasons, {Rule::Step, Verdict::Info, why + "; going on"});
    case OnFailure::Abort: return end(turn, recovery, Signal::GaveUp, Rule::Step, why);
    case OnFailure::Escalate: return end(turn, recovery, Signal::PersonNeeded, Rule::Step, why);
  }
}

StepState state_after(const CommandFinished& event, const Command& command, Instant now) {
  switch (event.outcome) {
    case CommandOutcome::Done: return StepState::Done;
    case CommandOutcome::Failed:
    case CommandOutcome::Refused: return StepState::Failed;
    case CommandOutcome::Unknown:
      return command.deadline <= now ? StepState::TimedOut : StepState::Unknown;
  }
  return StepState::Unknown;
}

bool may_retry(const CommandFinished& event, const StepProgress& progress, const StepPolicy& step) {
  if (progress.attempts >= std::max(step.retry.attempts, 1U)) return false;
  if (event.outcome == CommandOutcome::Failed) return true;
  return event.outcome == CommandOutcome::Unknown && step.idempotent;
}

}  // namespace

void advance_saga(Turn& turn, Recovery& recovery) {
  const bool rolling_back = recovery.state == RecoveryState::RollingBack;
  const bool late = recovery.deadline <= turn.now;
  if (late && fell_in_shadow(turn, recovery) && step_in_flight(turn, recovery) == nullptr) {
    return end(turn, recovery, Signal::PersonNeeded, Rule::Mode,
               "the mode became shadow under way; what it did so far stays");
  }
  if (!rolling_back && late) {
    return fail_recovery(turn, recovery, Rule::Step, "it took longer than recovery_timeout");
  }
  if (!recovery.aborting.empty() || recovery.state == RecoveryState::AwaitingApproval) return;
  if (recovery.state == RecoveryState::Validating) return validate(turn, recovery);
  if (!advance_steps(turn, recovery, rolling_back)) return;
  if (rolling_back) {
    return end(turn, recovery, Signal::RollbackOver, Rule::Rollback, "what it did was undone");
  }
  if (recovery.state == RecoveryState::Checkpointing) {
    return signal(turn, recovery, Signal::StepsDue, "the checkpoint is over");
  }
  if (recovery.state == RecoveryState::Running) begin_validation(turn, recovery);
}

void finish_step(Turn& turn, Recovery& recovery, const Command& command,
                 const CommandFinished& event) {
  StepProgress* progress = step_of(recovery, command.id);
  if (progress == nullptr) return;
  const StepPolicy step = policy_of(turn, recovery, *progress);
  progress->output = event.detail;
  finish(turn, *progress, state_after(event, command, turn.now));
  if (command.part != Part::Checkpoint) {
    recovery.last_effect_at = turn.now;
    turn.health(command.service).counts_from = turn.now;
  }
  tell(turn, recovery, step, to_string(progress->state));
  if (progress->state == StepState::Done) note_done(turn, recovery, command, event, step);
  if (!recovery.aborting.empty()) {
    const std::string why = std::exchange(recovery.aborting, {});
    return fail_recovery(turn, recovery, Rule::Step, why);
  }
  if (progress->state == StepState::Done) return;
  if (may_retry(event, *progress, step)) {
    recovery.wake_at = saturating_add(turn.now, retry_pause(step.retry, recovery, *progress));
    // Whatever becomes of the next attempt, this one may have to be undone.
    if (event.outcome == CommandOutcome::Unknown) progress->in_doubt = true;
    progress->state = StepState::Pending;
    progress->ended_at = kNever;
    return;
  }
  fail_step(turn, recovery, *progress, step);
}

void approve_step(Turn& turn, Recovery& recovery, const std::string& who) {
  for (StepProgress& progress : recovery.steps) {
    if (progress.state != StepState::Running || progress.action != ActionKind::Approve) continue;
    progress.output = who;
    expire_prerequisites(turn, recovery);
    finish(turn, progress, StepState::Done);
  }
  signal(turn, recovery, Signal::StepsDue, who);
}

void fail_recovery(Turn& turn, Recovery& recovery, Rule rule, const std::string& why) {
  recovery.deadline = kNever;
  recovery.approval_until = kNever;
  recovery.wake_at = kNever;
  turn.moved = true;
  if (const StepProgress* running = step_in_flight(turn, recovery)) {
    if (!recovery.aborting.empty()) return;
    recovery.aborting = why;
    turn.cancel(running->command);
    // Its end is awaited, but not for ever.
    Command& command = turn.state.in_flight.at(running->command);
    command.deadline = std::min(command.deadline, turn.now);
    if (turn.wakes != nullptr) turn.wakes->expect(command.id, command.deadline);
    return;
  }
  // A wait or a question that is cut short had no effect.
  for (StepProgress& progress : recovery.steps) {
    if (progress.state == StepState::Running) finish(turn, progress, StepState::Failed);
  }
  if (turn.policy.safety.enable_rollback) lay_out_rollback(turn, recovery);
  if (recovery.rollback.empty()) return end(turn, recovery, Signal::GaveUp, rule, why);
  add_reason(recovery.reasons, {rule, Verdict::Refuse, why});
  recovery.rollback_attempts = 1;
  signal(turn, recovery, Signal::Undone, why);
}

}  // namespace recover::core
