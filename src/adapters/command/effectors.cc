#include "adapters/command/effectors.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <utility>

namespace recover::adapters::command {
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

std::map<core::ActionKind, std::unique_ptr<ports::Effector>> make_effectors(const Tools& tools) {
  std::map<core::ActionKind, std::unique_ptr<ports::Effector>> all;
  all.emplace(core::ActionKind::Exec, make_exec(tools));
  all.emplace(core::ActionKind::Http, make_http(tools));
  all.emplace(core::ActionKind::Notify, make_notify(tools));
  return all;
}

std::string idempotency_key(const core::Command& command) {
  return std::to_string(command.recovery.value) + "/" + std::string(name_of(command.part)) + "/" +
         std::to_string(command.index);
}

Duration time_left(const core::Command& command, Instant now) {
  if (command.deadline == kNever) return kLongest;
  return std::clamp(command.deadline - now, Duration::zero(), kLongest);
}

void report(boost::asio::io_context& loop, ports::Done done, core::CommandFinished finished) {
  boost::asio::post(loop, [done = std::move(done), finished = std::move(finished)]() mutable {
    done(std::move(finished));
  });
}

}  // namespace recover::adapters::command
