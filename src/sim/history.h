// One history: the real core and loop in a simulated world, in virtual time, from one seed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/goals.h"
#include "sim/invariant.h"
#include "sim/scenario.h"

namespace recover::sim {

struct HistoryResult {
  std::optional<Violation> violation;
  std::uint64_t hash = 0;               // Of every journal entry and command.
  std::uint64_t hash_without_wall = 0;  // The same without the wall clock.
  std::uint64_t events = 0;             // That the engine stepped.
  std::uint64_t entries = 0;
  std::string first_plan;  // The first recovery that was planned, and when; empty: none.
  Goals goals;
  std::vector<std::string> trace;  // The last lines, if asked for.
};

// Deterministic: the same scenario gives the same result on every machine.
HistoryResult run_history(const Scenario& scenario, std::size_t trace_lines = 0);
// The same with the journal's real JSON behind it, to be compared: slower.
HistoryResult run_history_in_json(const Scenario& scenario);

}  // namespace recover::sim
