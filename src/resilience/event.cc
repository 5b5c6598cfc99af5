#include <recover/event.h>

namespace recover {
namespace detail {
namespace {

// The listener this thread is in, if any.
const Telling*& innermost() noexcept {
  static thread_local const Telling* telling = nullptr;
  return telling;
}

}  // namespace

Telling::Telling(Membership& membership) noexcept
    : membership_(membership), outer_(innermost()), wanted_(membership.enter()) {
  innermost() = this;
}

Telling::~Telling() {
  innermost() = outer_;
  membership_.leave();
}

void Membership::wait_until_left() const noexcept {
  for (const Telling* mine = innermost(); mine != nullptr; mine = mine->outer_) {
    if (&mine->membership_ == this) return;
  }
  for (std::uint32_t state = state_.load(); state != kCancelled; state = state_.load()) {
    state_.wait(state);
  }
}

}  // namespace detail

void Subscription::cancel() noexcept {
  if (membership_ == nullptr) return;
  membership_->cancel();
  if (const std::shared_ptr<detail::Roll> roll = roll_.lock()) roll->strike_off(*membership_);
}

void Subscription::cancel_and_wait() noexcept {
  cancel();
  if (membership_ != nullptr) membership_->wait_until_left();
}

bool Subscription::active() const noexcept {
  return membership_ != nullptr && !membership_->cancelled() && !roll_.expired();
}

}  // namespace recover
