#include "breaker_vectors.h"

#include <cstddef>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include <recover/circuit_breaker_config.h>

#include "breaker_config.h"
#include "breaker_expectation.h"
#include "breaker_subject.h"
#include "report.h"

namespace recover::conformance {
namespace {

using circuitbreaker::Outcome;
using circuitbreaker::State;

constexpr Duration kMillisecond = std::chrono::milliseconds{1};
constexpr std::uint32_t kRepeatMax = 1'000'000;

// One replay of the steps of a vector on one subject.
class Replay {
 public:
  Replay(const CircuitBreakerConfig& config, std::string profile, Subject& subject)
      : config_(config), profile_(std::move(profile)), subject_(subject) {
    const bool ours = profile_ == "resilience4j" || profile_ == "any" || profile_ == "per-suite";
    getters_.rates_below_minimum = !ours;
    getters_.thresholds_precede_trips = profile_ == "resilience4j";
  }

  void step(const Json& json) {
    Fields fields(json, "");
    fields.ignore({"note", "notes", "comment", "why"});
    const Json expect = expectation_of(fields);
    const std::uint32_t repeat = fields.count("repeat", 1);
    if (repeat > kRepeatMax) throw Failed("repeat: more than " + std::to_string(kRepeatMax));
    advance(fields);
    for (std::uint32_t i = 0; i < repeat; ++i) {
      Done done = perform(fields);
      done.events = subject_.take_events();
      if (i == 0) fields.reject_rest();
      check_expectation(expect, getters_, done, config_, subject_);
    }
  }

 private:
  void advance(Fields& fields) {
    const Instant now = Instant{duration_of(fields.at("t"), kMillisecond, "t")};
    if (now < now_) throw Failed("t: goes back");
    now_ = now;
    subject_.take_events();
    subject_.advance_to(now);
  }

  // The expectation that is ours: where suites disagree, the recommended one.
  static Json expectation_of(Fields& fields) {
    Json expect = Json::object();
    if (const Json* stated = fields.find("expect")) expect = *stated;
    if (const Json* by_profile = fields.find("expect_by_profile")) {
      Fields profiles(*by_profile, "expect_by_profile");
      if (!profiles.has("recommended")) {
        throw Skipped("expect_by_profile does not say what is recommended");
      }
      expect.update(profiles.at("recommended"));
    }
    if (fields.text("op") == "run" && expect.is_object() && !expect.contains("permit")) {
      expect["permit"] = true;
    }
    return expect;
  }

  Done perform(Fields& fields) {
    const std::string op = fields.text("op");
    if (op == "run") return run(fields);
    if (op == "acquire") return acquire(fields.text("call"));
    if (op == "complete") return complete(fields.text("call"), fields);
    if (op == "release") return release(fields.text("call"));
    if (op == "abandon") return abandon(fields.text("call"));
    if (op == "force") return force(fields);
    if (op == "reset") {
      subject_.reset();
    } else if (op == "tick") {
      subject_.tick();
    } else if (op == "observe") {
      subject_.state();
      subject_.snapshot();
    } else {
      throw Skipped("unknown op " + op);
    }
    return {};
  }

  Done run(Fields& fields) {
    Done done = acquire("");
    const Outcome outcome = outcome_of(fields);
    const Duration elapsed = elapsed_of(fields);
    if (done.acquired->permitted) {
      subject_.complete("", outcome, elapsed);
      in_flight_.erase("");
    }
    return done;
  }

  Done acquire(const std::string& call) {
    if (in_flight_.count(call) != 0) throw Failed("call " + call + " is in flight already");
    const Acquired acquired = subject_.acquire(call);
    if (acquired.permitted) in_flight_.insert(call);
    return {.acquired = acquired};
  }

  Done complete(const std::string& call, Fields& fields) {
    const Outcome outcome = outcome_of(fields);
    const Duration elapsed = elapsed_of(fields);
    end(call);
    subject_.complete(call, outcome, elapsed);
    return {};
  }

  Done release(const std::string& call) {
    end(call);
    subject_.release(call);
    return {};
  }

  // The breaker is told what the suite's own caller tells it: Polly's strategy takes a cancellation
  // for an outcome that it does not handle, Hystrix's command marks a probe as not successful, the
  // others give the permit back, as we do.
  Done abandon(const std::string& call) {
    end(call);
    Outcome outcome = Outcome::Cancelled;
    if (profile_ == "polly8") outcome = Outcome::Success;
    if (profile_ == "hystrix" && subject_.state() == State::HalfOpen) outcome = Outcome::Failure;
    subject_.complete(call, outcome, Duration::zero());
    return {};
  }

  Done force(Fields& fields) {
    std::optional<Duration> wait;
    if (fields.find("wait_ms") != nullptr) wait = fields.milliseconds("wait_ms");
    subject_.force(state_of(fields.text("to")), wait);
    return {};
  }

  void end(const std::string& call) {
    if (in_flight_.erase(call) == 0) throw Failed("call " + call + " is not in flight");
  }

  static Duration elapsed_of(Fields& fields) {
    return duration_of(fields.number("duration_ms", 0), kMillisecond);
  }

  static Outcome outcome_of(Fields& fields) {
    const std::string outcome = fields.text("outcome");
    if (outcome == "success") return Outcome::Success;
    if (outcome == "failure") return Outcome::Failure;
    if (outcome == "ignored") return Outcome::Ignored;
    // All suites record what their failure predicate does not match as a success.
    if (outcome == "unhandled_error") return Outcome::Success;
    throw Skipped("unknown outcome " + outcome);
  }

  const CircuitBreakerConfig& config_;
  const std::string profile_;
  Subject& subject_;
  Getters getters_;
  Instant now_;
  std::set<std::string> in_flight_;
};

void replay_on(Subject& subject, const CircuitBreakerConfig& config, const std::string& profile,
               const Json& steps) {
  Replay replay(config, profile, subject);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const std::string where = "step " + std::to_string(i + 1) + " ";
    try {
      replay.step(steps[i]);
    } catch (const Failed& failure) {
      throw Failed(where + failure.what() + " (" + std::string(subject.name()) + ")");
    } catch (const Skipped& skip) {
      throw Skipped(where + skip.what());
    }
  }
}

// On the pure machine, on the thread-safe breaker and, where that makes no difference, with late
// outcomes dropped: then the breaker counts without a lock, which is code of its own.
void replay_on_all(CircuitBreakerConfig config, const std::string& profile, const Json& steps) {
  const std::unique_ptr<Subject> pure = pure_machine(config);
  replay_on(*pure, config, profile, steps);
  replay_on(*thread_safe_breaker(config), config, profile, steps);
  if (pure->saw_late_call() || config.late_outcomes == circuitbreaker::LateOutcomes::Drop) return;
  config.late_outcomes = circuitbreaker::LateOutcomes::Drop;
  replay_on(*thread_safe_breaker(config), config, profile, steps);
}

}  // namespace

void replay_breaker_vector(const Json& vector) {
  Fields fields(vector, "");
  fields.ignore({"id", "title", "source", "basis", "verified_on", "note", "notes", "comment",
                 "recommended", "why"});
  const std::string level = fields.text("level", "profile");
  if (level != "core" && level != "profile" && level != "divergence") {
    throw Skipped("unknown level " + level);
  }
  const Json& steps = fields.at("steps");
  if (!steps.is_array()) throw Failed("steps: not an array");
  const std::string profile = fields.text("profile", "any");
  const Json& json = fields.at("config");
  const CircuitBreakerConfig config = breaker_config_of(json);
  fields.reject_rest();
  try {
    replay_on_all(config, profile, steps);
  } catch (const Failed& failure) {
    if (!json.contains("rate_rounding") || json["rate_rounding"].is_null()) throw;
    throw Skipped("config.rate_rounding " + json["rate_rounding"].dump() +
                  ": rates are compared exactly (docs/adr/0005); exactly, " + failure.what());
  }
}

}  // namespace recover::conformance
