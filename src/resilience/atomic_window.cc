#include <algorithm>
#include <bit>
#include <limits>

#include <recover/atomic_window.h>
#include <recover/check.h>

namespace recover::circuitbreaker {

// ---- AtomicCountWindow

AtomicCountWindow::AtomicCountWindow(std::uint32_t size)
    : size_(size),
      ring_mask_(std::bit_ceil(size + 1) - 1),  // Room for the word before the whole window.
      ring_(std::make_unique<std::atomic<std::uint64_t>[]>(ring_mask_ + 1U)) {
  RECOVER_CHECK(size >= 1 && size <= kWindowSizeMax);
}

std::optional<Counts> AtomicCountWindow::record(std::uint64_t generation, bool failed,
                                                bool slow) noexcept {
  if (size_ <= kBitsMax) return record_bits(generation, failed, slow);
  std::uint64_t word = word_.load(std::memory_order_acquire);
  for (;;) {
    if (!is_of_generation(word, generation)) return std::nullopt;
    const std::uint64_t next = next_word(word, failed, slow);
    // The sums before the oldest outcome of the window. Their slot is not used anew as long as
    // word_ is `word`, which the compare-and-swap establishes.
    const Sums base = is_full(next) ? sums_before(ticket_of(word) + 1 - size_, word) : Sums{};
    if (word_.compare_exchange_weak(word, next, std::memory_order_acq_rel,
                                    std::memory_order_acquire)) {
      slot_of(ticket_of(word)).store(word, std::memory_order_release);
      return counts_up_to(next, base);
    }
  }
}

std::optional<Counts> AtomicCountWindow::record_bits(std::uint64_t generation, bool failed,
                                                     bool slow) noexcept {
  std::uint64_t word = word_.load(std::memory_order_acquire);
  for (;;) {
    if (!is_of_generation(word, generation)) return std::nullopt;
    const std::uint64_t next = next_bits(word, failed, slow);
    if (word_.compare_exchange_weak(word, next, std::memory_order_acq_rel,
                                    std::memory_order_acquire)) {
      Counts counts = counts_of_bits(next);
      counts.slow_failed = 0;
      return counts;
    }
  }
}

std::uint64_t AtomicCountWindow::next_bits(std::uint64_t word, bool failed,
                                           bool slow) const noexcept {
  const std::uint64_t mask = (std::uint64_t{1} << size_) - 1;
  const std::uint64_t were_failed = (word << 1U | (failed ? 1U : 0U)) & mask;
  const std::uint64_t were_slow = ((word >> kSlowBitsShift) << 1U | (slow ? 1U : 0U)) & mask;
  const std::uint64_t total =
      std::min<std::uint64_t>(((word >> kTotalShift) & kTotalMask) + 1, size_);
  return (word >> kGenerationShift << kGenerationShift) | (total << kTotalShift) |
         (were_slow << kSlowBitsShift) | were_failed;
}

Counts AtomicCountWindow::counts_of_bits(std::uint64_t word) noexcept {
  constexpr std::uint64_t kMask = (std::uint64_t{1} << kBitsMax) - 1;
  const std::uint64_t failed = word & kMask;
  const std::uint64_t slow = (word >> kSlowBitsShift) & kMask;
  const auto count = [](std::uint64_t bits) {
    return static_cast<std::uint64_t>(std::popcount(bits));
  };
  return {.total = (word >> kTotalShift) & kTotalMask,
          .failed = count(failed),
          .slow = count(slow),
          .slow_failed = count(failed & slow)};
}

Counts AtomicCountWindow::counts_up_to(std::uint64_t word, const Sums& base) const noexcept {
  return {.total = is_full(word) ? size_ : ticket_of(word),
          .failed = (failed_of(word) - base.failed) & kSumMask,
          .slow = (slow_of(word) - base.slow) & kSumMask};
}

// Sums and ticket are modulo their width, each kept from carrying into its neighbour.
std::uint64_t AtomicCountWindow::next_word(std::uint64_t word, bool failed,
                                           bool slow) const noexcept {
  const std::uint64_t ticket = ticket_of(word) + 1;
  const bool full = is_full(word) || ticket >= size_;
  const std::uint64_t outcome = (failed ? 1U : 0U) | (slow ? 2U : 0U);
  const std::uint64_t latest = ((word >> kLatestShift) & 3U) << 2U | outcome;
  return (word >> kGenerationShift << kGenerationShift) | (latest << kLatestShift) |
         (static_cast<std::uint64_t>(full) << kFullShift) |
         ((ticket & kTicketMask) << kTicketShift) |
         (((slow_of(word) + (slow ? 1 : 0)) & kSumMask) << kSlowShift) |
         ((failed_of(word) + (failed ? 1 : 0)) & kSumMask);
}

// Whether `there` is the word of `ticket` and of the generation that `word` is of.
bool AtomicCountWindow::is_of(std::uint64_t there, std::uint64_t ticket,
                              std::uint64_t word) noexcept {
  return ((there ^ word) >> kGenerationShift) == 0 &&
         ((ticket_of(there) - ticket) & kTicketMask) == 0;
}

// The sums `ahead` tickets before the word `there`, which remembers two outcomes. When three
// threads in a row were stopped before they could leave their words, those before `there` itself:
// the oldest outcomes are then taken as neither failed nor slow, so that nothing trips for a
// failure that may have left the window.
AtomicCountWindow::Sums AtomicCountWindow::sums_ahead_of(std::uint64_t there,
                                                         std::uint64_t ahead) noexcept {
  const std::uint64_t known = ahead <= 2 ? ahead : 0;
  const std::uint64_t outcomes = (there >> kLatestShift) & ((1U << (2 * known)) - 1U);
  const auto count = [outcomes](unsigned bit) {
    return (outcomes >> bit & 1U) + (outcomes >> (bit + 2) & 1U);
  };
  return {failed_of(there) - count(0), slow_of(there) - count(1)};
}

// The sums before `ticket`, from its slot or from the next one that is there, `word` at the latest.
AtomicCountWindow::Sums AtomicCountWindow::sums_before(std::uint64_t ticket,
                                                       std::uint64_t word) const noexcept {
  const std::uint64_t last = ticket_of(word);
  for (std::uint64_t ahead = 0;; ++ahead) {
    const bool at_word = ((ticket + ahead - last) & kTicketMask) == 0;
    const std::uint64_t there =
        at_word ? word : slot_of(ticket + ahead).load(std::memory_order_acquire);
    if (is_of(there, ticket + ahead, word)) return sums_ahead_of(there, ahead);
  }
}

Counts AtomicCountWindow::counts() const noexcept {
  const std::uint64_t word = word_.load(std::memory_order_acquire);
  if (size_ <= kBitsMax) return counts_of_bits(word);
  Counts counts;
  counts.total = is_full(word) ? size_ : ticket_of(word);
  Sums newer = sums_of(word);
  std::uint64_t nearest = word;  // Of those that are there, the one of the lowest ticket so far.
  for (std::uint64_t back = 1; back <= counts.total; ++back) {
    const std::uint64_t ticket = ticket_of(word) - back;
    const std::uint64_t there = slot_of(ticket).load(std::memory_order_acquire);
    if (is_of(there, ticket, word)) nearest = there;
    const Sums older = sums_ahead_of(nearest, (ticket_of(nearest) - ticket) & kTicketMask);
    // Anything but 0 and 1 is of words that recorders replaced meanwhile.
    const bool failed = ((newer.failed - older.failed) & kSumMask) == 1;
    const bool slow = ((newer.slow - older.slow) & kSumMask) == 1;
    counts.failed += failed ? 1 : 0;
    counts.slow += slow ? 1 : 0;
    counts.slow_failed += failed && slow ? 1 : 0;
    newer = older;
  }
  return counts;
}

void AtomicCountWindow::restart(std::uint64_t generation) noexcept {
  word_.store(generation_bits(generation), std::memory_order_release);
}

// ---- AtomicTimeWindow

namespace {

constexpr unsigned kCallBits = 26;
constexpr std::uint64_t kCallMask = (1U << kCallBits) - 1;
constexpr unsigned kSealedShift = 2 * kCallBits;
constexpr std::uint64_t kSealed = std::uint64_t{1} << kSealedShift;
constexpr unsigned kTagShift = kSealedShift + 1;

constexpr unsigned kSlowBits = 24;
constexpr std::uint64_t kSlowMask = (1U << kSlowBits) - 1;
constexpr unsigned kSlowTagShift = 2 * kSlowBits;

constexpr unsigned kSequenceBits = 24;
constexpr std::uint64_t kSequenceMask = (1U << kSequenceBits) - 1;

std::uint64_t failed_in(std::uint64_t calls) {
  return calls & kCallMask;
}
std::uint64_t total_in(std::uint64_t calls) {
  return (calls >> kCallBits) & kCallMask;
}
std::uint64_t slow_failed_in(std::uint64_t slow) {
  return slow & kSlowMask;
}
std::uint64_t slow_in(std::uint64_t slow) {
  return (slow >> kSlowBits) & kSlowMask;
}

// `calls` belongs to the cell of `sequence` and takes more outcomes.
bool is_open(std::uint64_t calls, std::uint64_t sequence) {
  return ((calls ^ (sequence << kTagShift)) >> kSealedShift) == 0;
}

bool same_slow_tag(std::uint64_t slow, std::uint64_t sequence) {
  return ((slow ^ (sequence << kSlowTagShift)) >> kSlowTagShift) == 0;
}

std::uint64_t pack(std::uint64_t generation, std::uint64_t sequence) {
  return (generation << kSequenceBits) | (sequence & kSequenceMask);
}

}  // namespace

AtomicTimeWindow::AtomicTimeWindow(const SlidingWindow& config, Instant now)
    : bucket_ns_(config.bucket.count()),
      buckets_(config.duration / config.bucket),
      alignment_(config.alignment),
      // A window's buckets, the current cell, and slack for readers that are a roll behind.
      cells_mask_(std::bit_ceil(static_cast<std::uint32_t>(buckets_) + 4U) - 1),
      cells_(std::make_unique<Cell[]>(cells_mask_ + 1U)) {
  RECOVER_CHECK(config.kind == WindowKind::Time && config.alignment != Alignment::Event);
  restart(1, now);
}

std::int64_t AtomicTimeWindow::bucket_of(Instant now) const noexcept {
  const std::int64_t since = now.time_since_epoch().count() - origin_.load();
  return since / bucket_ns_ - (since % bucket_ns_ < 0 ? 1 : 0);
}

std::optional<Counts> AtomicTimeWindow::record(std::uint64_t generation, bool failed, bool slow,
                                               Instant now) noexcept {
  for (;;) {
    const std::uint64_t current = current_.load(std::memory_order_acquire);
    const std::uint64_t sequence = current & kSequenceMask;
    if (current != pack(generation, sequence)) return std::nullopt;
    Cell& cell = cell_of(sequence);
    std::uint64_t calls = cell.calls.load(std::memory_order_acquire);
    if (!is_open(calls, sequence) || now.time_since_epoch().count() >= cell.end.load()) {
      roll(generation, now);
      continue;
    }
    const auto room = static_cast<std::uint64_t>(total_in(calls) < kCellCallsMax);
    const std::uint64_t next = calls + (room << kCallBits) + room * (failed ? 1 : 0);
    // seq_cst against roll(): either it sees our slow outcome, or we see its seal.
    if (!cell.calls.compare_exchange_weak(calls, next)) continue;
    if (slow && room != 0) add_slow(cell, sequence, failed);
    const std::optional<Counts> counts = counts_with(cell, sequence, next, slow);
    return counts ? counts : recount(generation, now);
  }
}

void AtomicTimeWindow::add_slow(Cell& cell, std::uint64_t sequence, bool failed) noexcept {
  std::uint64_t seen = cell.slow.load();
  while (same_slow_tag(seen, sequence) && slow_in(seen) < kSlowMask &&
         !cell.slow.compare_exchange_weak(
             seen, seen + (std::uint64_t{1} << kSlowBits) + (failed ? 1 : 0))) {
  }
}

// The counts with an outcome that made the cell's word `calls`. Nothing when the cell has been
// opened anew meanwhile and the sums are another window's, or was sealed before a slow outcome was
// in it.
std::optional<Counts> AtomicTimeWindow::counts_with(Cell& cell, std::uint64_t sequence,
                                                    std::uint64_t calls, bool slow_call) noexcept {
  const std::uint64_t slow = cell.slow.load(std::memory_order_acquire);
  Counts counts{.total = cell.total_before.load(std::memory_order_acquire) + total_in(calls),
                .failed = cell.failed_before.load(std::memory_order_acquire) + failed_in(calls),
                .slow = cell.slow_before.load(std::memory_order_acquire) + slow_in(slow)};
  counts.slow = std::min(counts.slow, counts.total);  // Outcomes after ours may be in it already.
  const std::uint64_t tag = cell.calls.load() & ~(slow_call ? 0 : kSealed);
  if (!is_open(tag, sequence)) return std::nullopt;
  return counts;
}

void AtomicTimeWindow::roll(std::uint64_t generation, Instant now) noexcept {
  const std::lock_guard lock(mutex_);
  const std::uint64_t current = current_.load(std::memory_order_relaxed);
  const std::uint64_t sequence = current & kSequenceMask;
  if (current != pack(generation, sequence)) return;
  Cell& cell = cell_of(sequence);
  if (now.time_since_epoch().count() < cell.end.load(std::memory_order_relaxed)) return;
  cell.calls.fetch_or(kSealed);
  const std::int64_t bucket = bucket_of(now);
  open_cell(generation, sequence + 1, bucket, sum_back(sequence, bucket));
}

// Sums the cells of this generation from `sequence` backwards that are in the window whose newest
// bucket is `newest_bucket`.
Counts AtomicTimeWindow::sum_back(std::uint64_t sequence, std::int64_t newest_bucket) noexcept {
  Counts sum;
  for (std::int64_t steps = 0; steps <= buckets_; ++steps, --sequence) {
    const Cell& cell = cell_of(sequence);
    if (cell.bucket <= newest_bucket - buckets_) break;
    const std::uint64_t calls = cell.calls.load();
    const std::uint64_t slow = cell.slow.load();
    sum = sum + Counts{total_in(calls), failed_in(calls), slow_in(slow), slow_failed_in(slow)};
    if (((sequence ^ first_sequence_) & kSequenceMask) == 0) break;
  }
  return sum;
}

// In ticks of Instant; held at the end of time, so that a bucket never ends before it began.
std::int64_t AtomicTimeWindow::end_of(std::int64_t bucket) const noexcept {
  std::int64_t end = 0;
  const bool fits = !__builtin_mul_overflow(bucket + 1, bucket_ns_, &end) &&
                    !__builtin_add_overflow(end, origin_.load(), &end);
  return fits ? end : std::numeric_limits<std::int64_t>::max();
}

void AtomicTimeWindow::open_cell(std::uint64_t generation, std::uint64_t sequence,
                                 std::int64_t bucket, const Counts& before) noexcept {
  sequence &= kSequenceMask;
  Cell& cell = cell_of(sequence);
  // First the tag, sealed: a recorder that is a whole ring behind can no longer add to the cell.
  cell.calls.store((sequence << kTagShift) | kSealed);
  cell.slow.store(sequence << kSlowTagShift);
  cell.bucket = bucket;
  cell.end.store(end_of(bucket));
  cell.total_before.store(before.total);
  cell.failed_before.store(before.failed);
  cell.slow_before.store(before.slow);
  cell.calls.store(sequence << kTagShift);
  current_.store(pack(generation, sequence), std::memory_order_release);
}

// Adds up under the mutex; nothing when the generation is over. The cell after the sealed one was
// opened with the sums as they were, a slow outcome that came just after the seal not among them:
// now it is.
Counts AtomicTimeWindow::recount(std::uint64_t generation, Instant now) noexcept {
  const std::lock_guard lock(mutex_);
  const std::uint64_t current = current_.load(std::memory_order_relaxed);
  const std::uint64_t sequence = current & kSequenceMask;
  if (current != pack(generation, sequence)) return {};
  Cell& cell = cell_of(sequence);
  if (sequence != first_sequence_) {
    cell.slow_before.store(sum_back(sequence - 1, cell.bucket).slow);
  }
  return sum_back(sequence, std::max(bucket_of(now), cell.bucket));
}

Counts AtomicTimeWindow::counts(Instant now) noexcept {
  const std::lock_guard lock(mutex_);
  const std::uint64_t sequence = current_.load(std::memory_order_relaxed) & kSequenceMask;
  return sum_back(sequence, std::max(bucket_of(now), cell_of(sequence).bucket));
}

void AtomicTimeWindow::restart(std::uint64_t generation, Instant now) noexcept {
  const std::lock_guard lock(mutex_);
  const std::uint64_t sequence = current_.load(std::memory_order_relaxed) & kSequenceMask;
  cell_of(sequence).calls.fetch_or(kSealed);
  if (alignment_ == Alignment::StateEntry) origin_.store(now.time_since_epoch().count());
  first_sequence_ = (sequence + 1) & kSequenceMask;
  open_cell(generation, first_sequence_, bucket_of(now), {});
}

}  // namespace recover::circuitbreaker
