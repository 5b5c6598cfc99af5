#include "policy_vectors.h"

#include <array>
#include <cmath>
#include <cstddef>
#include <string>

#include "report.h"

namespace recover::conformance {

void expect_near(const std::string& what, double expected, double got, double tolerance) {
  if (std::abs(expected - got) <= tolerance) return;
  throw Failed("expected " + what + "=" + plain(expected) + " got " + plain(got));
}

void expect_equal(const std::string& what, const Json& expected, const Json& got) {
  if (expected == got) return;
  throw Failed("expected " + what + "=" + expected.dump() + " got " + got.dump());
}

std::string numbered(const char* what, std::size_t index) {
  return std::string(what) + " " + std::to_string(index + 1) + " ";
}

void replay_policy_vector(const Json& vector) {
  struct Kind {
    const char* name;
    void (*replay)(Fields&);
  };
  constexpr std::array<Kind, 6> kKinds = {{{"backoff", replay_backoff},
                                           {"retry_throttle", replay_retry_throttle},
                                           {"adaptive", replay_cubic_rate},
                                           {"adaptive_throttle", replay_adaptive_throttle},
                                           {"rate_limiter", replay_rate_limiter},
                                           {"outlier", replay_outlier}}};
  Fields fields(vector, "");
  fields.ignore({"id", "title", "source", "basis", "note", "notes", "why", "comment"});
  const std::string name = fields.text("kind");
  for (const Kind& kind : kKinds) {
    if (name != kind.name) continue;
    kind.replay(fields);
    return fields.reject_rest();
  }
  throw Skipped("unknown kind " + name);
}

}  // namespace recover::conformance
