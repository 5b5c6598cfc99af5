// Effectors that run something outside: a program, an HTTP request, a notification.
// The table: one line an action, one file an action.
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
}

namespace recover::adapters::command {

// What effectors work with; the loop outlives them.
struct Tools {
  boost::asio::io_context& loop;
  std::function<Instant()> now;  // The engine's clock: deadlines are on it.
};

std::unique_ptr<ports::Effector> make_exec(const Tools& tools);
std::unique_ptr<ports::Effector> make_http(const Tools& tools);
std::unique_ptr<ports::Effector> make_notify(const Tools& tools);

// All of them, by what they perform.
std::map<core::ActionKind, std::unique_ptr<ports::Effector>> make_effectors(const Tools& tools);

// "<recovery>/<part>/<index>": the same for every attempt of one step, so that the other side can
// tell a repetition.
std::string idempotency_key(const core::Command& command);

// The time left, at most kLongest. Zero when the deadline has passed.
inline constexpr Duration kLongest = std::chrono::hours{24};
Duration time_left(const core::Command& command, Instant now);

// Reports through the loop, never from within perform().
void report(boost::asio::io_context& loop, ports::Done done, core::CommandFinished finished);

}  // namespace recover::adapters::command
