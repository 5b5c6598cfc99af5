// What a campaign must have seen at least once, or it proves less than it seems.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace recover::sim {

enum class Goal : std::uint8_t {
  CrashBeforeEffect,
  CrashBeforeRecord,
  CrashInRollback,
  ApprovalExpired,
  ApprovalAfterKillSwitch,
  BudgetRefused,
  TwoTriggersAtOnce,
  StaleResult,
  LieCaught,
  ValidationFlapped,
  EmptySelector,
  TornRecord,
  DiskFullOnAppend,
  FsyncError,
  ClockJumpedBack,
  StormEnteredAndLeft,
  PlaybookBreakerTripped,
  LearningChangedOrder,
  LearningDemoted,
  PolicyReloaded,
  PatternStartedRecovery,
};
inline constexpr std::size_t kGoalCount = 21;
std::string_view to_string(Goal goal) noexcept;

struct Goals {
  std::array<std::uint64_t, kGoalCount> seen{};  // How often.

  void reach(Goal goal) { ++seen[static_cast<std::size_t>(goal)]; }
  void add(const Goals& other) {
    for (std::size_t goal = 0; goal < kGoalCount; ++goal) seen[goal] += other.seen[goal];
  }
};

}  // namespace recover::sim
