// The outcomes that a breaker looks at, single-threaded: every kind of window Resilience4j, Polly
// and gobreaker have. Pure; allocates only when constructed.
//
// Invariant: totals() is the sum of what is in the window, kept up to date, never recomputed.
#pragma once

#include <cstdint>
#include <vector>

#include <recover/circuit_breaker_config.h>

namespace recover::circuitbreaker {

class Window {
 public:
  // REQUIRES: the config was validated.
  Window(const SlidingWindow& config, Boundary boundary, Instant now);

  // Forgets everything; `now` is the instant the state was entered.
  void reset(Instant now);

  // Lets time pass: what is too old at `now` leaves. Time does not go backwards.
  // Returns true when a tumbling period ended, which is also a new generation.
  bool advance(Instant now);

  // `outcome`: a single().
  void record(const Counts& outcome, Instant now);

  // As of the last advance() or record().
  const Counts& totals() const noexcept { return totals_; }

 private:
  struct Bucket {
    std::int64_t start = 0;  // Bucket number; with Event alignment, nanoseconds.
    Counts counts = {};
  };

  void record_in_ring(const Counts& outcome);
  void record_in_bucket(const Counts& outcome, Instant now);
  std::int64_t bucket_start(Instant now) const;
  bool is_out(const Bucket& bucket, std::int64_t current, Instant now) const;
  bool begins_bucket(std::int64_t current) const;

  SlidingWindow config_;
  Boundary boundary_;
  Instant entered_;
  Counts totals_ = {};
  std::vector<std::uint8_t> ring_;  // Count: bit 0 failed, bit 1 slow.
  std::size_t next_ = 0;
  std::vector<Bucket> buckets_;  // Time: a queue, oldest at head_.
  std::size_t head_ = 0;
  std::size_t live_ = 0;
};

}  // namespace recover::circuitbreaker
