// What this room needs of the loop: readiness of a descriptor, a timer, a call in the next turn.
//
// Keeps Asio out of the other files. Invariant: once a Watch or an Alarm is destroyed (or
// cancelled), its function is not called any more, also when its call was already queued. Loop
// thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include <recover/time.h>

namespace boost::asio {
class io_context;
}

namespace recover::adapters::process {

using Loop = boost::asio::io_context;

class Readiness;

// Calls `ready` whenever `fd` is readable or hung up; `ready` must read or destroy the Watch, or it
// is called again. Does not own `fd`: destroy the Watch first. May be destroyed from within.
class Watch {
 public:
  Watch() = default;
  Watch(Loop& loop, int fd, std::function<void()> ready);
  Watch(Watch&& other) noexcept;
  Watch& operator=(Watch&& other) noexcept;
  ~Watch();

 private:
  void stop() noexcept;

  Readiness* readiness_ = nullptr;  // The loop's; null: nothing is watched.
  int fd_ = -1;
  std::uint32_t round_ = 0;
};

// One timer, set again and again.
class Alarm {
 public:
  explicit Alarm(Loop& loop) noexcept : loop_(&loop) {}
  Alarm(const Alarm&) = delete;
  Alarm& operator=(const Alarm&) = delete;
  // Cancelling a steady timer does not fail.  NOLINTNEXTLINE(bugprone-exception-escape)
  ~Alarm();

  // Replaces what was set before.
  void set(Duration after, std::function<void()> due);
  void cancel();
  bool armed() const;

 private:
  struct State;
  Loop* loop_;
  std::shared_ptr<State> state_;  // Null: never set; most never are.
};

// Calls `function` in a later turn of the loop, in the order of the posts.
void post(Loop& loop, std::function<void()> function);

}  // namespace recover::adapters::process
