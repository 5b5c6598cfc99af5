// Rate limiting as Resilience4j's AtomicRateLimiter, constructed at 0; times in nanoseconds.
#include <cstddef>
#include <cstdint>
#include <string>

#include <recover/rate_limiter.h>

#include "policy_vectors.h"
#include "report.h"

namespace recover::conformance {
namespace {

constexpr Duration kNanosecond{1};
// What the vectors leave out is that of AtomicRateLimiterTest: 1 permit in 250 ms.
constexpr double kDefaultPeriod = 250e6;
// A reservation that was refused.
constexpr double kRefused = -1;

ratelimiter::Algorithm algorithm_of(const std::string& name) {
  if (name == "fixed_window") return ratelimiter::Algorithm::FixedWindow;
  if (name == "token_bucket") return ratelimiter::Algorithm::TokenBucket;
  if (name == "gcra") return ratelimiter::Algorithm::Gcra;
  throw Skipped("unknown value of algorithm: " + name);
}

double nanoseconds(Duration duration) {
  return static_cast<double>(duration.count());
}

class LimiterReplay {
 public:
  explicit LimiterReplay(const RateLimiterConfig& config) : limiter_(config, clock_) {}

  // [at, granted]
  void step(const Json& pair) {
    if (pair.size() != 2) throw Failed("steps: not a pair of a time and a grant");
    advance(number_of(pair[0], "steps"));
    expect_equal("permit", pair[1], limiter_.try_acquire(now_).has_value());
  }

  void step(Fields fields) {
    advance(fields.number("at"));
    for (const char* key : {"change_limit", "limit"}) {
      if (fields.find(key) != nullptr) change_limit(fields.count(key));
    }
    if (fields.find("reserve") != nullptr) reserve(fields.count("reserve"), fields);
    if (fields.find("acquire") != nullptr) acquire(fields.at("acquire"));
    if (fields.find("available") != nullptr) {
      expect_near("available", fields.number("available"),
                  static_cast<double>(limiter_.available(now_)));
    }
    if (fields.find("nanos_to_wait") != nullptr) {
      expect_near("nanos_to_wait", fields.number("nanos_to_wait"),
                  nanoseconds(limiter_.wait_for(now_)));
    }
    fields.reject_rest();
  }

 private:
  void advance(double at) {
    now_ = Instant{duration_of(at, kNanosecond)};
    clock_.advance_to(now_);
  }
  void change_limit(std::uint32_t limit) {
    if (const Result<void> changed = limiter_.change_limit(now_, limit); !changed) {
      throw Failed(changed.error().message());
    }
  }
  void reserve(std::uint32_t permits, Fields& fields) {
    const Result<Duration, Rejection> wait = limiter_.reserve(now_, permits);
    const double got = wait ? nanoseconds(*wait) : kRefused;
    if (fields.find("wait") != nullptr) expect_near("wait", fields.number("wait"), got);
    if (fields.find("wait_gt") != nullptr && !(got > fields.number("wait_gt"))) {
      expect_equal("wait_gt", fields.number("wait_gt"), got);
    }
  }
  void acquire(const Json& expected) {
    const bool granted = limiter_.try_acquire(now_).has_value();
    expect_equal("acquire", expected, granted);
  }

  ManualClock clock_;
  Instant now_;
  ratelimiter::RateLimiter limiter_;
};

// {"at": […], "wait": […]}: a reservation of one permit at each instant.
void replay_reservations(Fields& vector, LimiterReplay& replay) {
  const Json& at = vector.at("at");
  const Json& wait = vector.at("wait");
  if (!at.is_array() || at.size() != wait.size()) throw Failed("at, wait: of different lengths");
  for (std::size_t i = 0; i < at.size(); ++i) {
    const Json step = {{"at", at[i]}, {"reserve", 1}, {"wait", wait[i]}};
    try {
      replay.step(Fields(step, ""));
    } catch (const Failed& failure) {
      throw Failed(numbered("reservation", i) + failure.what());
    }
  }
}

}  // namespace

void replay_rate_limiter(Fields& vector) {
  if (!vector.has("steps") && !(vector.has("at") && vector.has("wait"))) {
    throw Skipped("rate_limiter: a shape other than steps, or at and wait");
  }
  const RateLimiterConfig config{
      .algorithm = algorithm_of(vector.text("algorithm", "fixed_window")),
      .limit_for_period = vector.count("limit", 1),
      .limit_refresh_period = duration_of(vector.number("period_ns", kDefaultPeriod), kNanosecond),
      .timeout_duration = duration_of(vector.number("timeout_ns", 0), kNanosecond),
      .burst = vector.count("burst", 0)};
  if (const Result<void> checked = config.validate(); !checked) {
    throw Failed(checked.error().message());
  }
  LimiterReplay replay(config);
  if (vector.has("wait")) return replay_reservations(vector, replay);
  const Json& steps = vector.at("steps");
  for (std::size_t i = 0; i < steps.size(); ++i) {
    try {
      steps[i].is_array() ? replay.step(steps[i]) : replay.step(Fields(steps[i], ""));
    } catch (const Failed& failure) {
      throw Failed(numbered("step", i) + failure.what());
    }
  }
}

}  // namespace recover::conformance
