#include "sim/campaign.h"

#include <algorithm>
#include <ctime>
#include <iomanip>
#include <string>

#include <recover/random.h>

namespace recover::sim {
namespace {

constexpr std::size_t kTraceLines = 30;
constexpr int kShrinkPassesMax = 4;  // What one leaves out may let the next leave out more.

std::uint64_t combine(std::uint64_t hash, std::uint64_t next) {
  return Random::mix(hash ^ next);
}

// I12, the other half: until something is planned a shadow engine and an automatic one see the
// same, and so they plan the same.
std::optional<Violation> compare_modes(Scenario scenario) {
  scenario.mode = core::Mode::Shadow;
  const HistoryResult shadow = run_history(scenario);
  if (shadow.violation) return shadow.violation;
  scenario.mode = core::Mode::Automatic;
  const HistoryResult automatic = run_history(scenario);
  if (automatic.violation) return automatic.violation;
  if (shadow.first_plan == automatic.first_plan) return std::nullopt;
  return Violation{
      "I12", "shadow plans `" + shadow.first_plan + "`, automatic `" + automatic.first_plan + "`"};
}

// I33 and I27: the same again, and again with a wall clock that stands still.
std::optional<Violation> compare_twins(const Scenario& scenario, const HistoryResult& first) {
  if (run_history_in_json(scenario).hash != first.hash) {
    return Violation{"I33", "the same seed gave another trace"};
  }
  Scenario calm = scenario;
  calm.faults &= ~(1U << static_cast<std::uint32_t>(Fault::WallClock));
  if (run_history(calm).hash_without_wall != first.hash_without_wall) {
    return Violation{"I27", "a jump of the wall clock changed what was done"};
  }
  return compare_modes(scenario);
}

bool still_fails(const Scenario& scenario, const std::string& id) {
  const HistoryResult result = run_history(scenario);
  if (result.violation) return result.violation->id == id;
  if (id != "I27" && id != "I33" && id != "I12") return false;
  const auto twins = compare_twins(scenario, result);
  return twins && twins->id == id;
}

void print_goals(const Goals& goals, std::ostream& out) {
  for (std::size_t goal = 0; goal < kGoalCount; ++goal) {
    out << "  " << std::setw(9) << goals.seen[goal] << "  " << to_string(static_cast<Goal>(goal))
        << "\n";
  }
}

std::string hex(std::uint64_t number) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text(16, '0');
  for (std::size_t at = text.size(); at > 0; --at, number >>= 4U) {
    text[at - 1] = kDigits[number & 0xfU];
  }
  return text;
}

std::uint64_t a_minute(std::uint64_t count, std::chrono::nanoseconds took) {
  constexpr double kMinute = 60e9;
  const auto ns = static_cast<double>(std::max<std::int64_t>(took.count(), 1));
  return static_cast<std::uint64_t>(static_cast<double>(count) * kMinute / ns);
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

void print_text(const Options& options, const CampaignResult& result,
                const std::vector<Goal>& missed, std::ostream& out) {
  const bool many = options.first != options.last;
  out << "seeds " << options.first << ".." << options.first + result.histories - 1 << ": "
      << result.histories << " histories, " << result.events << " events, " << result.entries
      << " journal entries, trace hash " << hex(result.hash) << "\n";
  if (many) {
    out << a_minute(result.histories, result.took) << " histories and "
        << a_minute(result.events, result.took) << " events a minute of one processor\n";
  }
  if (result.violation) return explain(result, out);
  print_goals(result.goals, out);
  for (const Goal goal : missed) out << "never seen: " << to_string(goal) << "\n";
}

// No text in it needs escaping but what a violation says.
std::string quoted(std::string_view text) {
  std::string all = "\"";
  for (const char each : text) {
    if (each == '"' || each == '\\') all += '\\';
    all += static_cast<unsigned char>(each) < ' ' ? ' ' : each;
  }
  return all + "\"";
}

void print_json(const Options& options, const CampaignResult& result,
                const std::vector<Goal>& missed, std::ostream& out) {
  out << "{\"first_seed\":" << options.first << ",\"histories\":" << result.histories
      << ",\"events\":" << result.events << ",\"entries\":" << result.entries
      << ",\"trace_hash\":" << quoted(hex(result.hash))
      << ",\"histories_per_minute\":" << a_minute(result.histories, result.took)
      << ",\"events_per_minute\":" << a_minute(result.events, result.took) << ",\"goals\":{";
  for (std::size_t goal = 0; goal < kGoalCount; ++goal) {
    out << (goal == 0 ? "" : ",") << quoted(to_string(static_cast<Goal>(goal))) << ":"
        << result.goals.seen[goal];
  }
  out << "},\"missed\":[";
  for (std::size_t at = 0; at < missed.size(); ++at) {
    out << (at == 0 ? "" : ",") << quoted(to_string(missed[at]));
  }
  out << "],\"violation\":";
  if (!result.violation) {
    out << "null}\n";
    return;
  }
  const Scenario small = shrink(*result.failing, result.violation->id);
  out << "{\"id\":" << quoted(result.violation->id)
      << ",\"what\":" << quoted(result.violation->what) << ",\"seed\":" << result.failing->seed
      << ",\"smallest\":" << quoted(describe(small)) << "}}\n";
}

void shrink_once(Scenario& small, const std::string& id) {
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
}

}  // namespace

CampaignResult run_campaign(const Options& options) {
  const std::clock_t began = std::clock();
  CampaignResult total;
  const std::uint64_t most = options.histories.value_or(UINT64_MAX);
  for (std::uint64_t seed = options.first; seed <= options.last && total.histories < most; ++seed) {
    const Scenario scenario = scenario_of(seed, options.faults);
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
  total.took = std::chrono::nanoseconds(std::int64_t{std::clock() - began} *
                                        (1'000'000'000 / CLOCKS_PER_SEC));
  return total;
}

Scenario shrink(const Scenario& failing, const std::string& id) {
  Scenario small = failing;
  for (int pass = 0; pass < kShrinkPassesMax; ++pass) {
    const Scenario before = small;
    shrink_once(small, id);
    if (small == before) break;
  }
  return small;
}

std::vector<Goal> missed_goals(const CampaignResult& result) {
  std::vector<Goal> missed;
  if (result.histories < kGoalsFrom) return missed;
  for (std::size_t goal = 0; goal < kGoalCount; ++goal) {
    if (result.goals.seen[goal] == 0) missed.push_back(static_cast<Goal>(goal));
  }
  return missed;
}

int run(const Options& options, std::ostream& out) {
  const CampaignResult result = run_campaign(options);
  const std::vector<Goal> missed = missed_goals(result);
  if (options.json) {
    print_json(options, result, missed, out);
  } else {
    print_text(options, result, missed, out);
  }
  return result.violation || !missed.empty() ? 1 : 0;
}

}  // namespace recover::sim
