// What outcomes teach: how likely a playbook helps with a failure signature, and when one that
// keeps failing is taken out until a person puts it back: for the service it fails for, and for
// every service once it failed for several. No single service takes it from the others.
#pragma once

#include <cstdint>

#include "core/turn.h"

namespace recover::core {

struct Interval {
  double low = 0.0;
  double high = 1.0;
};
// Wilson score interval of a success rate (E. B. Wilson, "Probable inference, the law of
// succession, and statistical inference", JASA 22, 1927), two-sided at `confidence` in (0, 1).
Interval wilson(std::uint32_t succeeded, std::uint32_t failed, double confidence) noexcept;

// Laplace's rule of succession, (s + 1) / (s + f + 2), when there are enough samples and the Wilson
// interval lies wholly on one side of one half; one half, as with no samples, otherwise.
double learned_factor(const LearningPolicy& policy, Outcomes outcomes) noexcept;

Signature signature_of(const Incident& incident, PlaybookIndex playbook);

// Playbooks are ordered by what was known at the last of these, `learning.update_interval` apart.
void advance_learning(Turn& turn);
Instant learning_deadline(const Policy& policy, const State& state) noexcept;

// Failures of one service that count towards the breaker of every service: half the threshold,
// rounded down, at least one.
constexpr std::uint32_t counted_max(std::uint32_t threshold) noexcept {
  return threshold < 4 ? 1 : threshold / 2;
}
void learn(Turn& turn, const Recovery& recovery, bool succeeded);

}  // namespace recover::core
