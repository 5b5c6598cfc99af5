#include "adapters/database/pool_effector.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>

#include <algorithm>
#include <exception>
#include <utility>

namespace recover::adapters::database {

namespace asio = boost::asio;

namespace {
constexpr Duration kLongest = std::chrono::hours{1};
}

base::Secret dsn_for(const base::Secret& dsn, const core::Command& command,
                     const core::Policy& policy) {
  if (!dsn.empty()) return dsn;
  for (const core::ProbePolicy& probe : policy.service(command.service).probes) {
    if (const auto* found = std::get_if<core::PostgresProbe>(&probe.spec)) return found->dsn;
  }
  return {};
}

Outcome outcome_of(const SqlError& error) {
  return {error.in_doubt ? core::CommandOutcome::Unknown : core::CommandOutcome::Failed,
          error.sqlstate.empty() ? error.message : error.message + " (" + error.sqlstate + ")"};
}

void PoolEffector::perform(const core::Command& command, const core::Policy& policy,
                           ports::Done done) {
  const core::CommandId id = command.id;
  Result<Work, Outcome> work = prepare(command, policy);
  if (!work) {
    asio::post(tools_.loop, [id, done = std::move(done), why = std::move(work).error()] {
      done({.command = id, .outcome = why.outcome, .detail = why.detail, .checkpoint = {}});
    });
    return;
  }
  const auto stop = std::make_shared<Stop>();
  running_.emplace(id, stop);
  const Duration left = command.deadline == kNever ? kLongest
                                                   : std::clamp(command.deadline - tools_.now(),
                                                                Duration::zero(), kLongest);
  const auto deadline = std::chrono::steady_clock::now() + left;
  auto guard = asio::make_work_guard(tools_.loop);
  asio::post(tools_.pool, [this, alive = std::weak_ptr<int>(alive_), &loop = tools_.loop, id, stop,
                           deadline, job = *std::move(work), done = std::move(done),
                           guard = std::move(guard)] {
    Outcome outcome;
    try {
      outcome = job(deadline, *stop);
    } catch (const std::exception& error) {
      outcome = {core::CommandOutcome::Unknown, error.what()};
    }
    asio::post(loop, [this, alive, id, done, outcome = std::move(outcome)] {
      if (!alive.expired()) running_.erase(id);
      done({.command = id, .outcome = outcome.outcome, .detail = outcome.detail, .checkpoint = {}});
    });
  });
}

void PoolEffector::cancel(core::CommandId command) {
  const auto found = running_.find(command);
  if (found != running_.end()) found->second->request();
}

std::map<core::ActionKind, std::unique_ptr<ports::Effector>> make_effectors(const Tools& tools) {
  std::map<core::ActionKind, std::unique_ptr<ports::Effector>> all;
  all.emplace(core::ActionKind::Sql, make_sql(tools));
  all.emplace(core::ActionKind::KillLongQueries, make_kill_long_queries(tools));
  return all;
}

}  // namespace recover::adapters::database
