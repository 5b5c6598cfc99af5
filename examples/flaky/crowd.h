// The users: threads that ask for one price after the other and keep count of what they got.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include <recover/time.h>

#include "client.h"

namespace flaky {

// What the users saw, from the beginning.
struct Tally {
  std::uint64_t fresh = 0;
  std::uint64_t replica = 0;
  std::uint64_t cache = 0;
  std::uint64_t failed = 0;
  Answer last = {};

  std::uint64_t total() const noexcept { return fresh + replica + cache + failed; }
};

inline constexpr std::size_t kLatenciesMax = 100;

// Any thread may call any member.
class Crowd {
 public:
  // REQUIRES: client outlives the crowd.
  explicit Crowd(Client& client) : client_(client) {}
  Crowd(const Crowd&) = delete;
  Crowd& operator=(const Crowd&) = delete;

  // Asks for every item until each is remembered, so that the last good answers exist before
  // trouble does. False: gave up at `deadline`.
  bool warm_up(recover::Instant deadline);
  // Lets `users` threads ask until the crowd is destroyed.
  void start(std::size_t users);

  Tally tally() const;
  // Of the last kLatenciesMax answers, sorted.
  std::vector<recover::Duration> latencies() const;
  // The longest since the last call of this.
  recover::Duration take_slowest();

 private:
  void run(std::uint64_t seed, const std::stop_token& stop);
  void ask_next(const std::stop_token& stop);
  void note(const recover::Result<Answer>& answer, recover::Duration latency);

  Client& client_;
  std::atomic<std::size_t> next_item_{0};
  mutable std::mutex mutex_;  // Guards the four below.
  Tally tally_;
  std::array<recover::Duration, kLatenciesMax> latencies_{};
  std::size_t answers_ = 0;
  recover::Duration slowest_{};
  std::vector<std::jthread> users_;  // Last: they use all of the above.
};

}  // namespace flaky
