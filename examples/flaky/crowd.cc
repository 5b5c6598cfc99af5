#include "crowd.h"

#include <algorithm>
#include <chrono>

#include <recover/error.h>
#include <recover/random.h>

namespace flaky {

using recover::Duration;
using recover::Instant;
using recover::Result;

namespace {

const std::array<std::string, 12> kItems = {"bread", "butter", "cheese", "coffee",
                                            "eggs",  "honey",  "milk",   "plums",
                                            "rice",  "salt",   "tea",    "walnuts"};

// A user thinks for 30 to 90 ms between two questions.
Duration think_time(recover::Random& random) {
  return 30ms + std::chrono::duration_cast<Duration>(60ms * random.unit());
}

}  // namespace

bool Crowd::warm_up(Instant deadline) {
  const auto remembered = [this](const std::string& item) {
    const Result<Answer> answer = client_.ask(item, {});
    return answer && answer->source != Source::Replica;
  };
  for (const std::string& item : kItems) {
    while (!remembered(item)) {
      if (std::chrono::steady_clock::now() >= deadline) return false;
    }
  }
  return true;
}

void Crowd::start(std::size_t users) {
  for (std::size_t user = 0; user < users; ++user) {
    users_.emplace_back([this, user](const std::stop_token& stop) { run(user, stop); });
  }
}

void Crowd::run(std::uint64_t seed, const std::stop_token& stop) {
  recover::SteadyClock& clock = recover::SteadyClock::instance();
  recover::Random random(seed);
  while (clock.wait_until(clock.now() + think_time(random), stop)) ask_next(stop);
}

void Crowd::ask_next(const std::stop_token& stop) {
  const std::string& item = kItems[next_item_++ % kItems.size()];
  const Instant asked = std::chrono::steady_clock::now();
  const Result<Answer> answer = client_.ask(item, stop);
  const bool cancelled = !answer && answer.error().kind() == recover::ErrorKind::Cancelled;
  if (!cancelled) note(answer, std::chrono::steady_clock::now() - asked);
}

void Crowd::note(const Result<Answer>& answer, Duration latency) {
  const std::lock_guard lock(mutex_);
  latencies_[answers_++ % kLatenciesMax] = latency;
  slowest_ = std::max(slowest_, latency);
  if (!answer) {
    ++tally_.failed;
    return;
  }
  tally_.last = *answer;
  switch (answer->source) {
    case Source::Fresh: ++tally_.fresh; return;
    case Source::Replica: ++tally_.replica; return;
    case Source::Cache: ++tally_.cache; return;
  }
}

Tally Crowd::tally() const {
  const std::lock_guard lock(mutex_);
  return tally_;
}

std::vector<Duration> Crowd::latencies() const {
  const std::lock_guard lock(mutex_);
  const auto end =
      latencies_.begin() + static_cast<std::ptrdiff_t>(std::min(answers_, kLatenciesMax));
  std::vector<Duration> sorted(latencies_.begin(), end);
  std::sort(sorted.begin(), sorted.end());
  return sorted;
}

Duration Crowd::take_slowest() {
  const std::lock_guard lock(mutex_);
  return std::exchange(slowest_, Duration::zero());
}

}  // namespace flaky
