// One history as it runs: recoverd with its real core and loop, the world, people and time.
//
// Owns everything of it and decides in which order things happen; what they do is World's, Tape's
// and People's. Trouble is in trouble.cc.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/loop.h"
#include "runtime/replay.h"
#include "sim/agenda.h"
#include "sim/checker.h"
#include "sim/dice.h"
#include "sim/history.h"
#include "sim/log.h"
#include "sim/people.h"
#include "sim/tape.h"
#include "sim/world.h"

namespace recover::sim {

class Run {
 public:
  // `scenario` outlives it. `json`: with the journal's real JSON.
  Run(const Scenario& scenario, std::size_t trace_lines, bool json);
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  // Once.
  HistoryResult run();

 private:
  void post(core::Event&& event) {
    if (loop_) loop_->post(std::move(event));
  }
  void begin_engine();
  void end_engine();
  void pump();
  void tend_journal();
  void mend_journal();
  void happen(const Planned& planned);
  void trouble();
  void trouble(Fault fault);
  void storm();
  void crash_engine();
  void reload();
  void jump();
  void make_peace();
  void tell_what_waits();
  bool is_quiet() const;
  HistoryResult result() const;
  std::string policy_text() const {
    return runtime::encode(
        runtime::PolicyText{.sources = {}, .boot_id = {}, .offset_ns = version_});
  }
  core::ServiceIndex any_service() {
    return {dice_.roll(static_cast<std::uint32_t>(policy_.services.size()))};
  }
  runtime::Stamp stamp() const;

  const Scenario& scenario_;
  core::Policy policy_;  // In force, in the journal as in the engine.
  std::vector<core::Policy> versions_;
  Agenda agenda_;
  Dice dice_;
  Dice wall_dice_;
  Checker checker_;
  Log log_;
  Tape tape_;
  World world_;
  People people_;
  std::unique_ptr<runtime::Loop> loop_;  // None: recoverd is away.
  Instant now_ = Instant{} + core::seconds{1};
  Instant timer_ = kNever;
  std::int64_t wall_offset_ = 0;
  bool woken_ = false;
  bool degraded_ = false;
  std::optional<std::uint64_t> live_hash_;  // Of the state that must be read back.
  std::int64_t version_ = 0;                // Position in versions_.
  std::uint64_t events_ = 0;
  std::uint64_t turns_ = 0;
  Instant peace_until_ = kNever;
  int quiet_ = 0;
  bool over_ = false;
};

}  // namespace recover::sim
