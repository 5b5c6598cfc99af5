// Replays one policy vector: backoff, retry throttling, adaptive throttling, rate limiting, outlier
// ejection. Their shape is told from the members that a vector has.
#pragma once

#include "fields.h"

namespace recover::conformance {

// By the vector's `kind`. All of these return when the vector holds and throw Failed or Skipped
// otherwise.
void replay_policy_vector(const Json& vector);

void replay_backoff(Fields& vector);
void replay_retry_throttle(Fields& vector);
void replay_cubic_rate(Fields& vector);
void replay_adaptive_throttle(Fields& vector);
void replay_rate_limiter(Fields& vector);
void replay_outlier(Fields& vector);

// Failed with "expected what=… got …" unless they are as near as `tolerance`.
void expect_near(const std::string& what, double expected, double got, double tolerance = 1e-6);
void expect_equal(const std::string& what, const Json& expected, const Json& got);
// "case 3 ", for messages; from 1.
std::string numbered(const char* what, std::size_t index);

}  // namespace recover::conformance
