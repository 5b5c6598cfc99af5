// The parts of the engine process and what ties them together: daemon.cc brings them up,
// daemon_turns.cc lets the loop work, daemon_changes.cc reloads, hands over and ends.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "adapters/process/adoption.h"
#include "api/server.h"
#include "api/xmlrpc/server.h"
#include "apps/recoverd/configuration.h"
#include "apps/recoverd/daemon.h"
#include "apps/recoverd/edges.h"
#include "apps/recoverd/engine_clock.h"
#include "apps/recoverd/journal_file.h"
#include "config/diff.h"
#include "runtime/loop.h"

namespace recover::apps {

class Daemon {
 public:
  explicit Daemon(RunOptions options) : options_(std::move(options)) {}

  int run();

 private:
  // Longer than what follows from one event takes.
  static constexpr Duration kSettleAfter = std::chrono::milliseconds{30};
  // At rest so long, what a start or a recovery needed is not needed any more.
  static constexpr Duration kTrimAfter = std::chrono::seconds{3};

  // The engine's, once it has begun; before, the one that was just read.
  const core::Policy& policy() const { return begun_ ? loop_->engine().policy() : *fresh_; }
  bool load();
  void look_for_processes();
  bool open_state();
  core::Engine restore_engine();
  bool make_parts();
  bool open_api();
  void begin();
  void listen_to_signals();
  void wake();
  void turn();
  void arm_timer(Instant at);
  void settle_soon();
  void tend_journal();
  void journal_degraded(bool degraded);
  Result<config::Loaded, api::Mistakes> read_anew() const;
  Result<api::Reloaded, api::Mistakes> reload();
  Result<api::Reloaded, api::Mistakes> preview() const;
  config::Diff diff_to(const config::Loaded& next) const;
  api::Reloaded apply(config::Loaded next);
  void stop();
  void end_soon();
  void hand_over();
  Result<void, std::string> reexec();
  void greet_manager();
  std::string policy_body() const;
  void keep_version();

  RunOptions options_;
  config::Loaded configuration_;  // Its policy is moved on: to fresh_, or into the loop.
  std::shared_ptr<const core::Policy> fresh_;  // As it was read; null once the engine has begun.
  EngineClock clock_;
  boost::asio::io_context io_{1};
  boost::asio::signal_set signals_{io_, SIGTERM, SIGINT, SIGHUP};
  boost::asio::steady_timer timer_{io_};
  boost::asio::steady_timer journal_timer_{io_};
  boost::asio::steady_timer settle_timer_{io_};
  boost::asio::steady_timer manager_timer_{io_};
  adapters::process::KeeperLink keeper_;
  std::unique_ptr<adapters::process::Adoption> adoption_;  // Null once the supervisor has it.
  JournalFile journal_;
  bool restored_ = false;
  std::optional<std::uint64_t> since_snapshot_;  // Of a past in which nothing is to be changed.
  bool begun_ = false;
  std::unique_ptr<Edges> edges_;
  std::unique_ptr<runtime::Loop> loop_;
  std::unique_ptr<api::Server> server_;
  std::unique_ptr<api::xmlrpc::Server> xmlrpc_;  // None: it is not configured.
  Instant prune_at_ = Instant::min();
  Instant trim_at_ = kNever;
  Instant trim_again_at_ = Instant::min();
  std::uint64_t recorded_ = 0;  // When trim_at_ was set.
  bool turn_posted_ = false;
  bool settle_armed_ = false;
  bool handing_over_ = false;  // To the program that is executed anew: the services run on.
  bool stopping_ = false;
};

}  // namespace recover::apps
