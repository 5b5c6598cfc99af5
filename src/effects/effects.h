// What effectors have in common, whatever they act on: what they work with, how they report, how
// long they may take. Acts on nothing itself.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include <recover/time.h>

#include "core/command.h"
#include "core/policy.h"
#include "core/vocabulary.h"
#include "ports/effector.h"

namespace boost::asio {
class io_context;
class thread_pool;
}  // namespace boost::asio

namespace recover::effects {

// What effectors work with; loop and pool outlive them.
struct Tools {
  boost::asio::io_context& loop;
  boost::asio::thread_pool& pool;  // For what blocks.
  std::function<Instant()> now;    // The engine's clock: deadlines are on it.
};

// Effectors by what they perform.
using Effectors = std::map<core::ActionKind, std::unique_ptr<ports::Effector>>;

struct Outcome {
  core::CommandOutcome outcome = core::CommandOutcome::Done;
  std::string detail = {};
};
inline Outcome refused(std::string why) {
  return {core::CommandOutcome::Refused, std::move(why)};
}
inline Outcome failed(std::string why) {
  return {core::CommandOutcome::Failed, std::move(why)};
}
inline Outcome in_doubt(std::string why) {
  return {core::CommandOutcome::Unknown, std::move(why)};
}
// Of a command that is not simply run again when a crash left it in doubt.
inline Outcome settled() {
  return in_doubt("it may have run before the crash");
}

core::CommandFinished finished(core::CommandId command, Outcome outcome);
// Reports through the loop, never from within perform().
void report(const Tools& tools, const ports::Done& done, core::CommandId command, Outcome outcome);

// The time left, at most kLongest. Zero when the deadline has passed.
inline constexpr Duration kLongest = std::chrono::hours{24};
Duration time_left(const core::Command& command, const Tools& tools);

// "<recovery>/<part>/<index>": the same for every attempt of one step, so that the other side can
// tell a repetition.
std::string idempotency_key(const core::Command& command);

}  // namespace recover::effects
