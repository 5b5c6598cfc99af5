// What one history is made of: a seed, the kinds of fault it may meet, how large and long it is.
// Smaller ones are what a failing history is shrunk to.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include <recover/time.h>

#include "core/policy.h"

namespace recover::sim {

enum class Fault : std::uint8_t {
  Crash,        // A process ends.
  Hang,         // It runs and does not answer.
  Slow,         // It answers late.
  BadConfig,    // A restart does not help, last-good does.
  DiskFull,     // The data disk fills up.
  Storm,        // Most services at once.
  Probes,       // Unknown, flapping and late answers.
  Effects,      // Lying, failing, slow, partial, refused effects.
  Results,      // Lost, duplicated and stale results.
  EngineCrash,  // recoverd ends between two journal writes.
  JournalFull,  // Appends fail.
  FsyncError,   // Appends that must survive power loss fail.
  WallClock,    // The wall clock jumps.
  Operators,    // People act, also wrongly.
};
inline constexpr std::size_t kFaultCount = 14;
std::string_view to_string(Fault fault) noexcept;

inline constexpr std::uint32_t kAllFaults = (1U << kFaultCount) - 1;

struct Scenario {
  std::uint64_t seed = 1;
  std::uint32_t faults = kAllFaults;                // Bit n: Fault n.
  std::uint32_t services_max = 12;                  // Services are at most so many.
  std::uint32_t troubles_max = 40;                  // Faults injected at most.
  Duration troubled_for = std::chrono::minutes{6};  // Then faults are off.

  bool has(Fault fault) const noexcept {
    return ((faults >> static_cast<std::uint32_t>(fault)) & 1U) != 0;
  }
};
std::string describe(const Scenario& scenario);

// Services "s0", "s1", …, playbooks "p0", …; depends on the seed and services_max only.
core::Policy make_policy(const Scenario& scenario);

// Stands in every secret of the policy; must be in no output.
inline constexpr std::string_view kCanary = "canary-5ecre7";

}  // namespace recover::sim
