// What one history is made of: a seed, the kinds of fault it may meet, how large and long it is.
// Smaller ones are what a failing history is shrunk to.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
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
  Patterns,     // Lines in logs match failure patterns.
  Reload,       // The configuration changes.
};
inline constexpr std::size_t kFaultCount = 16;
std::string_view to_string(Fault fault) noexcept;

inline constexpr std::uint32_t kAllFaults = (1U << kFaultCount) - 1;

struct Scenario {
  std::uint64_t seed = 1;
  std::uint32_t faults = kAllFaults;                // Bit n: Fault n.
  std::uint32_t services_max = 12;                  // Services are at most so many.
  std::uint32_t troubles_max = 28;                  // Faults injected at most.
  Duration troubled_for = std::chrono::minutes{6};  // Then faults are off.
  // In place of what the seed chose, for every service.
  std::optional<core::Mode> mode = std::nullopt;
  // A planted bug, for the test of shrinking: what cannot be repeated is done twice.
  bool effects_twice = false;

  friend bool operator==(const Scenario&, const Scenario&) = default;

  bool has(Fault fault) const noexcept {
    return ((faults >> static_cast<std::uint32_t>(fault)) & 1U) != 0;
  }
};
std::string describe(const Scenario& scenario);

// Seven in eight are small: what goes wrong between a few services within two minutes, of which a
// minute of computing sees the most. The eighth is as large as a Scenario can be.
Scenario scenario_of(std::uint64_t seed, std::uint32_t faults = kAllFaults);

// Services "s0", "s1", …, playbooks "p0", …; depends on the seed and services_max only.
core::Policy make_policy(const Scenario& scenario);

// The same services and playbooks under other budgets, as a reload brings them. `version` > 0.
core::Policy reloaded(core::Policy policy, const Scenario& scenario, std::uint32_t version);

// How long a step of a playbook waits for people.
inline constexpr Duration kAskedFor = std::chrono::seconds{40};

// Stands in every secret of the policy; must be in no output.
inline constexpr std::string_view kCanary = "canary-5ecre7";

}  // namespace recover::sim
