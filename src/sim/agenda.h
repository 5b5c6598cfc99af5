// What is to happen in a simulated world, in order of time and, at one instant, of being planned.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

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
  Instant at;
  std::uint64_t order = 0;
  Happening what = Happening::Look;
  std::uint32_t a = 0;
  std::uint32_t b = 0;
  std::uint64_t c = 0;
};

class Agenda {
 public:
  void add(Instant at, Happening what, std::uint32_t a = 0, std::uint32_t b = 0,
           std::uint64_t c = 0) {
    heap_.push_back({at, ++order_, what, a, b, c});
    std::push_heap(heap_.begin(), heap_.end(), later);
  }
  Instant next() const { return heap_.empty() ? kNever : heap_.front().at; }
  // REQUIRES: next() != kNever.
  Planned take() {
    std::pop_heap(heap_.begin(), heap_.end(), later);
    const Planned planned = heap_.back();
    heap_.pop_back();
    return planned;
  }

 private:
  static bool later(const Planned& a, const Planned& b) {
    return a.at != b.at ? a.at > b.at : a.order > b.order;
  }
  std::vector<Planned> heap_;
  std::uint64_t order_ = 0;
};

}  // namespace recover::sim
