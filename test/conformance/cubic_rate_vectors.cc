// The CUBIC rate of the AWS SDKs' adaptive mode. T06 has its facts in its title; they are here.
#include <string>

#include <recover/cubic_rate.h>
#include <recover/error.h>

#include "policy_vectors.h"
#include "report.h"

namespace recover::conformance {
namespace {

constexpr double kTolerance = 1e-9;

Instant at(double t) {
  return Instant{duration_of(t, std::chrono::seconds{1})};
}

// Where one step of a vector does not say: botocore's test starts at 10 calls a second.
CubicRate rate_of(Fields& vector, double beta) {
  const CubicRateConfig config{.rate_max = vector.number("w_max", 10),
                               .beta = vector.number("beta", beta),
                               .scale = vector.number("scale", 0.4)};
  if (const Result<void> checked = config.validate(); !checked) {
    throw Failed(checked.error().message());
  }
  return CubicRate(config, at(vector.number("last_fail", 0)));
}

void replay_title_of_t06(Fields& vector) {
  CubicRate rate = rate_of(vector, 0.7);
  expect_near("k", 1.9574338205844317, rate.recovery_time(), kTolerance);
  expect_near("rate at k", 10, rate.rate_at(at(rate.recovery_time())), 1e-6);
  expect_near("rate after an error at 8", 5.6, rate.throttled(8, at(1)), kTolerance);
  expect_near("w_max", 8, rate.rate_max(), kTolerance);
  expect_near("k", 1.8171205928321397, rate.recovery_time(), kTolerance);
  expect_equal("last_fail", true, rate.last_throttle() == at(1));
  CubicRate steeper = rate_of(vector, 0.6);
  expect_near("rate after an error at 10", 6, steeper.throttled(10, at(1)), kTolerance);
  expect_near("rate at the same t", 6, steeper.rate_at(at(1)), 1e-6);
}

// {"t", "op": "success" | "error" or "throttled": bool, "tps": the rate sent when it was throttled,
// by default the last one, "rate" or "expect": the new one, "k", "w_max"}
class CubicReplay {
 public:
  explicit CubicReplay(CubicRate rate) : cubic_(rate), rate_(rate.rate_max()) {}

  void step(Fields fields) {
    const Instant now = at(fields.number("t"));
    rate_ = is_throttled(fields) ? cubic_.throttled(fields.number("tps", rate_), now)
                                 : cubic_.rate_at(now);
    for (const char* key : {"rate", "expect"}) {
      if (fields.has(key)) expect_near("rate", fields.number(key), rate_);
    }
    if (fields.has("k")) expect_near("k", fields.number("k"), cubic_.recovery_time());
    if (fields.has("w_max")) expect_near("w_max", fields.number("w_max"), cubic_.rate_max());
    fields.reject_rest();
  }

 private:
  static bool is_throttled(Fields& fields) {
    if (fields.has("throttled")) return fields.boolean("throttled");
    const std::string op = fields.text("op", "success");
    if (op != "success" && op != "error") throw Skipped("unknown op " + op);
    return op == "error";
  }

  CubicRate cubic_;
  double rate_;
};

}  // namespace

void replay_cubic_rate(Fields& vector) {
  if (!vector.has("steps") && vector.text("id") == "T06") return replay_title_of_t06(vector);
  if (!vector.has("steps")) throw Skipped("adaptive: a shape other than steps");
  CubicReplay replay(rate_of(vector, 0.7));
  const Json& steps = vector.at("steps");
  for (std::size_t i = 0; i < steps.size(); ++i) {
    try {
      replay.step(Fields(steps[i], ""));
    } catch (const Failed& failure) {
      throw Failed(numbered("step", i) + failure.what());
    }
  }
}

}  // namespace recover::conformance
