// Bytes are a bulkhead and who comes, waits, gives up and leaves: it must agree with a plain count
// and a plain queue, and grant to the first in line.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

#include <recover/bulkhead.h>

#include "script.h"

namespace recover::bulkhead {
namespace {

using test::require;
using test::Script;

class Caller final : public Waiter {
 public:
  void granted(Permit permit) noexcept override { permit_ = std::move(permit); }
  Permit permit_;
};

class Model {
 public:
  explicit Model(Script script)
      : config_{.max_concurrent_calls = 1 + script.below(4), .max_queued = script.below(4)},
        script_(script),
        bulkhead_(config_) {}

  void run() {
    while (!script_.done()) {
      step(script_.below(5), callers_[script_.below(kCallers)]);
      check();
    }
    for (Caller* waiter : queue_) require(bulkhead_.cancel(*waiter), "who waits can leave");
  }

 private:
  static constexpr unsigned kCallers = 8;

  bool queued(const Caller& caller) const {
    return std::find(queue_.begin(), queue_.end(), &caller) != queue_.end();
  }
  bool room() const { return queue_.empty() && in_use() < config_.max_concurrent_calls; }
  std::size_t in_use() const {
    return static_cast<std::size_t>(std::count_if(
        callers_.begin(), callers_.end(), [](const Caller& c) { return c.permit_.held(); }));
  }

  void step(unsigned choice, Caller& caller) {
    if (choice == 0) {
      release(caller);
    } else if (queued(caller)) {
      const bool left = choice % 2 == 0 ? bulkhead_.cancel(caller) : bulkhead_.expire(caller);
      require(left, "who waits can leave");
      queue_.erase(std::find(queue_.begin(), queue_.end(), &caller));
    } else if (!caller.permit_.held()) {
      choice % 2 == 0 ? try_acquire(caller) : enqueue(caller);
    } else {
      require(!bulkhead_.cancel(caller), "who was granted cannot leave");
    }
  }

  void release(Caller& caller) {
    if (!caller.permit_.held()) return;
    caller.permit_.release();
    if (queue_.empty()) return;
    require(queue_.front()->permit_.held(), "the first in line is granted");
    queue_.pop_front();
  }

  void try_acquire(Caller& caller) {
    const bool fits = room();
    Result<Permit, Rejection> permit = bulkhead_.try_acquire();
    require(permit.has_value() == fits, "a permit when one is free");
    if (permit.has_value()) caller.permit_ = std::move(*permit);
  }

  void enqueue(Caller& caller) {
    const bool fits = room();
    const bool queues = !fits && queue_.size() < config_.max_queued;
    Result<Permit, Rejection> place = bulkhead_.enqueue(caller);
    require(place.has_value() == (fits || queues), "a place when there is one");
    if (!place.has_value()) return;
    require(place->held() == fits, "granted at once when one is free");
    if (queues) queue_.push_back(&caller);
    if (fits) caller.permit_ = std::move(*place);
  }

  void check() const {
    const BulkheadMetrics metrics = bulkhead_.metrics();
    require(metrics.in_use == in_use(), "permits in use");
    require(metrics.waiting == queue_.size(), "callers waiting");
    require(metrics.in_use <= config_.max_concurrent_calls, "the limit");
  }

  BulkheadConfig config_;
  Script script_;
  Bulkhead bulkhead_;
  std::array<Caller, kCallers> callers_;
  std::deque<Caller*> queue_;
};

}  // namespace
}  // namespace recover::bulkhead

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  recover::bulkhead::Model(recover::test::Script(data, size)).run();
  return 0;
}
