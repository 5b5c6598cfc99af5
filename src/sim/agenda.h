// What is to happen in a simulated world, in order of time and, at one instant, of being planned.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include <recover/check.h>
#include <recover/time.h>

namespace recover::sim {

enum class Happening : std::uint8_t {
  Look,       // a: service, b: probe, c: 1 when it repeats.
  Answer,     // c: look.
  Ready,      // a: service, c: pid.
  Exit,       // a: service, c: pid.
  Effect,     // c: slot.
  Result,     // c: slot.
  Duplicate,  // c: slot.
  Trouble,
  Person,  // c: what was asked of people.
  Back,    // recoverd starts again.
  JournalBack,
  KillOff,
  Peace,  // Faults end.
  Quiet,  // Has everything come to an end?
};

struct Planned {
  Happening what = Happening::Look;
  std::uint32_t a = 0;
  std::uint32_t b = 0;
  std::uint64_t c = 0;
};

class Agenda {
 public:
  void add(Instant at, Happening what, std::uint32_t a = 0, std::uint32_t b = 0,
           std::uint64_t c = 0) {
    if (free_.empty()) {
      free_.push_back(static_cast<std::uint32_t>(planned_.size()));
      planned_.emplace_back();
    }
    const std::uint32_t place = free_.back();
    free_.pop_back();
    RECOVER_CHECK(place < kPlacesMax);
    planned_[place] = {what, a, b, c};
    heap_.push_back({at, ++order_ * kPlacesMax + place});
    std::push_heap(heap_.begin(), heap_.end(), later);
  }
  Instant next() const { return heap_.empty() ? kNever : heap_.front().at; }
  // REQUIRES: next() != kNever.
  Planned take() {
    std::pop_heap(heap_.begin(), heap_.end(), later);
    const std::uint32_t place = static_cast<std::uint32_t>(heap_.back().order % kPlacesMax);
    heap_.pop_back();
    free_.push_back(place);
    return planned_[place];
  }

 private:
  static constexpr std::uint64_t kPlacesMax = std::uint64_t{1} << 20U;
  struct Key {
    Instant at;
    std::uint64_t order = 0;  // Of being planned, and below it the place in planned_.
  };
  static bool later(const Key& a, const Key& b) {
    return a.at != b.at ? a.at > b.at : a.order > b.order;
  }
  std::vector<Key> heap_;  // Small, because most of the work is moving them.
  std::vector<Planned> planned_;
  std::vector<std::uint32_t> free_;  // Places in it.
  std::uint64_t order_ = 0;
};

}  // namespace recover::sim
