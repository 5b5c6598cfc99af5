// The closed breaker's sliding windows for many threads: recording is lock-free, and the counts a
// recorder gets back are those of one linear order of all outcomes (slow calls of a time window
// that end at the same moment may be told to one another).
//
// Every window accepts the outcomes of one generation only. restart() begins the next one, after
// which no outcome of an older generation is counted, however late its thread is; unless that
// thread slept inside record() while the window went through exactly as many states as its words
// can tell apart (2^20 outcomes or 2^13 generations; 2^11 buckets), which docs/adr/0003 weighs.
// Used by CircuitBreaker; internal, not part of the stable interface.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>

#include <recover/circuit_breaker_config.h>

namespace recover::circuitbreaker {

// The last `size` outcomes.
//
// Up to kBitsMax outcomes are bits of one word, with the generation: recording is one
// compare-and-swap, and nothing else is looked at. In so small a window few tickets lie between a
// thread that was stopped and the far end, so that what follows would not do.
//
// Of larger windows one word holds generation, ticket, running sums of failed and slow outcomes,
// and the two latest outcomes; recording is one compare-and-swap that raises the ticket. Whoever
// raised it then leaves the word as it was in a ring slot, where the sums at the far end of the
// window are looked up and subtracted. A slot that is not there yet (its thread was stopped in
// between) follows from the two after it, whose words remember the outcomes before them: nobody
// waits.
class AtomicCountWindow {
 public:
  // The largest window that is kept as bits.
  static constexpr std::uint32_t kBitsMax = 23;

  // REQUIRES: 1 <= size <= kWindowSizeMax.
  explicit AtomicCountWindow(std::uint32_t size);

  // Counts of the window that this outcome completed, without slow_failed; nullopt when
  // `generation` is not the one being recorded. Lock-free. Looks at one slot; for each thread in a
  // row that was stopped before it left its word at one more, at most at `size`.
  std::optional<Counts> record(std::uint64_t generation, bool failed, bool slow) noexcept;

  // Exact when nobody records meanwhile, up to kBitsMax always. With recorders at work: `total` is
  // that of one moment, and of the outcomes before it those whose words were replaced while this
  // looked count as neither failed nor slow. Looks at each of the window's slots once, whatever the
  // recorders do.
  Counts counts() const noexcept;

  // Empties the window for `generation`.
  void restart(std::uint64_t generation) noexcept;

 private:
  friend class AtomicCountWindowPeer;  // Of the test: stops threads in the middle of record().

  // Fields of the word, lowest first. 13 bits hold any difference of sums up to kWindowSizeMax.
  static constexpr unsigned kSumBits = 13;
  static constexpr unsigned kTicketBits = 20;
  static constexpr unsigned kSlowShift = kSumBits;
  static constexpr unsigned kTicketShift = 2 * kSumBits;
  static constexpr unsigned kFullShift = kTicketShift + kTicketBits;
  static constexpr unsigned kLatestShift =
      kFullShift + 1;  // Bits: failed, slow, then those before.
  static constexpr unsigned kGenerationShift = kLatestShift + 4;
  static constexpr std::uint64_t kSumMask = (1U << kSumBits) - 1;
  static constexpr std::uint64_t kTicketMask = (1U << kTicketBits) - 1;
  static_assert(kWindowSizeMax <= kSumMask);

  static std::uint64_t failed_of(std::uint64_t word) noexcept { return word & kSumMask; }
  static std::uint64_t slow_of(std::uint64_t word) noexcept {
    return (word >> kSlowShift) & kSumMask;
  }
  static std::uint64_t ticket_of(std::uint64_t word) noexcept {
    return (word >> kTicketShift) & kTicketMask;
  }
  static bool is_full(std::uint64_t word) noexcept { return ((word >> kFullShift) & 1U) != 0; }
  static std::uint64_t generation_bits(std::uint64_t generation) noexcept {
    return generation << kGenerationShift;  // The low 13 bits of it.
  }
  static bool is_of_generation(std::uint64_t word, std::uint64_t generation) noexcept {
    return ((word ^ generation_bits(generation)) >> kGenerationShift) == 0;
  }

  // Fields of the word of a small window, lowest first: an outcome a bit, the latest lowest; those
  // that failed, those that were slow, then how many there are. The word says all there is to know,
  // so one that comes back is no other.
  static constexpr unsigned kSlowBitsShift = kBitsMax;
  static constexpr unsigned kTotalShift = 2 * kBitsMax;
  static constexpr std::uint64_t kTotalMask = 31;
  static_assert(kBitsMax <= kTotalMask && kTotalShift + 5 <= kGenerationShift);

  std::uint64_t next_bits(std::uint64_t word, bool failed, bool slow) const noexcept;
  static Counts counts_of_bits(std::uint64_t word) noexcept;
  std::optional<Counts> record_bits(std::uint64_t generation, bool failed, bool slow) noexcept;

  // Sums of failed and slow outcomes before a ticket, modulo kSumMask + 1.
  struct Sums {
    std::uint64_t failed = 0;
    std::uint64_t slow = 0;
  };
  static Sums sums_of(std::uint64_t word) noexcept { return {failed_of(word), slow_of(word)}; }

  std::uint64_t next_word(std::uint64_t word, bool failed, bool slow) const noexcept;
  Counts counts_up_to(std::uint64_t word, const Sums& base) const noexcept;
  static bool is_of(std::uint64_t there, std::uint64_t ticket, std::uint64_t word) noexcept;
  static Sums sums_ahead_of(std::uint64_t there, std::uint64_t ahead) noexcept;
  Sums sums_before(std::uint64_t ticket, std::uint64_t word) const noexcept;
  std::atomic<std::uint64_t>& slot_of(std::uint64_t ticket) const noexcept {
    return ring_[ticket & ring_mask_];
  }

  const std::uint32_t size_;
  const std::uint32_t ring_mask_;
  std::unique_ptr<std::atomic<std::uint64_t>[]> ring_;
  alignas(64) std::atomic<std::uint64_t> word_{0};
};

// The outcomes of the last `duration`, in buckets; Epoch or StateEntry alignment.
//
// Each bucket is a cell. A recorder adds to the current cell with a compare-and-swap that fails
// once the cell is sealed; the sums of the sealed cells before it are stored in the cell when it
// opens. Opening a cell, once a bucket, takes a mutex.
class AtomicTimeWindow {
 public:
  // REQUIRES: kind Time, alignment Epoch or StateEntry, validated.
  AtomicTimeWindow(const SlidingWindow& config, Instant now);

  // As AtomicCountWindow::record. Lock-free but for the first outcome of each bucket. Beyond
  // kCellCallsMax outcomes in one bucket, further ones are not counted.
  std::optional<Counts> record(std::uint64_t generation, bool failed, bool slow,
                               Instant now) noexcept;
  Counts counts(Instant now) noexcept;
  void restart(std::uint64_t generation, Instant now) noexcept;

  static constexpr std::uint64_t kCellCallsMax = (1U << 26U) - 1;

 private:
  struct alignas(64) Cell {
    std::atomic<std::uint64_t> calls{0};  // tag:11 sealed:1 total:26 failed:26
    std::atomic<std::uint64_t> slow{0};   // tag:16 slow:24 slow_failed:24
    std::atomic<std::int64_t> end{0};     // Exclusive, nanoseconds on the window's time line.
    std::int64_t bucket = 0;              // Under mutex_.
    std::atomic<std::uint64_t> total_before{0};  // Of the sealed cells in this cell's window.
    std::atomic<std::uint64_t> failed_before{0};
    std::atomic<std::uint64_t> slow_before{0};
  };

  std::int64_t bucket_of(Instant now) const noexcept;
  std::int64_t end_of(std::int64_t bucket) const noexcept;
  Cell& cell_of(std::uint64_t sequence) noexcept { return cells_[sequence & cells_mask_]; }
  void add_slow(Cell& cell, std::uint64_t sequence, bool failed) noexcept;
  std::optional<Counts> counts_with(Cell& cell, std::uint64_t sequence, std::uint64_t calls,
                                    bool slow_call) noexcept;
  Counts recount(std::uint64_t generation, Instant now) noexcept;
  void roll(std::uint64_t generation, Instant now) noexcept;
  // REQUIRES of these: mutex_ held.
  Counts sum_back(std::uint64_t sequence, std::int64_t newest_bucket) noexcept;
  void open_cell(std::uint64_t generation, std::uint64_t sequence, std::int64_t bucket,
                 const Counts& before) noexcept;

  const std::int64_t bucket_ns_;
  const std::int64_t buckets_;
  const Alignment alignment_;
  const std::uint32_t cells_mask_;
  std::unique_ptr<Cell[]> cells_;
  std::atomic<std::int64_t> origin_{0};                // Nanoseconds; StateEntry: of the entry.
  std::uint64_t first_sequence_ = 0;                   // Of this generation; under mutex_.
  alignas(64) std::atomic<std::uint64_t> current_{0};  // generation:40 sequence:24
  std::mutex mutex_;
};

}  // namespace recover::circuitbreaker
