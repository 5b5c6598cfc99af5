// Backoff vectors: the delay formulas of the AWS blog, Polly, Resilience4j and gRPC. Each shape of
// vector has its own members; a fact that only the title states is checked by the vector's id.
#include <charconv>
#include <cmath>
#include <cstddef>
#include <optional>
#include <regex>
#include <string>
#include <vector>

#include <recover/backoff.h>

#include "policy_vectors.h"
#include "report.h"

namespace recover::conformance {
namespace {

using retry::BackoffKind;
using retry::BackoffStep;
using retry::Jitter;

// Vectors without a unit are replayed in this one.
constexpr Duration kUnit = std::chrono::seconds{1};
constexpr Duration kBackoffMillisecond = std::chrono::milliseconds{1};
constexpr Duration kDay = std::chrono::hours{24};
constexpr double kPollyFactor = 0.25;
constexpr double kGrpcFactor = 0.2;
constexpr double kResilience4jFactor = 0.5;

double units(Duration delay, Duration unit = kUnit) {
  return static_cast<double>(delay.count()) / static_cast<double>(unit.count());
}

// {"base", "cap", "cases": [{"n", "v", "none", "full", "equal": {u: delay}} or {"prev", "u", …}]}
class AwsFormulas {
 public:
  explicit AwsFormulas(Fields& vector)
      : base_(vector.number("base")),
        config_{.kind = BackoffKind::Exponential,
                .initial_interval = duration_of(base_, kUnit),
                .multiplier = vector.number("multiplier", 2),
                .max_interval = duration_of(vector.number("cap"), kUnit)} {}

  void check(Fields fields) {
    if (fields.has("prev")) {
      check_decorrelated(fields);
    } else {
      check_exponential(fields);
    }
    fields.reject_rest();
  }

 private:
  void check_exponential(Fields& fields) {
    // The blog counts from n = 0 for the base itself.
    const unsigned attempt = fields.count("n") + 1;
    check_delay("v", fields.find("v"), Jitter::None, attempt, 0);
    check_delay("none", fields.find("none"), Jitter::None, attempt, 0);
    check_draws("full", fields.find("full"), Jitter::Full, attempt);
    check_draws("equal", fields.find("equal"), Jitter::Equal, attempt);
  }

  void check_draws(const char* name, const Json* draws, Jitter jitter, unsigned attempt) {
    if (draws == nullptr) return;
    if (!draws->is_object()) throw Failed(std::string(name) + ": not an object");
    for (const auto& [u, expected] : draws->items()) {
      check_delay(std::string(name) + "(" + u + ")", &expected, jitter, attempt, std::stod(u));
    }
  }

  void check_delay(const std::string& name, const Json* expected, Jitter jitter, unsigned attempt,
                   double u) {
    if (expected == nullptr) return;
    config_.jitter = jitter;
    expect_near(name, number_of(*expected, name), units(retry::delay(config_, attempt, u)));
  }

  void check_decorrelated(Fields& fields) {
    config_.jitter = Jitter::Decorrelated;
    const double previous = static_cast<double>(duration_of(fields.number("prev"), kUnit).count());
    const BackoffStep step = retry::next_step(config_, 1, fields.number("u"), {.value = previous});
    for (const char* name : {"v", "sleep", "delay", "next"}) {
      if (fields.has(name)) expect_near(name, fields.number(name), units(step.delay));
    }
  }

  double base_;
  BackoffConfig config_;
};

void replay_aws(Fields& vector) {
  AwsFormulas formulas(vector);
  const Json& cases = vector.at("cases");
  for (std::size_t i = 0; i < cases.size(); ++i) {
    try {
      formulas.check(Fields(cases[i], ""));
    } catch (const Failed& failure) {
      throw Failed(numbered("case", i) + failure.what());
    }
  }
}

// A header that is no whole number of milliseconds, or a negative one, is no hint.
std::optional<Duration> hint_of(const Json& header) {
  const std::string text = header.is_string() ? header.get<std::string>() : header.dump();
  long ms = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), ms);
  if (error != std::errc() || end != text.data() + text.size() || ms < 0) return std::nullopt;
  return std::chrono::milliseconds{ms};
}

// {"t", "header_ms": […], "seconds": […]}: Retry-After within [t, t + 5 s].
void replay_retry_after(Fields& vector) {
  const Duration own = duration_of(vector.number("t"), kUnit);
  const Duration extra_max = duration_of(vector.number("extra_max", 5), kUnit);
  const std::vector<double> expected = vector.numbers("seconds");
  const Json& headers = vector.at("header_ms");
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const Duration got = retry::clamp_retry_after(own, hint_of(headers.at(i)), extra_max);
    expect_near(numbered("header", i) + "seconds", expected[i], units(got));
  }
}

// {"u": […], "seconds": […]}: Polly's jitter of a constant or, when the title says so, linear delay
// of a base of 1 s; attempts from 0, and 2 where a linear vector does not say.
void replay_polly_jitter(Fields& vector) {
  const bool linear = std::regex_search(vector.text("title", ""), std::regex("linear"));
  const BackoffConfig config{.kind = linear ? BackoffKind::Linear : BackoffKind::Constant,
                             .initial_interval = duration_of(vector.number("base", 1), kUnit),
                             .jitter = Jitter::Proportional,
                             .randomization_factor = kPollyFactor};
  const unsigned attempt = vector.count("attempt", linear ? 2 : 0) + 1;
  const std::vector<double> draws = vector.numbers("u");
  const std::vector<double> expected = vector.numbers("seconds");
  if (draws.size() != expected.size()) throw Failed("u, seconds: of different lengths");
  for (std::size_t i = 0; i < draws.size(); ++i) {
    const double got = units(retry::delay(config, attempt, draws[i]));
    expect_near(numbered("draw", i) + "seconds", expected[i], got);
  }
}

// {"constant", "linear", "exponential": […]}: Polly without jitter, base 1 s, attempts 0, 1, 2, …
void replay_polly_kinds(Fields& vector) {
  struct Kind {
    const char* name;
    BackoffKind kind;
  };
  for (const Kind& kind :
       {Kind{"constant", BackoffKind::Constant}, Kind{"linear", BackoffKind::Linear},
        Kind{"exponential", BackoffKind::Exponential}}) {
    if (!vector.has(kind.name)) continue;
    const BackoffConfig config{.kind = kind.kind, .initial_interval = kUnit, .multiplier = 2};
    const std::vector<double> expected = vector.numbers(kind.name);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      expect_near(std::string(kind.name) + " " + std::to_string(i), expected[i],
                  units(retry::delay(config, static_cast<unsigned>(i) + 1)));
    }
  }
}

// B09: the formula of the title, written out, for a base of 1 s and a cap of 3 s.
void replay_decorrelated_v2() {
  const BackoffConfig config{.kind = BackoffKind::Exponential,
                             .initial_interval = kUnit,
                             .max_interval = 3 * kUnit,
                             .jitter = Jitter::DecorrelatedV2};
  retry::Backoff backoff(config);
  double before = 0;
  for (const double t : {0.25, 1.5, 2.75, 3.0, 4.5}) {
    const double f = std::exp2(t) * std::tanh(std::sqrt(4 * t));
    const double expected = std::min(3.0, (f - before) / 1.4);
    before = f;
    expect_near("delay at t=" + std::to_string(t), expected,
                units(backoff.next(t - std::floor(t))));
  }
}

// {"expect": ["max", "2 days"]}: attempt 1000, from 0, of an exponential delay of 1 day.
void replay_overflow(Fields& vector) {
  BackoffConfig config{.kind = BackoffKind::Exponential, .initial_interval = kDay, .multiplier = 2};
  for (const Json& expected : vector.at("expect")) {
    const std::string text = expected.is_string() ? expected.get<std::string>() : "";
    Duration delay = Duration::max();
    config.max_interval = retry::kNoMaxInterval;
    if (std::smatch days; std::regex_match(text, days, std::regex("(\\d+) days"))) {
      config.max_interval = delay = std::stol(days[1]) * kDay;
    } else if (text != "max") {
      throw Skipped("unknown value of expect: " + expected.dump());
    }
    expect_near("delay of " + text, units(delay), units(retry::delay(config, 1001)));
  }
}

// {"attempts": […], "ms": […]}: Resilience4j's, in whole milliseconds, attempts from 1. Initial
// interval, multiplier and cap are members or, as "100 ms x2 cap 100000", in the title.
BackoffConfig resilience4j_config_of(Fields& vector) {
  BackoffConfig config{.kind = BackoffKind::Exponential, .tick = kBackoffMillisecond};
  std::smatch found;
  const std::string title = vector.text("title", "");
  const std::regex pattern(R"((\d+) ?ms ?x ?(\d+(?:\.\d+)?)(?: cap (\d+))?)");
  if (std::regex_search(title, found, pattern)) {
    config.initial_interval = duration_of(std::stod(found[1]), kBackoffMillisecond);
    config.multiplier = std::stod(found[2]);
    if (found[3].matched)
      config.max_interval = duration_of(std::stod(found[3]), kBackoffMillisecond);
  }
  if (vector.has("initial_ms")) config.initial_interval = vector.milliseconds("initial_ms");
  if (vector.has("max_ms")) config.max_interval = vector.milliseconds("max_ms");
  config.multiplier = vector.number("multiplier", config.multiplier);
  return config;
}

void replay_resilience4j(Fields& vector) {
  BackoffConfig config = resilience4j_config_of(vector);
  const std::vector<double> attempts = vector.numbers("attempts");
  const std::vector<double> expected = vector.numbers("ms");
  if (attempts.size() != expected.size()) throw Failed("attempts, ms: of different lengths");
  for (std::size_t i = 0; i < attempts.size(); ++i) {
    const auto attempt = static_cast<unsigned>(attempts[i]);
    if (attempt < 1) throw Failed("attempts: not counted from 1");
    expect_near("attempt " + std::to_string(attempt) + " ms", expected[i],
                units(retry::delay(config, attempt), kBackoffMillisecond));
  }
  // The randomised variant: capped after the jitter, both ends of [d(1-r), d(1+r)] in reach.
  config.jitter = Jitter::Proportional;
  config.randomization_factor = vector.number("randomization_factor", kResilience4jFactor);
  config.cap_after_jitter = true;
  const double first = units(config.initial_interval, kBackoffMillisecond);
  const double spread = std::floor(first * config.randomization_factor);
  const auto drawn = [&](double u) {
    return units(retry::delay(config, 1, u), kBackoffMillisecond);
  };
  const double cap = units(config.max_interval, kBackoffMillisecond);
  expect_near("lowest ms", std::min(cap, first - spread), drawn(0));
  expect_near("highest ms", std::min(cap, first + spread), drawn(std::nextafter(1.0, 0.0)));
}

// {"initial", "mult", "max", "n": […], "low": […], "high": […]}: gRPC's, capped before the jitter.
void replay_grpc(Fields& vector) {
  const BackoffConfig config{.kind = BackoffKind::Exponential,
                             .initial_interval = duration_of(vector.number("initial"), kUnit),
                             .multiplier = vector.number("mult"),
                             .max_interval = duration_of(vector.number("max"), kUnit),
                             .jitter = Jitter::Proportional,
                             .randomization_factor = vector.number("jitter", kGrpcFactor)};
  const std::vector<double> attempts = vector.numbers("n");
  const std::vector<double> low = vector.numbers("low");
  const std::vector<double> high = vector.numbers("high");
  for (std::size_t i = 0; i < attempts.size(); ++i) {
    const auto attempt = static_cast<unsigned>(attempts[i]);
    expect_near(numbered("delay", i) + "low", low.at(i), units(retry::delay(config, attempt, 0)));
    expect_near(numbered("delay", i) + "high", high.at(i), units(retry::delay(config, attempt, 1)));
  }
}

}  // namespace

void replay_backoff(Fields& vector) {
  if (vector.has("cases") && vector.has("base")) return replay_aws(vector);
  if (vector.has("header_ms")) return replay_retry_after(vector);
  if (vector.has("attempts") && vector.has("ms")) return replay_resilience4j(vector);
  if (vector.has("low") && vector.has("high")) return replay_grpc(vector);
  if (vector.has("u") && vector.has("seconds")) return replay_polly_jitter(vector);
  if (vector.has("linear") || vector.has("exponential")) return replay_polly_kinds(vector);
  if (vector.has("expect")) return replay_overflow(vector);
  if (vector.text("id") == "B09") return replay_decorrelated_v2();
  throw Skipped("backoff: a shape that is not known");
}

}  // namespace recover::conformance
