// What goes wrong in a history, beside what the world and the journal do on their own.
#include <array>

#include "sim/run.h"

namespace recover::sim {
namespace {

using core::seconds;

}  // namespace

void Run::trouble() {
  // Those that let something else become interesting come more often.
  constexpr std::array kKinds = {
      Fault::Crash,       Fault::Crash,       Fault::Crash,       Fault::Hang,
      Fault::Slow,        Fault::BadConfig,   Fault::BadConfig,   Fault::DiskFull,
      Fault::Storm,       Fault::Storm,       Fault::Probes,      Fault::Probes,
      Fault::EngineCrash, Fault::EngineCrash, Fault::EngineCrash, Fault::JournalFull,
      Fault::FsyncError,  Fault::WallClock,   Fault::Operators,   Fault::Operators,
      Fault::Operators,   Fault::Operators,   Fault::Patterns,    Fault::Patterns,
      Fault::Reload};
  const Fault fault = kKinds[dice_.roll(kKinds.size())];
  if (!scenario_.has(fault) || world_.at_peace()) return;
  checker_.note(now_, "trouble: " + std::string(to_string(fault)));
  trouble(fault);
}

void Run::storm() {
  // The machine's, or the network's, which ends by itself.
  const Duration outage = dice_.pause(seconds{30}, seconds{70});
  const bool network = dice_.percent(60);
  for (std::uint32_t service = 0; service < policy_.services.size(); ++service) {
    if (!dice_.percent(80)) continue;
    if (network) {
      world_.cut_off(service, outage);
    } else {
      world_.crash(service);
    }
  }
}

void Run::crash_engine() {
  if (!loop_) return;
  const std::uint32_t how = dice_.roll(4);
  if (how == 0) {
    live_hash_ = loop_->engine().state_hash();
    return end_engine();
  }
  world_.cut_after(how == 1 ? 0 : dice_.roll(3));
  tape_.cut_next(how == 1 ? Tape::Cut::Torn : Tape::Cut::Written);
}

void Run::reload() {
  if (!loop_) return;
  version_ = static_cast<std::int64_t>(versions_.size());
  versions_.push_back(reloaded(versions_.front(), scenario_, static_cast<std::uint32_t>(version_)));
  pump();
  if (!loop_) {
    // It ended over what waited before.
    return;
  }
  if (tape_.armed_to_tear()) live_hash_ = loop_->engine().state_hash();
  if (checker_.books().in_effect() > 0) checker_.goals().reach(Goal::PolicyReloaded);
  policy_ = versions_.back();
  loop_->replace_policy(policy_, policy_text());
  if (tape_.dead()) {
    if (!tape_.torn()) live_hash_ = loop_->engine().state_hash();
    return end_engine();
  }
  tend_journal();
}

// With chance of its own, so that a history without jumps is the same in all else.
void Run::jump() {
  const bool back = wall_dice_.percent(50);
  const std::int64_t by = wall_dice_.pause(seconds{1}, core::hours{30}).count();
  wall_offset_ += back ? -by : by;
  if (back) checker_.goals().reach(Goal::ClockJumpedBack);
}

void Run::trouble(Fault fault) {
  if (fault == Fault::WallClock) return jump();
  const core::ServiceIndex service = any_service();
  switch (fault) {
    case Fault::Crash:
      if (dice_.percent(20)) post(core::WatchdogExpired{service, 0});
      return world_.crash(service.value);
    case Fault::Hang: return world_.hang(service.value);
    case Fault::Slow: return world_.slow(service.value);
    case Fault::BadConfig: return world_.corrupt(service.value);
    case Fault::DiskFull: return world_.fill_disk();
    case Fault::Storm: return storm();
    case Fault::Probes: return world_.flap(service.value, dice_.pause(seconds{10}, seconds{60}));
    case Fault::Effects:
    case Fault::Results: return;  // Rolled for each command.
    case Fault::EngineCrash: return crash_engine();
    case Fault::JournalFull: return tape_.fill();
    case Fault::FsyncError:
      tape_.break_fsync();
      return agenda_.add(now_ + dice_.pause(seconds{5}, seconds{60}), Happening::JournalBack);
    case Fault::WallClock: return jump();
    case Fault::Operators: return people_.act(now_);
    case Fault::Patterns:
      return post(
          core::PatternSeen{{dice_.roll(static_cast<std::uint32_t>(policy_.patterns.size()))},
                            dice_.percent(85) ? std::optional(service) : std::nullopt,
                            "error: out of something"});
    case Fault::Reload: return reload();
  }
}

}  // namespace recover::sim
