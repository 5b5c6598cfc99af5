#include <recover/counters.h>

namespace recover::detail {

// NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables): see the header.
constinit thread_local unsigned thread_slot = kNoSlot;

namespace {

// Bit i set: slot i is taken. The release on giving back and the acquire on claiming order the
// old owner's stores before the new owner's loads, so a plain load and store stay exact.
// NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables): threads are the process's.
constinit std::atomic<std::uint32_t> taken{0};
static_assert(kThreadSlots <= 32);

// Gives the slot back when the thread ends.
struct SlotOwner {
  unsigned slot = kThreadSlots;

  SlotOwner() = default;
  SlotOwner(const SlotOwner&) = delete;
  SlotOwner& operator=(const SlotOwner&) = delete;
  ~SlotOwner() {
    thread_slot = kThreadSlots;  // Later destructors of this thread count on the shared line.
    if (slot < kThreadSlots) taken.fetch_and(~(1U << slot), std::memory_order_release);
  }
};

unsigned take_free_slot() noexcept {
  std::uint32_t seen = taken.load(std::memory_order_relaxed);
  for (unsigned slot = 0; slot < kThreadSlots;) {
    const std::uint32_t bit = 1U << slot;
    if ((seen & bit) != 0) {
      ++slot;
    } else if (taken.compare_exchange_weak(seen, seen | bit, std::memory_order_acquire,
                                           std::memory_order_relaxed)) {
      return slot;
    }
  }
  return kThreadSlots;
}

}  // namespace

unsigned claim_thread_slot() noexcept {
  thread_local SlotOwner owner;
  owner.slot = take_free_slot();
  thread_slot = owner.slot;
  return thread_slot;
}

}  // namespace recover::detail
