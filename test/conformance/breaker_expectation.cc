#include "breaker_expectation.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "breaker_config.h"
#include "breaker_events.h"
#include "report.h"

namespace recover::conformance {
namespace {

using circuitbreaker::Snapshot;
using circuitbreaker::State;
using circuitbreaker::Tally;

// Vectors write percentages as the suites' floats print them.
constexpr double kRateTolerance = 0.005;
// Resilience4j and gobreaker end a wait one clock reading after it; here that is a nanosecond.
constexpr double kMillisecondsTolerance = 0.001;

constexpr double kNoRate = -1;

class Expectation {
 public:
  Expectation(const Getters& getters, const Done& done, const CircuitBreakerConfig& config,
              Subject& subject)
      : getters_(getters), done_(done), config_(config), subject_(subject) {}

  void check(const std::string& key, const Json& expected) {
    if (key == "permit") return check_permit(expected);
    if (key == "state") return check_state(expected);
    if (key == "retry_after_ms") return check_retry_after(expected);
    if (key == "events") return check_events(expected);
    if (key == "counts") return check_counts(expected);
    check_metric(key, expected);
  }

 private:
  [[noreturn]] static void mismatch(const std::string& key, const Json& expected,
                                    const std::string& got) {
    const std::string text = expected.is_string() ? expected.get<std::string>() : expected.dump();
    throw Failed("expected " + key + "=" + text + " got " + got);
  }
  static void compare(const std::string& key, const Json& expected, double got, double tolerance) {
    if (std::abs(number_of(expected, "expect." + key) - got) <= tolerance) return;
    mismatch(key, expected, plain(got));
  }

  const Snapshot& snapshot() {
    if (!snapshot_) snapshot_ = subject_.snapshot();
    return *snapshot_;
  }

  void check_permit(const Json& expected) const {
    if (!done_.acquired) throw Failed("expect.permit: the operation does not acquire");
    const Json got = done_.acquired->permitted;
    if (expected != got) mismatch("permit", expected, got.dump());
  }

  void check_state(const Json& expected) {
    if (!expected.is_string()) throw Failed("expect.state: not a string");
    const State got = subject_.state();
    if (state_of(expected.get<std::string>()) == got) return;
    mismatch("state", expected, std::string(to_string(got)));
  }

  void check_retry_after(const Json& expected) const {
    if (!done_.acquired) throw Failed("expect.retry_after_ms: the operation does not acquire");
    check_wait("retry_after_ms", expected, done_.acquired->retry_after);
  }

  static void check_wait(const std::string& key, const Json& expected,
                         std::optional<Duration> got) {
    if (!got && expected.is_null()) return;
    const std::string text = got ? plain(milliseconds(*got)) : "none";
    if (!got || expected.is_null()) mismatch(key, expected, text);
    compare(key, expected, milliseconds(*got), kMillisecondsTolerance);
  }
  static double milliseconds(Duration duration) {
    return std::chrono::duration<double, std::milli>(duration).count();
  }

  void check_events(const Json& expected) {
    // Only a breaker that counts slow calls needs the counts; the others are not to be read.
    const bool slow_calls = config_.slow_call_duration_threshold > Duration::zero();
    const circuitbreaker::Counts counts = slow_calls ? snapshot().counts : circuitbreaker::Counts{};
    const bool thresholds = getters_.thresholds_precede_trips;
    if (events_match(expected, done_.events, thresholds, config_, counts)) return;
    mismatch("events", expected, describe(done_.events));
  }

  void check_counts(const Json& expected);
  void check_metric(const std::string& key, const Json& expected);

  // `part` of all outcomes counted, in percent.
  void check_rate(const std::string& key, const Json& expected, std::uint64_t part) {
    const std::uint64_t total = snapshot().counts.total;
    const bool enough = total > 0 && total >= snapshot().counts_required;
    double got = kNoRate;
    if (enough) got = 100.0 * static_cast<double>(part) / static_cast<double>(total);
    if (!enough && getters_.rates_below_minimum && expected != Json(kNoRate)) {
      got = total == 0 ? 0 : 100.0 * static_cast<double>(part) / static_cast<double>(total);
    }
    compare(key, expected, got, kRateTolerance);
  }

  const Getters& getters_;
  const Done& done_;
  const CircuitBreakerConfig& config_;
  Subject& subject_;
  std::optional<Snapshot> snapshot_;
};

void Expectation::check_metric(const std::string& key, const Json& expected) {
  const circuitbreaker::Counts& counts = snapshot().counts;
  const std::uint64_t successful = counts.total - counts.failed;
  if (key == "failure_rate") return check_rate(key, expected, counts.failed);
  if (key == "slow_rate") return check_rate(key, expected, counts.slow);
  if (key == "success_rate") return check_rate(key, expected, successful);
  if (key == "remaining_ms") {
    // Failsafe's getter says 0 where there is no open wait.
    const std::optional<Duration> remaining = snapshot().open_remaining;
    const bool zero = !expected.is_null() && !remaining;
    return check_wait(key, expected, zero ? Duration::zero() : remaining);
  }
  const std::array<std::pair<const char*, std::uint64_t>, 7> metrics = {{
      {"buffered", counts.total},
      {"failed", counts.failed},
      {"successful", successful},
      {"slow", counts.slow},
      {"slow_failed", counts.slow_failed},
      {"slow_successful", counts.slow - counts.slow_failed},
      {"not_permitted", snapshot().not_permitted},
  }};
  for (const auto& [name, value] : metrics) {
    if (key == name) return compare(key, expected, static_cast<double>(value), 0);
  }
  throw Skipped("unknown key expect." + key);
}

using NamedCount = std::pair<const char*, std::uint64_t>;

constexpr std::size_t kExclusions = 3;

std::vector<NamedCount> named_counts(const Tally& tally) {
  return {{"requests", tally.requests},
          {"totalsuccesses", tally.successes},
          {"totalfailures", tally.failures},
          {"totalexclusions", tally.exclusions},
          {"consecutivesuccesses", tally.consecutive_successes},
          {"consecutivefailures", tally.consecutive_failures}};
}

// "TotalSuccesses", "total_successes" and "successes" alike.
NamedCount count_named(const std::vector<NamedCount>& counts, const std::string& key) {
  std::string name;
  for (const char c : key) {
    if (c != '_') name.push_back(static_cast<char>(std::tolower(static_cast<unsigned char>(c))));
  }
  for (const NamedCount& count : counts) {
    if (name == count.first || "total" + name == count.first) return count;
  }
  throw Skipped("unknown key expect.counts." + key);
}

// gobreaker's Counts: an object with its field names, or its fields in order, with or without the
// exclusions, which older versions do not have.
void Expectation::check_counts(const Json& expected) {
  std::vector<NamedCount> counts = named_counts(subject_.tally());
  const auto compare_count = [](const NamedCount& count, const Json& value) {
    compare(std::string("counts.") + count.first, value, static_cast<double>(count.second), 0);
  };
  if (expected.is_object()) {
    for (const auto& [key, value] : expected.items()) {
      compare_count(count_named(counts, key), value);
    }
    return;
  }
  if (!expected.is_array()) throw Failed("expect.counts: neither an object nor an array");
  if (expected.size() == counts.size() - 1) counts.erase(counts.begin() + kExclusions);
  if (expected.size() != counts.size()) throw Failed("expect.counts: not 5 or 6 numbers");
  for (std::size_t i = 0; i < counts.size(); ++i) compare_count(counts[i], expected[i]);
}

}  // namespace

void check_expectation(const Json& expect, const Getters& getters, const Done& done,
                       const CircuitBreakerConfig& config, Subject& subject) {
  if (!expect.is_object()) throw Failed("expect: not an object");
  Expectation expectation(getters, done, config, subject);
  for (const auto& [key, value] : expect.items()) expectation.check(key, value);
}

}  // namespace recover::conformance
