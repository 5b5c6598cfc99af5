// Client-side adaptive throttling: the probability of a refusal for so many calls and accepts.
#include <cstddef>

#include <recover/adaptive_throttle.h>

#include "policy_vectors.h"
#include "report.h"

namespace recover::conformance {

void replay_adaptive_throttle(Fields& vector) {
  if (!vector.has("cases")) throw Skipped("adaptive_throttle: a shape other than cases");
  // failsafe-go's defaults, which the vectors leave out.
  const double threshold = vector.number("threshold", 0.9);
  const double cap = vector.number("cap", 0.9);
  const Json& cases = vector.at("cases");
  for (std::size_t i = 0; i < cases.size(); ++i) {
    Fields fields(cases[i], "cases");
    const throttle::Tally tally{.requests = fields.count("n"), .accepts = fields.count("ok")};
    const double got = throttle::rejection_probability(tally, fields.number("threshold", threshold),
                                                       fields.number("cap", cap));
    expect_near(numbered("case", i) + "p", fields.number("p"), got);
    fields.reject_rest();
  }
}

}  // namespace recover::conformance
