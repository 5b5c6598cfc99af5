// The engine's turns, and what is done between them.
#include <boost/asio/post.hpp>

#include <algorithm>
#include <utility>

#include "apps/recoverd/engine_daemon.h"
#include "apps/recoverd/log.h"
#include "apps/recoverd/memory.h"

namespace recover::apps {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

constexpr Duration kCatchUpInterval = 1s;  // While the journal cannot be written.
constexpr Duration kPruneInterval = 600s;
constexpr Duration kTrimAgain = 60s;  // From one time to the next, at least.

}  // namespace

void Daemon::wake() {
  if (std::exchange(turn_posted_, true)) return;
  asio::post(io_, [this] {
    turn_posted_ = false;
    turn();
  });
}

void Daemon::turn() {
  if (stopping_) return;  // Services end because we want them to: nothing to heal.
  const Instant next = loop_->turn();
  if (std::exchange(recorded_, loop_->metrics().recorded) != loop_->metrics().recorded) {
    trim_at_ = std::max(clock_.now() + kTrimAfter, trim_again_at_);
  }
  arm_timer(next);
  settle_soon();
}

// The journal's stage is moved into its database when those who are down have been started.
void Daemon::settle_soon() {
  if (journal_.settled() || std::exchange(settle_armed_, true)) return;
  settle_timer_.expires_after(kSettleAfter);
  settle_timer_.async_wait([this](const boost::system::error_code& error) {
    settle_armed_ = false;
    if (!error) journal_.settle();
  });
}

void Daemon::arm_timer(Instant at) {
  if (at == kNever) {
    timer_.cancel();
    return;
  }
  timer_.expires_at(std::chrono::steady_clock::time_point(Duration{clock_.monotonic_ns_of(at)}));
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) turn();
  });
}

void Daemon::journal_degraded(bool degraded) {
  log(degraded ? Level::Error : Level::Info,
      degraded ? "the journal cannot be written; only safe actions run: " + journal_.trouble()
               : "the journal is written again");
  asio::post(io_, [this, degraded] { loop_->post(core::JournalDegraded{.degraded = degraded}); });
}

void Daemon::tend_journal() {
  if (journal_.degraded()) journal_.catch_up();
  if (clock_.now() >= prune_at_) {
    prune_at_ = clock_.now() + kPruneInterval;
    const auto pruned = journal_.prune();
    if (!pruned) log(Level::Warning, "the journal was not pruned: " + pruned.error());
  }
  if (clock_.now() >= trim_at_) {
    trim_at_ = kNever;
    trim_again_at_ = clock_.now() + kTrimAgain;
    if (!journal_.degraded()) {
      loop_->rest();
      journal_.settle();
    }
    recorded_ = loop_->metrics().recorded;
    give_back_memory();
  }
  journal_timer_.expires_after(kCatchUpInterval);
  journal_timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error && !stopping_) tend_journal();
  });
}

}  // namespace recover::apps
