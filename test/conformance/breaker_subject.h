// What a breaker vector is replayed on: the pure state machine or the thread-safe breaker, behind
// one interface with named calls and a time that only moves forward.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <recover/circuit_breaker_config.h>
#include <recover/circuit_breaker_machine.h>
#include <recover/time.h>

namespace recover::conformance {

struct Acquired {
  bool permitted = false;
  std::optional<Duration> retry_after = std::nullopt;  // When refused.
};

class Subject {
 public:
  Subject() = default;
  Subject(const Subject&) = delete;
  Subject& operator=(const Subject&) = delete;
  virtual ~Subject() = default;

  virtual std::string_view name() const = 0;

  // Time passes; timers due by `now` fire.
  virtual void advance_to(Instant now) = 0;

  virtual Acquired acquire(const std::string& call) = 0;
  // REQUIRES of these two: `call` was permitted and has not ended.
  virtual void complete(const std::string& call, circuitbreaker::Outcome outcome,
                        Duration elapsed) = 0;
  virtual void release(const std::string& call) = 0;
  virtual void force(circuitbreaker::State to, std::optional<Duration> wait) = 0;
  virtual void reset() = 0;
  virtual void tick() = 0;

  // An access, which may half-open.
  virtual circuitbreaker::State state() = 0;
  // Touches a window that opens buckets when it is read.
  virtual circuitbreaker::Snapshot snapshot() = 0;
  virtual circuitbreaker::Tally tally() = 0;

  // Whether an outcome or a permit came back in a later state entry than that of its call.
  bool saw_late_call() const { return saw_late_call_; }

  // Everything emitted since the last time.
  std::vector<circuitbreaker::Event> take_events() { return std::exchange(events_, {}); }

 protected:
  void note(const circuitbreaker::Event& event) { events_.push_back(event); }
  void note_late_call() { saw_late_call_ = true; }

 private:
  bool saw_late_call_ = false;
  std::vector<circuitbreaker::Event> events_;
};

// Both are constructed at Instant{}. REQUIRES: a valid config.
std::unique_ptr<Subject> pure_machine(const CircuitBreakerConfig& config);
std::unique_ptr<Subject> thread_safe_breaker(const CircuitBreakerConfig& config);

}  // namespace recover::conformance
