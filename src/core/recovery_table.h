// The life of a recovery on one screen: (state, signal) -> next state.
//
// Budgets, gates and validation are decided before the table, so that it has no conditions. A pair
// without a next state is a bug in the caller.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "core/vocabulary.h"

namespace recover::core {

enum class Signal : std::uint8_t {
  Shadowed,       // The mode says: record only.
  ApprovalAsked,  // By a gate or by a step.
  Approved,       // By a person, or the mode no longer asks for it: the gates once more.
  Rejected,       // By a gate, a person, time, or because it is no longer needed.
  CheckpointDue,  // Every gate passed; a checkpoint comes first.
  StepsDue,       // Every gate passed, or the checkpoint is over.
  StepsOver,      // The world has to prove itself now.
  Stable,         // All criteria held long enough.
  Undone,         // It did not help and is to be rolled back.
  GaveUp,         // It did not help and is not rolled back.
  RollbackOver,
  RollbackFailed,
  PersonNeeded,  // A step says: escalate.
};
inline constexpr std::size_t kSignalCount = 13;

namespace table_detail {
enum class Next : std::uint8_t {
  None,  // Cannot be.
  Planned,
  Shadow,
  Waiting,
  Checkpointing,
  Running,
  Validating,
  Succeeded,
  RollingBack,
  RolledBack,
  Failed,
  Escalated,
  Rejected,
};
inline constexpr Next kNone = Next::None;
inline constexpr Next kPlan = Next::Planned;
inline constexpr Next kShadow = Next::Shadow;
inline constexpr Next kWait = Next::Waiting;
inline constexpr Next kCheck = Next::Checkpointing;
inline constexpr Next kRun = Next::Running;
inline constexpr Next kValid = Next::Validating;
inline constexpr Next kGood = Next::Succeeded;
inline constexpr Next kUndo = Next::RollingBack;
inline constexpr Next kBack = Next::RolledBack;
inline constexpr Next kBad = Next::Failed;
inline constexpr Next kHuman = Next::Escalated;
inline constexpr Next kNo = Next::Rejected;

using Row = std::array<Next, kSignalCount>;
// clang-format off
inline constexpr std::array<Row, kRecoveryStateCount> kTable{{
  // Shadowed ApprovalAsked Approved Rejected CheckpointDue StepsDue StepsOver Stable Undone GaveUp RollbackOver RollbackFailed PersonNeeded
  {{kShadow,  kWait,        kNone,   kNo,     kCheck,       kRun,    kNone,    kNone, kNone, kNone, kNone,       kNone,         kNone}},   // Planned
  {{kNone,    kNone,        kNone,   kNone,   kNone,        kNone,   kNone,    kNone, kNone, kNone, kNone,       kNone,         kNone}},   // Shadow
  {{kNone,    kNone,        kPlan,   kNo,     kNone,        kRun,    kNone,    kNone, kUndo, kBad,  kNone,       kNone,         kHuman}},  // AwaitingApproval
  {{kNone,    kNone,        kNone,   kNone,   kNone,        kRun,    kNone,    kNone, kUndo, kBad,  kNone,       kNone,         kHuman}},  // Checkpointing
  {{kNone,    kWait,        kNone,   kNone,   kNone,        kNone,   kValid,   kNone, kUndo, kBad,  kNone,       kNone,         kHuman}},  // Running
  {{kNone,    kNone,        kNone,   kNone,   kNone,        kNone,   kNone,    kGood, kUndo, kBad,  kNone,       kNone,         kHuman}},  // Validating
  {{kNone,    kNone,        kNone,   kNone,   kNone,        kNone,   kNone,    kNone, kNone, kNone, kNone,       kNone,         kNone}},   // Succeeded
  {{kNone,    kNone,        kNone,   kNone,   kNone,        kNone,   kNone,    kNone, kNone, kBad,  kBack,       kBad,          kHuman}},  // RollingBack
  {{kNone,    kNone,        kNone,   kNone,   kNone,        kNone,   kNone,    kNone, kNone, kNone, kNone,       kNone,         kNone}},   // RolledBack
  {{kNone,    kNone,        kNone,   kNone,   kNone,        kNone,   kNone,    kNone, kNone, kNone, kNone,       kNone,         kNone}},   // Failed
  {{kNone,    kNone,        kNone,   kNone,   kNone,        kNone,   kNone,    kNone, kNone, kNone, kNone,       kNone,         kNone}},   // Escalated
  {{kNone,    kNone,        kNone,   kNone,   kNone,        kNone,   kNone,    kNone, kNone, kNone, kNone,       kNone,         kNone}},   // Rejected
}};
// clang-format on
}  // namespace table_detail

// nullopt: the signal cannot come in that state.
constexpr std::optional<RecoveryState> next_state(RecoveryState state, Signal signal) noexcept {
  const table_detail::Next next =
      table_detail::kTable[static_cast<std::size_t>(state)][static_cast<std::size_t>(signal)];
  if (next == table_detail::Next::None) return std::nullopt;
  return static_cast<RecoveryState>(static_cast<std::size_t>(next) - 1);
}

constexpr bool is_over(RecoveryState state) noexcept {
  switch (state) {
    case RecoveryState::Planned:
    case RecoveryState::AwaitingApproval:
    case RecoveryState::Checkpointing:
    case RecoveryState::Running:
    case RecoveryState::Validating:
    case RecoveryState::RollingBack: return false;
    case RecoveryState::Shadow:
    case RecoveryState::Succeeded:
    case RecoveryState::RolledBack:
    case RecoveryState::Failed:
    case RecoveryState::Escalated:
    case RecoveryState::Rejected: return true;
  }
  return true;
}

// An end has no way out; everything else has one, and all but Planned is reached from something.
consteval bool table_is_sound() {
  std::array<bool, kRecoveryStateCount> reached{};
  for (std::size_t s = 0; s < kRecoveryStateCount; ++s) {
    bool leaves = false;
    for (std::size_t g = 0; g < kSignalCount; ++g) {
      const auto next = next_state(static_cast<RecoveryState>(s), static_cast<Signal>(g));
      if (!next) continue;
      leaves = true;
      reached[static_cast<std::size_t>(*next)] = true;
    }
    if (leaves == is_over(static_cast<RecoveryState>(s))) return false;
  }
  reached[static_cast<std::size_t>(RecoveryState::Planned)] = true;
  for (const bool each : reached) {
    if (!each) return false;
  }
  return true;
}
static_assert(table_is_sound(), "ends have no way out, the rest has one, and all are reached");
static_assert(static_cast<std::size_t>(Signal::PersonNeeded) + 1 == kSignalCount);
static_assert(static_cast<std::size_t>(table_detail::Next::Rejected) == kRecoveryStateCount);

}  // namespace recover::core
