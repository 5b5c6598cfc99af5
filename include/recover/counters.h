// Counters that cost about a nanosecond to bump, never contend, and are read without a lock.
//
// Each of the first kThreadSlots live threads owns a cache line and bumps it with a plain load and
// store; later threads share one line with an atomic add. Nothing is lost: value() after all
// threads have joined is exact, and while they run it is some value between the bumps that
// finished before the call and those that started before it returned.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace recover {

inline constexpr unsigned kThreadSlots = 16;

namespace detail {

inline constexpr unsigned kNoSlot = ~0U;
// kNoSlot until the thread's first use.
// NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables): one word a thread.
extern constinit thread_local unsigned thread_slot;

// Takes a free slot for this thread, given back when it ends; kThreadSlots when all are taken.
unsigned claim_thread_slot() noexcept;

inline unsigned current_thread_slot() noexcept {
  const unsigned slot = thread_slot;
  return slot != kNoSlot ? slot : claim_thread_slot();
}

}  // namespace detail

// One counter for each value of the enum `Key`, whose last enumerator must be `Count`.
// Any thread may call any member.
template <class Key>
requires std::is_enum_v<Key>
class Counters {
 public:
  static constexpr std::size_t kKeys = static_cast<std::size_t>(Key::Count);
  static_assert(kKeys <= 8, "the counters of one thread share one cache line");

  void add(Key key, std::uint64_t amount = 1) noexcept {
    const unsigned slot = detail::current_thread_slot();
    std::atomic<std::uint64_t>& cell = lines_[slot].cells[static_cast<std::size_t>(key)];
    if (slot < kThreadSlots) [[likely]] {
      cell.store(cell.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
    } else {
      cell.fetch_add(amount, std::memory_order_relaxed);
    }
  }

  std::uint64_t value(Key key) const noexcept {
    std::uint64_t sum = 0;
    for (const Line& line : lines_) {
      sum += line.cells[static_cast<std::size_t>(key)].load(std::memory_order_relaxed);
    }
    return sum;
  }

 private:
  struct alignas(64) Line {
    std::array<std::atomic<std::uint64_t>, kKeys> cells{};
  };
  std::array<Line, kThreadSlots + 1> lines_{};
};

}  // namespace recover
