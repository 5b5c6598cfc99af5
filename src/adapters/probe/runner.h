// One kind of probe, ready to look at one thing again and again.
//
// A runner never schedules, counts or times itself out: the Prober does. All calls on the loop's
// thread.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>

#include <recover/time.h>

#include "core/event.h"

namespace recover::adapters::probe {

// What one look saw. `detail` holds no secret.
struct Finding {
  core::ProbeOutcome outcome = core::ProbeOutcome::Unknown;
  core::Symptom symptom = core::Symptom::ProbeFailed;
  core::FailureClass failure = core::FailureClass::ServiceFailure;
  std::string detail = {};
  std::optional<double> queue_depth = std::nullopt;  // Where one was measured.
};

inline Finding passed(std::string detail = {}) {
  return {.outcome = core::ProbeOutcome::Passed, .detail = std::move(detail)};
}
inline Finding failed(core::Symptom symptom, core::FailureClass failure, std::string detail) {
  return {.outcome = core::ProbeOutcome::Failed,
          .symptom = symptom,
          .failure = failure,
          .detail = std::move(detail)};
}
inline Finding wrong(std::string detail) {
  return failed(core::Symptom::ProbeFailed, core::FailureClass::ServiceFailure, std::move(detail));
}
inline Finding silent(std::string detail) {
  return failed(core::Symptom::ServiceUnresponsive, core::FailureClass::Timeout, std::move(detail));
}
// The look could not be done, so it says nothing about the service.
inline Finding not_done(std::string detail) {
  return {.detail = std::move(detail)};
}

// What an errno of connecting, or of reaching a file, says about `where`.
Finding of_errno(int error, const std::string& where);

using Found = std::function<void(Finding)>;

class ProbeRunner {
 public:
  ProbeRunner() = default;
  ProbeRunner(const ProbeRunner&) = delete;
  ProbeRunner& operator=(const ProbeRunner&) = delete;
  // A look under way is abandoned: its `found` is never called.
  virtual ~ProbeRunner() = default;

  // Starts a look; `found` is called once, never from within run(). REQUIRES: !busy().
  virtual void run(Found found) = 0;

  // Abandons the look and says what its silence means. `found` is not called any more.
  virtual Finding give_up() = 0;

  // A sign of life that came some other way than by a look. False: it listens to none.
  virtual bool beat() { return false; }

  // An abandoned look still holds on to something (a thread in a hanging file system).
  virtual bool busy() const { return false; }
};

}  // namespace recover::adapters::probe
