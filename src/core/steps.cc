#include "core/steps.h"

#include <algorithm>

#include <recover/error.h>

#include "core/plan.h"

namespace recover::core {
namespace {

constexpr Duration kCheckpointTimeout = minutes{2};

// The saga's own checkpoint has no step in the policy; this stands for it.
const StepPolicy& checkpoint_step() {
  static const StepPolicy kStep = [] {
    StepPolicy step;
    step.name = "Checkpoint";
    step.action = ActionKind::Checkpoint;
    step.timeout = kCheckpointTimeout;
    step.on_failure = OnFailure::Continue;
    return step;
  }();
  return kStep;
}

// An undo runs as long and as often as its step might.
StepPolicy undo_of(const StepPolicy& step) {
  StepPolicy undo = step;
  undo.name = text({"Undo ", step.name});
  undo.action = step.undo.value_or(step.action);
  undo.with = step.undo_with;
  undo.when = Expression();
  undo.on_failure = OnFailure::Rollback;
  return undo;
}

// Of the failed service the stop, of its successor the start; undone each by the other.
StepPolicy half_of_failover(const Policy& policy, const StepPolicy& whole, ServiceIndex service,
                            const StepProgress& progress) {
  const bool undo = progress.part == Part::Undo;
  const bool of_failed = (progress.action == ActionKind::Stop) != undo;
  StepPolicy step = undo ? undo_of(whole) : whole;
  step.action = progress.action;
  step.with = NoArguments{};
  step.idempotent = true;
  step.target = of_failed ? service : successor_of(policy, whole, service);
  step.name = text({whole.name, ": ", to_string(step.action)});
  return step;
}

bool may_have_happened(StepState state) {
  return state == StepState::Done || state == StepState::TimedOut || state == StepState::Unknown ||
         state == StepState::Running;
}

// The same every time it is computed, and spread out between recoveries.
double jitter_of(const Recovery& recovery, const StepProgress& progress) {
  const std::string key =
      text({std::to_string(recovery.id.value), "/", std::to_string(static_cast<int>(progress.part)),
            "/", std::to_string(progress.index), "/", std::to_string(progress.attempts)});
  constexpr double kTwoTo53 = 9'007'199'254'740'992.0;
  return static_cast<double>(fnv1a(key) >> 11U) / kTwoTo53;
}

}  // namespace

StepPolicy policy_of(const Turn& turn, const Recovery& recovery, const StepProgress& progress) {
  const PlaybookPolicy& playbook = turn.policy.playbook(recovery.playbook);
  switch (progress.part) {
    case Part::Supervision:
    case Part::Checkpoint: return checkpoint_step();
    case Part::Step:
    case Part::Undo: {
      const StepPolicy& step = playbook.steps.at(progress.index);
      if (step.action == ActionKind::Failover) {
        return half_of_failover(turn.policy, step, recovery.service, progress);
      }
      return progress.part == Part::Undo ? undo_of(step) : step;
    }
    case Part::Rollback: return playbook.rollback.at(progress.index);
  }
  return checkpoint_step();
}

void lay_out_steps(Turn& turn, Recovery& recovery) {
  const PlaybookPolicy& playbook = turn.policy.playbook(recovery.playbook);
  const bool wanted =
      turn.policy.safety.require_checkpoint && !turn.service(recovery.service).state.empty();
  recovery.steps.clear();
  if (playbook.checkpoint_required || wanted) {
    StepProgress checkpoint;
    checkpoint.action = ActionKind::Checkpoint;
    checkpoint.part = Part::Checkpoint;
    recovery.steps.push_back(std::move(checkpoint));
  }
  for (std::uint32_t index = 0; index < playbook.steps.size(); ++index) {
    StepProgress progress;
    progress.action = playbook.steps[index].action;
    progress.index = index;
    if (progress.action == ActionKind::Failover) {
      // The failed one first: never two at work.
      progress.action = ActionKind::Stop;
      recovery.steps.push_back(progress);
      progress.action = ActionKind::Start;
    }
    recovery.steps.push_back(std::move(progress));
  }
}

void lay_out_rollback(const Turn& turn, Recovery& recovery) {
  const PlaybookPolicy& playbook = turn.policy.playbook(recovery.playbook);
  bool touched = false;
  for (auto step = recovery.steps.rbegin(); step != recovery.steps.rend(); ++step) {
    const bool happened = step->in_doubt || may_have_happened(step->state);
    if (step->part != Part::Step || !happened) continue;
    touched = true;
    StepPolicy policy = playbook.steps.at(step->index);
    if (policy.action == ActionKind::Failover) {
      policy.undo = step->action == ActionKind::Stop ? ActionKind::Start : ActionKind::Stop;
    }
    if (policy.action == ActionKind::Quarantine && !policy.undo) policy.undo = policy.action;
    if (!policy.undo && policy.irreversible) {
      add_reason(recovery.reasons,
                 {Rule::Rollback, Verdict::Info, text({policy.name, " cannot be undone"})});
    }
    if (!policy.undo) continue;
    StepProgress undo;
    undo.action = *policy.undo;
    undo.part = Part::Undo;
    undo.index = step->index;
    recovery.rollback.push_back(std::move(undo));
  }
  if (!touched) return;
  for (std::uint32_t index = 0; index < playbook.rollback.size(); ++index) {
    StepProgress progress;
    progress.action = playbook.rollback[index].action;
    progress.part = Part::Rollback;
    progress.index = index;
    recovery.rollback.push_back(std::move(progress));
  }
}

Duration retry_pause(const RetryPolicy& retry, const Recovery& recovery,
                     const StepProgress& progress) {
  if (!retry.backoff.validate()) return kRollbackPause;
  const double u = jitter_of(recovery, progress);
  recover::retry::Backoff backoff(retry.backoff);
  Duration pause{};
  constexpr std::uint32_t kAttemptsMax = 1'000;
  const std::uint32_t attempts = std::min(progress.attempts, kAttemptsMax);
  for (std::uint32_t attempt = 0; attempt < attempts; ++attempt) pause = backoff.next(u);
  return pause;
}

std::string text_of(const Recovery& recovery, const StepPolicy& step) {
  if (const NotifyAction* notify = std::get_if<NotifyAction>(&step.with)) return notify->message;
  const bool restore = step.action == ActionKind::RestoreCheckpoint;
  if (!restore && step.action != ActionKind::Checkpoint) return {};
  const CheckpointAction* named = std::get_if<CheckpointAction>(&step.with);
  if (named != nullptr && !named->name.empty()) return named->name;
  // Also when rolling back: what was there as the recovery began is what did not work.
  if (restore) return "last-good";
  return text({"before-recovery-", std::to_string(recovery.id.value)});
}

}  // namespace recover::core
