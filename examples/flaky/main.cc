// A flaky server and a client that survives it, both in this process, drawn live in the terminal.
//
// Read policies.h and client.cc first: they are what a program of your own would take over. The
// rest is the stage: weather.h (the script), server.h, crowd.h (the users), screen.h.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include <recover/result.h>
#include <recover/time.h>

#include "chronicle.h"
#include "client.h"
#include "crowd.h"
#include "options.h"
#include "screen.h"
#include "server.h"
#include "terminal.h"
#include "text.h"
#include "view.h"
#include "weather.h"

namespace flaky {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kUsers = 6;
constexpr Duration kFrame = 100ms;
constexpr Duration kColumn = 400ms;
constexpr Duration kWarmUpMax = 10s;
constexpr Duration kLogEvery = 1s;
constexpr int kOncePace = 4;
// How long --once waits for the breaker to close after the last trouble; far more than it takes.
constexpr Duration kAftermathMax = 20s;
constexpr int kExitUsage = 2;

Instant now() {
  return std::chrono::steady_clock::now();
}

// What is seen of the run: a live screen, or lines of text when there is no terminal.
class Stage {
 public:
  void show(const View& view, const Chronicle& chronicle) {
    if (terminal_) {
      terminal_->show(draw(view, terminal_->canvas()));
    } else {
      print(view, chronicle);
    }
  }

 private:
  void print(const View& view, const Chronicle& chronicle) {
    for (const Occurrence& event : chronicle.since(printed_)) {
      ++printed_;
      std::printf("%s  %s: %s\n", clock_time(event.at - view.started).c_str(), event.who.c_str(),
                  event.what.c_str());
    }
    if (view.elapsed >= next_line_) {
      std::printf("%s\n", summary_line(view).c_str());
      next_line_ += kLogEvery;
    }
    std::fflush(stdout);
  }

  std::unique_ptr<Terminal> terminal_ = has_terminal() ? std::make_unique<Terminal>() : nullptr;
  std::uint64_t printed_ = 0;
  Duration next_line_ = {};
};

class Play {
 public:
  Play(const Options& options, Wishes& wishes, Server& server, std::uint16_t replica_port)
      : options_(options), wishes_(wishes), server_(server), client_(server.port(), replica_port) {}

  // The exit status.
  int run() {
    if (!crowd_.warm_up(now() + kWarmUpMax)) {
      std::fputs("flaky: the servers do not answer\n", stderr);
      return EXIT_FAILURE;
    }
    const View last = perform();
    std::printf("%s\n", summary_line(last).c_str());
    if (!options_.once) return EXIT_SUCCESS;
    const bool unnoticed = last.tally.failed == 0;
    const bool exercised = chronicle_.opened() > 0 && chronicle_.closed() > 0;
    std::printf("%s\n", unnoticed && exercised ? "no user noticed anything"
                        : unnoticed            ? "the breaker did not open and close"
                                               : "users saw failures");
    return unnoticed && exercised ? EXIT_SUCCESS : EXIT_FAILURE;
  }

 private:
  View perform() {
    const Instant started = now();
    const int pace = options_.once ? kOncePace : 1;
    const Forecast forecast(started, pace, options_.once ? 1 : 0);
    Observer observer(client_, crowd_, chronicle_, started, kColumn / pace);
    Stage stage;
    crowd_.start(kUsers);
    for (Instant frame = started;; frame = std::max(frame + kFrame, now())) {
      const Outlook outlook = forecast.at(now());
      follow(outlook.now);
      const View view = observer.observe(now(), outlook, kEventLinesMax);
      stage.show(view, chronicle_);
      if (over(view) || wishes_.wait_until(frame + kFrame)) return view;
    }
  }

  void follow(Weather weather) {
    if (weather_ == weather) return;
    weather_ = weather;
    server_.set_weather(weather);
    chronicle_.note_weather(weather);
  }

  bool over(const View& view) {
    if (options_.length && view.elapsed >= *options_.length) return true;
    if (!options_.once || view.outlook.changes_in) return false;
    if (aftermath_ends_ == recover::kNever) aftermath_ends_ = now() + kAftermathMax;
    const bool closed = view.breaker.state == recover::circuitbreaker::State::Closed;
    return closed || now() >= aftermath_ends_;
  }

  Options options_;
  Wishes& wishes_;
  Server& server_;
  Client client_;
  Chronicle chronicle_{client_};
  Crowd crowd_{client_};
  std::optional<Weather> weather_;
  Instant aftermath_ends_ = recover::kNever;
};

int run(const Options& options) {
  Wishes wishes;  // First: see there.
  const auto primary = Server::start("");
  const auto replica = Server::start(", an hour ago");
  if (!primary || !replica) {
    const recover::Error& error = primary ? replica.error() : primary.error();
    std::fprintf(stderr, "flaky: %s\n", error.to_string().c_str());
    return EXIT_FAILURE;
  }
  return Play(options, wishes, **primary, (*replica)->port()).run();
}

}  // namespace
}  // namespace flaky

int main(int argc, char** argv) {
  const auto options =
      flaky::parse_options(std::span(argv, static_cast<std::size_t>(argc)).subspan(1));
  if (!options) {
    std::fprintf(stderr, "flaky: %s\n%s", options.error().message().c_str(), flaky::kUsage.data());
    return flaky::kExitUsage;
  }
  if (options->help) {
    std::fputs(flaky::kUsage.data(), stdout);
    return EXIT_SUCCESS;
  }
  return flaky::run(*options);
}
