#include "breaker_config.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <limits>
#include <vector>

#include "report.h"

namespace recover::conformance {
namespace {

using circuitbreaker::Alignment;
using circuitbreaker::Boundary;
using circuitbreaker::EvaluateOn;
using circuitbreaker::HalfOpenRule;
using circuitbreaker::LateOutcomes;
using circuitbreaker::OpenTransition;
using circuitbreaker::OpenWait;
using circuitbreaker::Percent;
using circuitbreaker::PermitMode;
using circuitbreaker::SlidingWindow;
using circuitbreaker::State;
using circuitbreaker::WindowKind;

// The vectors know no cap of a growing wait.
constexpr Duration kNoCap = std::chrono::hours{24 * 3650};

template <class T>
struct Choice {
  const char* name;
  T value;
};

template <class T>
T choose(Fields& fields, const char* key, const std::vector<Choice<T>>& choices, T otherwise) {
  if (fields.find(key) == nullptr) return otherwise;
  const std::string name = fields.text(key);
  for (const Choice<T>& choice : choices) {
    if (name == choice.name) return choice.value;
  }
  throw Skipped("unknown value of " + fields.path_of(key) + ": " + name);
}

SlidingWindow window_of(Fields fields) {
  SlidingWindow window;
  window.kind = choose<WindowKind>(fields, "kind",
                                   {{"count", WindowKind::Count},
                                    {"time", WindowKind::Time},
                                    {"tumbling", WindowKind::Tumbling},
                                    {"none", WindowKind::None}},
                                   WindowKind::None);
  if (window.kind == WindowKind::Count) window.size = fields.count("size");
  if (window.kind == WindowKind::Tumbling) window.duration = fields.milliseconds("period_ms");
  if (window.kind == WindowKind::Time) {
    window.duration = fields.milliseconds("duration_ms");
    window.bucket = fields.has("bucket_ms") ? fields.milliseconds("bucket_ms") : window.duration;
    window.alignment = choose<Alignment>(fields, "alignment",
                                         {{"epoch", Alignment::Epoch},
                                          {"state_entry", Alignment::StateEntry},
                                          {"event", Alignment::Event}},
                                         Alignment::Epoch);
  }
  fields.reject_rest();
  return window;
}

void read_trip(Fields fields, CircuitBreakerConfig& config) {
  const bool rate = fields.has("failure_rate_pct_ge");
  const bool count = fields.has("failure_count_ge");
  const bool streak = fields.has("consecutive_failures_ge");
  if (rate) config.failure_rate_threshold = fields.number("failure_rate_pct_ge");
  if (count) config.failure_count_threshold = fields.count("failure_count_ge");
  // With no failure threshold at all: one that is never reached.
  if (streak || (!rate && !count)) {
    config.consecutive_failures_threshold =
        fields.count("consecutive_failures_ge", std::numeric_limits<std::uint32_t>::max());
  }
  fields.reject_rest();
  if (static_cast<int>(rate) + static_cast<int>(count) + static_cast<int>(streak) > 1) {
    throw Skipped("config.trip: more than one failure threshold");
  }
}

void read_slow_call(Fields& fields, CircuitBreakerConfig& config) {
  config.slow_call_duration_threshold = Duration::zero();
  if (!fields.has("slow_call")) return fields.ignore({"slow_call"});
  Fields slow = fields.object("slow_call");
  // 0 would turn it off; latencies come in milliseconds, so one nanosecond is the same as none.
  config.slow_call_duration_threshold = std::max(Duration{1}, slow.milliseconds("duration_gt_ms"));
  config.slow_call_rate_threshold = slow.number("rate_pct_ge");
  slow.reject_rest();
}

OpenWait open_wait_of(Fields& fields) {
  OpenWait wait{.initial = Duration::zero(), .max = kNoCap};
  if (fields.has("wait_ms")) wait.initial = fields.milliseconds("wait_ms");
  if (fields.has("wait_exponential")) {
    Fields growth = fields.object("wait_exponential");
    wait.initial = growth.milliseconds("initial_ms");
    wait.multiplier = growth.number("multiplier");
    if (growth.has("max_ms")) wait.max = growth.milliseconds("max_ms");
    growth.reject_rest();
  }
  if (fields.has("wait_table_ms")) {
    for (const double ms : fields.numbers("wait_table_ms")) {
      wait.table.push_back(duration_of(ms, std::chrono::milliseconds{1}));
    }
    if (!fields.has("wait_ms") && !wait.table.empty()) wait.initial = wait.table.front();
  }
  return wait;
}

void read_open(Fields fields, CircuitBreakerConfig& config) {
  config.wait_in_open = open_wait_of(fields);
  config.boundary = choose<Boundary>(fields, "boundary",
                                     {{"at", Boundary::Inclusive}, {"after", Boundary::Exclusive}},
                                     Boundary::Inclusive);
  config.open_transition = choose<OpenTransition>(fields, "transition",
                                                  {{"lazy_on_acquire", OpenTransition::OnAcquire},
                                                   {"lazy_on_access", OpenTransition::OnAccess},
                                                   {"timer", OpenTransition::Timer}},
                                                  OpenTransition::OnAcquire);
  // A timer set for the end of the wait fires at it; `after` is how an acquire compares.
  if (config.open_transition == OpenTransition::Timer) config.boundary = Boundary::Inclusive;
  fields.reject_rest();
}

HalfOpenRule failure_rate_rule(Fields& fields) {
  HalfOpenRule rule{.kind = HalfOpenRule::Kind::Rate, .n = 0, .of = 0};
  for (const char* key : {"min_calls", "executions", "of", "n"}) {
    if (fields.has(key)) rule.n = fields.count(key);
  }
  return rule;
}

HalfOpenRule rule_of(Fields fields) {
  HalfOpenRule rule;
  const std::string kind = fields.text("kind");
  if (kind == "rate" || kind == "failure_rate") {
    rule = failure_rate_rule(fields);
  } else if (kind == "single") {
    rule = {.kind = HalfOpenRule::Kind::ConsecutiveSuccesses, .n = 1, .of = 0};
  } else if (kind == "consecutive_successes") {
    rule = {.kind = HalfOpenRule::Kind::ConsecutiveSuccesses, .n = fields.count("n"), .of = 0};
  } else if (kind == "success_threshold") {
    rule = {.kind = HalfOpenRule::Kind::SuccessThreshold,
            .n = fields.count("successes"),
            .of = fields.count("of")};
  } else if (kind == "failure_threshold") {
    rule = {.kind = HalfOpenRule::Kind::FailureThreshold,
            .n = fields.count("failures"),
            .of = fields.count("of")};
  } else {
    throw Skipped("unknown value of config.half_open.rule.kind: " + kind);
  }
  fields.reject_rest();
  return rule;
}

void read_half_open(Fields fields, CircuitBreakerConfig& config) {
  config.permitted_calls_in_half_open = fields.count("permits", 1);
  const bool single = fields.text("permit_mode", "total") == "single_probe";
  config.half_open_permit_mode = choose<PermitMode>(fields, "permit_mode",
                                                    {{"total", PermitMode::Total},
                                                     {"concurrent", PermitMode::Concurrent},
                                                     {"single_probe", PermitMode::Total}},
                                                    PermitMode::Total);
  if (single) config.permitted_calls_in_half_open = 1;
  if (fields.find("rule") != nullptr) config.half_open_rule = rule_of(fields.object("rule"));
  config.half_open_max_wait =
      duration_of(fields.number("max_wait_ms", 0), std::chrono::milliseconds{1});
  config.half_open_max_wait_then = state_of(fields.text("max_wait_then", "open"));
  fields.reject_rest();
}

// What any sane breaker does: opens on so many failures in a row, admits so many probes. Everything
// else is what this library recommends.
CircuitBreakerConfig core_config_of(Fields fields) {
  const std::uint32_t failures = fields.count("failures_to_open");
  const std::uint32_t permits = fields.count("half_open_permits");
  CircuitBreakerConfig config;
  config.sliding_window = {.kind = WindowKind::Count, .size = failures};
  config.minimum_calls = failures;
  config.failure_rate_threshold = Percent(100);
  config.slow_call_duration_threshold = Duration::zero();
  config.wait_in_open = {.initial = fields.milliseconds("open_wait_ms"), .max = kNoCap};
  config.permitted_calls_in_half_open = permits;
  config.half_open_rule = {.kind = HalfOpenRule::Kind::ConsecutiveSuccesses, .n = permits, .of = 0};
  fields.reject_rest();
  return config;
}

CircuitBreakerConfig profile_config_of(Fields& fields) {
  CircuitBreakerConfig config;
  config.sliding_window = window_of(fields.object("window"));
  config.minimum_calls = fields.count("minimum_calls", 0);
  read_trip(fields.object_or_empty("trip"), config);
  read_slow_call(fields, config);
  config.evaluate_on = choose<EvaluateOn>(fields, "evaluate_on",
                                          {{"any_outcome", EvaluateOn::AnyOutcome},
                                           {"failure", EvaluateOn::Failure},
                                           {"tick", EvaluateOn::Tick}},
                                          EvaluateOn::AnyOutcome);
  read_open(fields.object_or_empty("open"), config);
  read_half_open(fields.object_or_empty("half_open"), config);
  config.late_outcomes = choose<LateOutcomes>(
      fields, "late_outcomes",
      {{"current_state", LateOutcomes::CurrentState}, {"drop", LateOutcomes::Drop}},
      LateOutcomes::Drop);
  return config;
}

}  // namespace

CircuitBreakerConfig breaker_config_of(const Json& json) {
  Fields fields(json, "config");
  fields.ignore({"rate_rounding"});
  CircuitBreakerConfig config =
      fields.has("core") ? core_config_of(fields.object("core")) : profile_config_of(fields);
  fields.reject_rest();
  const Result<void> checked = config.validate();
  if (!checked) throw Failed("config: " + checked.error().message());
  return config;
}

State state_of(const std::string& name) {
  std::string ours;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    ours.push_back(c == '-' ? '_' : static_cast<char>(std::tolower(byte)));
  }
  if (ours == "isolated") return State::ForcedOpen;
  for (const State state : {State::Closed, State::Open, State::HalfOpen, State::Disabled,
                            State::MetricsOnly, State::ForcedOpen}) {
    if (ours == to_string(state)) return state;
  }
  throw Failed("unknown state " + name);
}

}  // namespace recover::conformance
