#include "sim/goals.h"

namespace recover::sim {

std::string_view to_string(Goal goal) noexcept {
  switch (goal) {
    case Goal::CrashBeforeEffect: return "execution crashed between intent and effect";
    case Goal::CrashBeforeRecord: return "between effect and its record";
    case Goal::CrashInRollback: return "during rollback";
    case Goal::ApprovalExpired: return "approval expired while queued";
    case Goal::ApprovalAfterKillSwitch: return "approval after kill switch";
    case Goal::BudgetRefused: return "budget refused a start";
    case Goal::TwoTriggersAtOnce: return "two triggers for one target at the same instant";
    case Goal::StaleResult: return "stale-epoch result arrived";
    case Goal::LieCaught: return "lying success caught by validation";
    case Goal::ValidationFlapped: return "validation flapped";
    case Goal::EmptySelector: return "empty selector";
    case Goal::TornRecord: return "torn last log record";
    case Goal::DiskFullOnAppend: return "full disk on append";
    case Goal::FsyncError: return "fsync error";
    case Goal::ClockJumpedBack: return "clock jumped back";
    case Goal::StormEnteredAndLeft: return "storm mode entered and left";
    case Goal::PlaybookBreakerTripped: return "remediation breaker tripped";
    case Goal::LearningChangedOrder: return "learning changed the order";
    case Goal::LearningDemoted: return "learning demoted a playbook";
    case Goal::PolicyReloaded: return "configuration reloaded during a recovery";
    case Goal::PatternStartedRecovery: return "a failure pattern opened an incident";
  }
  return "";
}

}  // namespace recover::sim
