#include "effects/effects.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <string_view>
#include <utility>

namespace recover::effects {
namespace {

std::string_view name_of(core::Part part) {
  switch (part) {
    case core::Part::Supervision: return "supervision";
    case core::Part::Checkpoint: return "checkpoint";
    case core::Part::Step: return "step";
    case core::Part::Undo: return "undo";
    case core::Part::Rollback: return "rollback";
  }
  return "";
}

}  // namespace

core::CommandFinished finished(core::CommandId command, Outcome outcome) {
  return {.command = command,
          .outcome = outcome.outcome,
          .detail = std::move(outcome.detail),
          .checkpoint = {}};
}

void report(const Tools& tools, const ports::Done& done, core::CommandId command, Outcome outcome) {
  boost::asio::post(tools.loop, [done, command, outcome = std::move(outcome)]() mutable {
    done(finished(command, std::move(outcome)));
  });
}

Duration time_left(const core::Command& command, const Tools& tools) {
  if (command.deadline == kNever) return kLongest;
  return std::clamp(command.deadline - tools.now(), Duration::zero(), kLongest);
}

std::string idempotency_key(const core::Command& command) {
  return std::to_string(command.recovery.value) + "/" + std::string(name_of(command.part)) + "/" +
         std::to_string(command.index);
}

}  // namespace recover::effects
