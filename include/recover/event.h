// Listeners: who wants to hear of a policy's events, and telling them outside every lock.
//
// Invariant: no listener can break a call, or keep the other listeners from hearing: what one
// throws is dropped and counted.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace recover {

namespace detail {

// What a subscription and the emitting threads share: whether the listener is still to be told, and
// how many threads are telling it right now.
class Membership {
 public:
  // False: it was cancelled. leave() must follow in either case.
  bool enter() noexcept { return (state_.fetch_add(1) & kCancelled) == 0; }
  void leave() noexcept {
    if ((state_.fetch_sub(1) & kCancelled) != 0) state_.notify_all();
  }

  void cancel() noexcept { state_.fetch_or(kCancelled); }
  bool cancelled() const noexcept { return (state_.load() & kCancelled) != 0; }
  // REQUIRES: cancelled. Returns at once on a thread that is in this listener.
  void wait_until_left() const noexcept;

  void note_error() noexcept { errors_.fetch_add(1, std::memory_order_relaxed); }
  std::uint64_t errors() const noexcept { return errors_.load(std::memory_order_relaxed); }

 private:
  static constexpr std::uint32_t kCancelled = std::uint32_t{1} << 31U;

  std::atomic<std::uint32_t> state_{0};  // cancelled:1 threads:31
  std::atomic<std::uint64_t> errors_{0};
};

// This thread tells one listener, for as long as this lives.
class Telling {
 public:
  explicit Telling(Membership& membership) noexcept;
  Telling(const Telling&) = delete;
  Telling& operator=(const Telling&) = delete;
  ~Telling();

  bool wanted() const noexcept { return wanted_; }

 private:
  friend class Membership;
  Membership& membership_;
  const Telling* const outer_;  // A listener caused an event of its own.
  const bool wanted_;
};

// The list a listener is on, whatever its events are.
class Roll {
 public:
  Roll() = default;
  Roll(const Roll&) = delete;
  Roll& operator=(const Roll&) = delete;
  virtual ~Roll() = default;
  virtual void strike_off(const Membership& membership) noexcept = 0;
};

}  // namespace detail

// Names one listener of a policy, to take it off again. Ignore it and the listener stays for as
// long as the policy; it may outlive the policy. Copies name the same listener. Any thread.
class Subscription {
 public:
  Subscription() = default;

  // No event emitted after this returns reaches the listener. It does not wait: an emission that is
  // under way on another thread may still call the listener with its event, even after the return.
  // What the listener owns is destroyed here or when the last such emission is over. Listeners may
  // cancel themselves and each other; further cancels do nothing.
  void cancel() noexcept;
  // The same, and by the time it returns every call of the listener on another thread has returned
  // and none will begin. From within the listener itself it does not wait. REQUIRES: the caller
  // holds nothing that the listener waits for.
  void cancel_and_wait() noexcept;

  // The listener is on a list and will be told; false also once the policy is gone.
  bool active() const noexcept;
  // Events for which the listener threw; they count as delivered.
  std::uint64_t errors() const noexcept { return membership_ ? membership_->errors() : 0; }

 private:
  template <class Event>
  friend class Listeners;
  Subscription(std::weak_ptr<detail::Roll> roll, std::shared_ptr<detail::Membership> membership)
      : roll_(std::move(roll)), membership_(std::move(membership)) {}

  std::weak_ptr<detail::Roll> roll_;
  std::shared_ptr<detail::Membership> membership_;
};

// A subscription for a scope: ends with cancel_and_wait(), so that the listener may refer to what
// lives as long as this.
class [[nodiscard]] ScopedSubscription {
 public:
  ScopedSubscription() = default;
  // NOLINTNEXTLINE(google-explicit-constructor): `ScopedSubscription s = breaker.on_event(f);`.
  ScopedSubscription(Subscription subscription) noexcept : subscription_(std::move(subscription)) {}
  ScopedSubscription(ScopedSubscription&& other) noexcept
      : subscription_(std::exchange(other.subscription_, {})) {}
  ScopedSubscription& operator=(ScopedSubscription&& other) noexcept {
    ScopedSubscription old(std::move(other));
    std::swap(subscription_, old.subscription_);
    return *this;
  }
  ~ScopedSubscription() { subscription_.cancel_and_wait(); }

  const Subscription& get() const noexcept { return subscription_; }

 private:
  Subscription subscription_;
};

// Listeners are called on the thread whose call caused the event, in the order they were added,
// with no lock of the library held: a listener may call back into the policy. What it throws is
// dropped and counted. It must not end its thread (pthread_exit).
template <class Event>
class Listeners {
 public:
  using Listener = std::function<void(const Event&)>;

  // Any thread. Takes effect for events that start after it returns.
  Subscription add(Listener listener) {
    auto membership = std::make_shared<detail::Membership>();
    roll_->add(std::make_shared<Member>(Member{std::move(listener), membership}));
    return {roll_, std::move(membership)};
  }

  // Two loads when nobody listens.
  bool empty() const noexcept { return roll_->empty(); }

  void emit(const Event& event) const noexcept {
    if (empty()) return;
    // Outlives an add() or a cancel() during the loop.
    const std::shared_ptr<const List> list = roll_->current();
    if (list == nullptr) return;
    for (const std::shared_ptr<Member>& member : *list) tell(*member, event);
  }

  // Of all listeners there ever were: events for which one threw.
  std::uint64_t errors() const noexcept { return errors_.load(std::memory_order_relaxed); }

 private:
  struct Member {
    Listener listener;
    std::shared_ptr<detail::Membership> membership;
  };
  using List = std::vector<std::shared_ptr<Member>>;

  class Roll final : public detail::Roll {
   public:
    bool empty() const noexcept { return !any_.load(std::memory_order_acquire); }

    std::shared_ptr<const List> current() const noexcept {
      const std::lock_guard lock(mutex_);
      return list_;
    }

    void add(std::shared_ptr<Member> member) {
      const std::lock_guard lock(mutex_);
      auto next = list_ ? std::make_shared<List>(*list_) : std::make_shared<List>();
      next->push_back(std::move(member));
      list_ = std::move(next);
      any_.store(true, std::memory_order_release);
    }

    void strike_off(const detail::Membership& membership) noexcept override {
      std::shared_ptr<const List> before;  // Listeners are destroyed outside the lock.
      const std::lock_guard lock(mutex_);
      before = list_;
      try {
        list_ = without(membership);
      } catch (...) {  // No memory for a shorter list: it stays on this one, cancelled.
      }
      any_.store(list_ != nullptr, std::memory_order_release);
    }

   private:
    // REQUIRES: mutex_ held. Null when nobody is left.
    std::shared_ptr<const List> without(const detail::Membership& membership) const {
      auto next = std::make_shared<List>();
      if (list_) {
        std::copy_if(list_->begin(), list_->end(), std::back_inserter(*next),
                     [&](const auto& member) { return member->membership.get() != &membership; });
      }
      return next->empty() ? nullptr : next;
    }

    mutable std::mutex mutex_;
    std::shared_ptr<const List> list_;
    std::atomic<bool> any_{false};
  };

  void tell(Member& member, const Event& event) const noexcept {
    const detail::Telling telling(*member.membership);
    if (!telling.wanted()) return;
    try {
      member.listener(event);
    } catch (...) {
      member.membership->note_error();
      errors_.fetch_add(1, std::memory_order_relaxed);
    }
  }

  const std::shared_ptr<Roll> roll_ = std::make_shared<Roll>();
  mutable std::atomic<std::uint64_t> errors_{0};
};

}  // namespace recover
