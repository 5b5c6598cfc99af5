#include "adapters/process/event_loop.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <sys/epoll.h>

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include <recover/check.h>

namespace recover::adapters::process {

// All descriptors of the loop that are watched: one epoll of our own, which Asio sees as a single
// descriptor. Asio's own object for a descriptor takes ten times the memory, and every thousand
// services are two thousand of them.
class Readiness final : public boost::asio::execution_context::service {
 public:
  using key_type = Readiness;
  static inline boost::asio::execution_context::id id;

  explicit Readiness(boost::asio::execution_context& context)
      : service(context), epoll_(static_cast<Loop&>(context), ::epoll_create1(EPOLL_CLOEXEC)) {}

  // The round names this watch among all of the descriptor's number.
  std::uint32_t add(int fd, std::function<void()> ready) {
    RECOVER_CHECK(fd >= 0);
    if (watched_.size() <= static_cast<std::size_t>(fd))
      watched_.resize(static_cast<std::size_t>(fd) + 1);
    if (++rounds_ == 0) ++rounds_;
    epoll_event wanted{};
    wanted.events = EPOLLIN;
    wanted.data.u64 = (std::uint64_t{rounds_} << 32U) | static_cast<std::uint32_t>(fd);
    RECOVER_CHECK(::epoll_ctl(epoll_.native_handle(), EPOLL_CTL_ADD, fd, &wanted) == 0);
    at(fd) = {.round = rounds_, .ready = std::move(ready)};
    if (++count_ == 1) arm();
    return rounds_;
  }

  void remove(int fd, std::uint32_t round) noexcept {
    if (static_cast<std::size_t>(fd) >= watched_.size() || at(fd).round != round) return;
    ::epoll_ctl(epoll_.native_handle(), EPOLL_CTL_DEL, fd, nullptr);
    at(fd) = {};
    boost::system::error_code ignored;
    if (--count_ == 0) epoll_.cancel(ignored);  // Or the loop would never run out of work.
  }

 private:
  struct Watched {
    std::uint32_t round = 0;  // 0: nobody watches.
    std::function<void()> ready;
  };
  static constexpr int kEventsPerTurn = 64;

  void shutdown() override {
    boost::system::error_code ignored;
    epoll_.close(ignored);
    watched_.clear();
  }

  Watched& at(int fd) noexcept { return watched_[static_cast<std::size_t>(fd)]; }

  void arm() {
    if (std::exchange(armed_, true)) return;
    epoll_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                      [this](const boost::system::error_code&) {
                        armed_ = false;
                        if (count_ == 0) return;
                        tell();
                        if (count_ > 0) arm();
                      });
  }

  // What is called may watch and stop watching whatever it likes.
  void tell() {
    std::array<epoll_event, kEventsPerTurn> events{};
    const int ready = ::epoll_wait(epoll_.native_handle(), events.data(), kEventsPerTurn, 0);
    for (int i = 0; i < ready; ++i) {
      const std::uint64_t data = events[static_cast<std::size_t>(i)].data.u64;
      const int fd = static_cast<int>(data & 0xffff'ffffU);
      const auto round = static_cast<std::uint32_t>(data >> 32U);
      if (at(fd).round != round) continue;  // Its watch ended a moment ago.
      auto call = std::move(at(fd).ready);
      call();
      if (at(fd).round == round) at(fd).ready = std::move(call);
    }
  }

  boost::asio::posix::stream_descriptor epoll_;
  std::vector<Watched> watched_;  // By descriptor.
  std::uint32_t rounds_ = 0;
  std::size_t count_ = 0;
  bool armed_ = false;
};

Watch::Watch(Loop& loop, int fd, std::function<void()> ready)
    : readiness_(&boost::asio::use_service<Readiness>(loop)),
      fd_(fd),
      round_(readiness_->add(fd, std::move(ready))) {}
Watch::Watch(Watch&& other) noexcept
    : readiness_(std::exchange(other.readiness_, nullptr)), fd_(other.fd_), round_(other.round_) {}
Watch& Watch::operator=(Watch&& other) noexcept {
  if (this == &other) return *this;
  stop();
  readiness_ = std::exchange(other.readiness_, nullptr);
  fd_ = other.fd_;
  round_ = other.round_;
  return *this;
}
Watch::~Watch() {
  stop();
}
void Watch::stop() noexcept {
  if (readiness_ != nullptr) std::exchange(readiness_, nullptr)->remove(fd_, round_);
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
