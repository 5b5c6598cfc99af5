#include "adapters/process/event_loop.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <poll.h>

#include <cstdint>
#include <utility>

namespace recover::adapters::process {

struct Watch::State : std::enable_shared_from_this<Watch::State> {
  State(Loop& loop, int fd, std::function<void()> function)
      : descriptor(loop, fd), ready(std::move(function)) {}

  void arm() {
    descriptor.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                          [self = shared_from_this()](const boost::system::error_code& error) {
                            if (error || !self->live) return;
                            // The reactor may hand on what it had queued for a descriptor that was
                            // closed since and whose place this one took.
                            if (self->is_ready()) self->ready();
                            if (self->live) self->arm();
                          });
  }
  bool is_ready() {
    pollfd asked{.fd = descriptor.native_handle(), .events = POLLIN, .revents = 0};
    return ::poll(&asked, 1, 0) != 0;
  }
  void stop() {
    if (!live) return;
    live = false;
    descriptor.release();
  }

  boost::asio::posix::stream_descriptor descriptor;
  std::function<void()> ready;
  bool live = true;
};

Watch::Watch(Loop& loop, int fd, std::function<void()> ready)
    : state_(std::make_shared<State>(loop, fd, std::move(ready))) {
  state_->arm();
}
Watch& Watch::operator=(Watch&& other) noexcept {
  if (this != &other) {
    if (state_) state_->stop();
    state_ = std::move(other.state_);
  }
  return *this;
}
Watch::~Watch() {
  if (state_) state_->stop();
}

struct Alarm::State {
  explicit State(Loop& loop) : timer(loop) {}

  boost::asio::steady_timer timer;
  std::uint64_t round = 0;  // A call queued for an earlier round is void.
  bool armed = false;
};

// NOLINTNEXTLINE(bugprone-exception-escape)
Alarm::~Alarm() {
  cancel();
}

void Alarm::set(Duration after, std::function<void()> due) {
  cancel();
  if (!state_) state_ = std::make_shared<State>(*loop_);
  state_->armed = true;
  state_->timer.expires_after(after);
  state_->timer.async_wait([state = state_, round = state_->round,
                            due = std::move(due)](const boost::system::error_code& error) {
    if (error || round != state->round || !state->armed) return;
    state->armed = false;
    due();
  });
}
void Alarm::cancel() {
  if (!state_) return;
  ++state_->round;
  if (!std::exchange(state_->armed, false)) return;
  state_->timer.cancel();
}
bool Alarm::armed() const {
  return state_ && state_->armed;
}

void post(Loop& loop, std::function<void()> function) {
  boost::asio::post(loop, std::move(function));
}

}  // namespace recover::adapters::process
