#include "sim/campaign.h"

#include <algorithm>
#include <iomanip>
#include <string>

#include <recover/random.h>

namespace recover::sim {
namespace {

constexpr std::size_t kTraceLines = 30;

std::uint64_t combine(std::uint64_t hash, std::uint64_t next) {
  return Random::mix(hash ^ next);
}

// I33 and I27: the same again, and again with a wall clock that stands still.
std::optional<Violation> compare_twins(const Scenario& scenario, const HistoryResult& first) {
  if (run_history(scenario).hash != first.hash) {
    return Violation{"I33", "the same seed gave another trace"};
  }
  Scenario calm = scenario;
  calm.faults &= ~(1U << static_cast<std::uint32_t>(Fault::WallClock));
  if (run_history(calm).hash_without_wall == first.hash_without_wall) return std::nullopt;
  return Violation{"I27", "a jump of the wall clock changed what was done"};
}

bool still_fails(const Scenario& scenario, const std::string& id) {
  const HistoryResult result = run_history(scenario);
  if (result.violation) return result.violation->id == id;
  if (id != "I27" && id != "I33") return false;
  const auto twins = compare_twins(scenario, result);
  return twins && twins->id == id;
}

void print_goals(const Goals& goals, std::ostream& out) {
  for (std::size_t goal = 0; goal < kGoalCount; ++goal) {
    out << "  " << std::setw(9) << goals.seen[goal] << "  " << to_string(static_cast<Goal>(goal))
        << "\n";
  }
}

void explain(const CampaignResult& result, std::ostream& out) {
  out << "VIOLATION of " << result.violation->id << ": " << result.violation->what << "\n"
      << describe(*result.failing) << "\n";
  const Scenario small = shrink(*result.failing, result.violation->id);
  const HistoryResult shown = run_history(small, kTraceLines);
  out << "smallest found: " << describe(small) << "\n";
  if (shown.violation) out << shown.violation->id << ": " << shown.violation->what << "\n";
  for (const std::string& line : shown.trace) out << "  " << line << "\n";
}

}  // namespace

CampaignResult run_campaign(const Options& options) {
  CampaignResult total;
  const std::uint64_t most = options.histories.value_or(UINT64_MAX);
  for (std::uint64_t seed = options.first; seed <= options.last && total.histories < most; ++seed) {
    Scenario scenario;
    scenario.seed = seed;
    scenario.faults = options.faults;
    const HistoryResult result = run_history(scenario);
    ++total.histories;
    total.events += result.events;
    total.entries += result.entries;
    total.goals.add(result.goals);
    total.hash = options.first == options.last ? result.hash : combine(total.hash, result.hash);
    total.violation = result.violation;
    if (!total.violation && seed % kTwinEvery == 0)
      total.violation = compare_twins(scenario, result);
    if (!total.violation) continue;
    total.failing = scenario;
    break;
  }
  return total;
}

Scenario shrink(const Scenario& failing, const std::string& id) {
  Scenario small = failing;
  const auto try_it = [&](const Scenario& smaller) {
    if (!still_fails(smaller, id)) return false;
    small = smaller;
    return true;
  };
  for (std::uint32_t fault = 0; fault < kFaultCount; ++fault) {
    Scenario without = small;
    without.faults &= ~(1U << fault);
    if (without.faults != small.faults) try_it(without);
  }
  for (bool more = true; more && small.troubles_max > 1;) {
    Scenario half = small;
    half.troubles_max = small.troubles_max / 2;
    more = try_it(half);
  }
  for (bool more = true; more && small.troubled_for > core::seconds{20};) {
    Scenario half = small;
    half.troubled_for = small.troubled_for / 2;
    more = try_it(half);
  }
  for (std::uint32_t services = 1; services < small.services_max; ++services) {
    Scenario fewer = small;
    fewer.services_max = services;
    if (try_it(fewer)) break;
  }
  return small;
}

int run(const Options& options, std::ostream& out) {
  const CampaignResult result = run_campaign(options);
  out << result.histories << " histories, " << result.events << " events, " << result.entries
      << " journal entries, trace hash " << std::hex << std::setw(16) << std::setfill('0')
      << result.hash << std::dec << std::setfill(' ') << "\n";
  if (result.violation) {
    explain(result, out);
    return 1;
  }
  print_goals(result.goals, out);
  if (result.histories < kGoalsFrom) return 0;
  int missed = 0;
  for (std::size_t goal = 0; goal < kGoalCount; ++goal) {
    if (result.goals.seen[goal] > 0) continue;
    out << "never seen: " << to_string(static_cast<Goal>(goal)) << "\n";
    missed = 1;
  }
  return missed;
}

}  // namespace recover::sim
