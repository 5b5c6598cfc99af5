// Many histories, one verdict: `recoverd sim`.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <ostream>
#include <vector>

#include "sim/goals.h"
#include "sim/history.h"
#include "sim/scenario.h"

namespace recover::sim {

// From so many histories on, every goal must have been reached.
inline constexpr std::uint64_t kGoalsFrom = 1'000;
// One history in so many is run again: the same hash, also with the wall clock left alone.
inline constexpr std::uint64_t kTwinEvery = 64;

struct Options {
  std::uint64_t first = 1;
  std::uint64_t last = 1'000;  // Inclusive. One seed only: its trace hash is printed.
  std::optional<std::uint64_t> histories = {};  // At most.
  std::uint32_t faults = kAllFaults;
  bool json = false;  // One JSON object in place of text.
};

struct CampaignResult {
  std::uint64_t histories = 0;
  std::uint64_t events = 0;
  std::uint64_t entries = 0;
  std::uint64_t hash = 0;           // Over the hashes of all histories.
  std::chrono::nanoseconds took{};  // Of the processor's time.
  Goals goals;
  std::optional<Scenario> failing;
  std::optional<Violation> violation;
};
// Stops at the first violation.
CampaignResult run_campaign(const Options& options);

// The smallest scenario found that violates the same invariant. REQUIRES: `failing` violates `id`.
Scenario shrink(const Scenario& failing, const std::string& id);

// Goals that a campaign of kGoalsFrom histories or more should have seen and has not.
std::vector<Goal> missed_goals(const CampaignResult& result);

// Prints what happened. 0: nothing wrong; 1: a violation, or a goal that was missed.
int run(const Options& options, std::ostream& out);

}  // namespace recover::sim
