// Listeners: who wants to hear of a policy's events, and telling them outside every lock.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace recover {

// Listeners are called on the thread whose call caused the event, in the order they were added,
// with no lock of the library held: a listener may call back into the policy. It must not throw.
template <class Event>
class Listeners {
 public:
  using Listener = std::function<void(const Event&)>;

  // Any thread. Takes effect for events that start after it returns.
  void add(Listener listener) {
    const std::lock_guard lock(mutex_);
    auto next = list_ ? std::make_shared<List>(*list_) : std::make_shared<List>();
    next->push_back(std::move(listener));
    list_ = std::move(next);
    any_.store(true, std::memory_order_release);
  }

  // One relaxed load when nobody listens.
  bool empty() const noexcept { return !any_.load(std::memory_order_acquire); }

  void emit(const Event& event) const {
    if (empty()) return;
    const std::shared_ptr<const List> list = current();  // Outlives an add() during the loop.
    for (const Listener& listener : *list) listener(event);
  }

 private:
  using List = std::vector<Listener>;

  std::shared_ptr<const List> current() const {
    const std::lock_guard lock(mutex_);
    return list_;
  }

  mutable std::mutex mutex_;
  std::shared_ptr<const List> list_;
  std::atomic<bool> any_{false};
};

}  // namespace recover
