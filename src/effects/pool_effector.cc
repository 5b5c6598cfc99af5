#include "effects/pool_effector.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>

#include <chrono>
#include <exception>
#include <utility>

namespace recover::effects {

namespace asio = boost::asio;

void PoolEffector::perform(const core::Command& command, const core::Policy& policy,
                           ports::Done done) {
  const core::CommandId id = command.id;
  Result<Work, Outcome> work = prepare(command, policy);
  if (!work) return report(tools_, done, id, std::move(work).error());
  const auto cancelled = std::make_shared<std::atomic<bool>>(false);
  running_.emplace(id, cancelled);
  const auto deadline = std::chrono::steady_clock::now() + time_left(command, tools_);
  auto guard = asio::make_work_guard(tools_.loop);
  asio::post(tools_.pool, [this, alive = std::weak_ptr<int>(alive_), &loop = tools_.loop, id,
                           cancelled, deadline, job = *std::move(work), done = std::move(done),
                           guard = std::move(guard)] {
    Outcome outcome;
    try {
      outcome =
          job([&] { return cancelled->load() || std::chrono::steady_clock::now() >= deadline; });
    } catch (const std::exception& error) {
      outcome = in_doubt(error.what());
    }
    asio::post(loop, [this, alive, id, done, outcome = std::move(outcome)]() mutable {
      if (!alive.expired()) running_.erase(id);
      done(finished(id, std::move(outcome)));
    });
  });
}

void PoolEffector::cancel(core::CommandId command) {
  const auto found = running_.find(command);
  if (found != running_.end()) *found->second = true;
}

}  // namespace recover::effects
