// gRPC's retry throttling, on the arithmetic of the bucket and on the shared RetryBudget.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>

#include <recover/error.h>
#include <recover/retry_budget.h>

#include "policy_vectors.h"
#include "report.h"

namespace recover::conformance {
namespace {

// Milli-tokens are exact; a vector's decimals are not.
constexpr double kTokensTolerance = 0.0005;

class Buckets {
 public:
  Buckets(const RetryBudgetConfig& config, double initial)
      : rule_(config),
        tokens_(std::llround(initial * retry::BudgetRule::kMilli)),
        budget_(config),
        starts_full_(tokens_ == rule_.full()) {}

  void step(Fields fields) {
    const std::string op = fields.text("op");
    bool allowed = false;
    if (op == "fail") {
      tokens_ = rule_.after_failure(tokens_);
      allowed = budget_.on_failure();
    } else if (op == "ok") {
      tokens_ = rule_.after_success(tokens_);
      budget_.on_success();
      allowed = budget_.allows_retry();
    } else {
      throw Skipped("unknown op " + op);
    }
    if (fields.find("retry_allowed") != nullptr) {
      const bool expected = fields.boolean("retry_allowed");
      expect_equal("retry_allowed", expected, rule_.allows_retry(tokens_));
      if (starts_full_) expect_equal("retry_allowed (shared)", expected, allowed);
    }
    if (fields.find("tokens") != nullptr) {
      const double expected = fields.number("tokens");
      expect_near("tokens", expected, static_cast<double>(tokens_) / retry::BudgetRule::kMilli,
                  kTokensTolerance);
      if (starts_full_) {
        expect_near("tokens (shared)", expected, budget_.tokens(), kTokensTolerance);
      }
    }
    fields.reject_rest();
  }

 private:
  retry::BudgetRule rule_;
  std::int64_t tokens_;
  RetryBudget budget_;
  const bool starts_full_;  // As the shared one always does.
};

}  // namespace

void replay_retry_throttle(Fields& vector) {
  if (!vector.has("steps") || !vector.has("max_tokens")) {
    throw Skipped("retry_throttle: a shape other than max_tokens, token_ratio, steps");
  }
  const RetryBudgetConfig config{.max_tokens = vector.count("max_tokens"),
                                 .token_ratio = vector.number("token_ratio")};
  if (const Result<void> checked = config.validate(); !checked) {
    throw Failed(checked.error().message());
  }
  Buckets buckets(config, vector.number("initial", config.max_tokens));
  const Json& steps = vector.at("steps");
  for (std::size_t i = 0; i < steps.size(); ++i) {
    try {
      buckets.step(Fields(steps[i], ""));
    } catch (const Failed& failure) {
      throw Failed(numbered("step", i) + failure.what());
    }
  }
}

}  // namespace recover::conformance
