#include "client.h"

#include <chrono>
#include <optional>
#include <utility>

#include <recover/error.h>
#include <recover/fallback.h>

namespace flaky {

using recover::CallContext;
using recover::Result;
using recover::Unexpected;

namespace {

constexpr std::size_t kPrimary = 0;

// Connecting is tried once: what to do about a failure is for the pipeline around us to say.
recover::PoolConfig pool_of(std::size_t connections_max) {
  return {.max_size = connections_max,
          .max_wait = 50ms,
          .validate_after_idle = 0s,
          .connect_attempts = 1};
}

}  // namespace

Upstream::Upstream(std::uint16_t port, std::size_t connections_max)
    : pool_(
          pool_of(connections_max),
          [port](const CallContext& context) { return Connection::open(port, context.deadline); },
          [](const Connection& connection) { return connection.quiet(); }) {}

Result<std::string> Upstream::price_of(const std::string& item, const CallContext& context) {
  const auto get = [&item](Connection& connection, const CallContext& attempt) {
    return connection.get("/price/" + item, attempt.deadline);
  };
  return pool_.execute(get, context);
}

Client::Client(std::uint16_t primary_port, std::uint16_t replica_port)
    : primary_server_(primary_port, primary_.bulkhead.config().max_concurrent_calls),
      replica_server_(replica_port, 2) {}

Result<Answer> Client::ask(const std::string& item, const std::stop_token& stop) {
  const auto route = [&](std::size_t target, const CallContext& context) {
    return target == kPrimary ? ask_primary(item, context) : ask_replica(item, context);
  };
  const auto live = [&]() -> Result<Answer> {
    Result<Answer> answer = failover_.execute(route, stop);
    if (answer && answer->source == Source::Fresh) last_good_.store(item, *answer);
    return answer;
  };
  return recover::with_fallback(live,
                                recover::fallback::use_call<Answer>([&] { return recall(item); }));
}

Result<Answer> Client::ask_primary(const std::string& item, const CallContext& context) {
  const auto attempt = [&](const CallContext& each) {
    return primary_server_.price_of(item, each);
  };
  return primary_.pipeline.execute(attempt, context).transform([](std::string text) {
    return Answer{std::move(text), Source::Fresh};
  });
}

Result<Answer> Client::ask_replica(const std::string& item, const CallContext& context) {
  const auto attempt = [&](const CallContext& each) {
    return replica_server_.price_of(item, each);
  };
  return replica_.pipeline.execute(attempt, context).transform([](std::string text) {
    return Answer{std::move(text), Source::Replica};
  });
}

Result<Answer> Client::recall(const std::string& item) {
  std::optional<recover::cache::Lookup<Answer>> known = last_good_.find(item);
  if (!known) {
    return Unexpected(
        recover::Error(recover::ErrorKind::OperationFailed, {}, "never answered yet"));
  }
  return Answer{known->value.text + ", remembered", Source::Cache};
}

}  // namespace flaky
