// Everything the screen shows, as plain values: what is drawn is taken from here and nowhere else.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include <recover/circuit_breaker.h>
#include <recover/time.h>

#include "chronicle.h"
#include "client.h"
#include "crowd.h"
#include "weather.h"

namespace flaky {

inline constexpr std::size_t kColumnsMax = 64;

// One slice of the recent past.
struct Column {
  Weather weather = Weather::Healthy;
  recover::circuitbreaker::State breaker = recover::circuitbreaker::State::Closed;
  Tally answers = {};  // Of this slice alone.
  Duration slowest = {};
};

struct View {
  Duration elapsed = {};
  Outlook outlook = {};
  recover::circuitbreaker::Snapshot breaker = {};
  std::uint32_t window_size = 0;
  double threshold_percent = 0;
  unsigned opened = 0;
  Tally tally = {};
  Duration median = {};
  Duration slowest = {};
  std::uint64_t retries = 0;
  std::uint64_t timeouts = 0;
  std::uint64_t rejected = 0;  // By breaker, bulkhead and rate limiters.
  std::uint64_t late = 0;      // Outcomes that came after the breaker had moved on.
  double budget = 0;           // Tokens left of budget_max.
  double budget_max = 0;
  bool lost_one = false;  // An answer failed a moment ago.
  Duration column_length = {};
  std::deque<Column> columns = {};  // Oldest first.
  Instant started = {};
  std::vector<Occurrence> events = {};
};

// Looks at the parts now and then. Not thread-safe: belongs to the thread that draws.
class Observer {
 public:
  // REQUIRES: the three outlive the observer.
  Observer(Client& client, Crowd& crowd, const Chronicle& chronicle, Instant started,
           Duration column_length)
      : client_(client),
        crowd_(crowd),
        chronicle_(chronicle),
        started_(started),
        column_length_(column_length) {}

  // Call often; adds a column when it is time for one.
  View observe(Instant now, const Outlook& outlook, std::size_t events_max);

 private:
  void add_column(Weather weather);
  recover::circuitbreaker::State breaker_since_column();
  void observe_policies(View& view) const;

  Client& client_;
  Crowd& crowd_;
  const Chronicle& chronicle_;
  Instant started_;
  Duration column_length_;
  std::deque<Column> columns_;
  std::uint64_t columns_added_ = 0;
  Tally before_;  // At the last column, as the next.
  unsigned probed_before_ = 0;
};

}  // namespace flaky
