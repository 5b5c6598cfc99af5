#include "adapters/database/conversation.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <cstdint>
#include <utility>

namespace recover::adapters::database {

using clients::PostgresAnswer;
using clients::PostgresError;
using clients::PostgresSession;
using effects::Outcome;

Outcome outcome_of(const PostgresError& error, bool sent) {
  std::string text =
      error.sqlstate.empty() ? error.message : error.message + " (" + error.sqlstate + ")";
  return sent && error.lost ? effects::in_doubt(std::move(text)) : effects::failed(std::move(text));
}

Conversation::Conversation(const Tools& tools) : tools_(tools), limit_(tools.loop) {}

Conversation::~Conversation() {
  if (session_) session_->close();
}

void Conversation::start(const base::Secret& dsn, Duration limit,
                         std::function<void(Outcome)> done) {
  done_ = std::move(done);
  limit_.expires_after(limit);
  limit_.async_wait([this](const boost::system::error_code& error) {
    if (!error) give_up("no answer in time");
  });
  session_ = PostgresSession::make(dsn, tools_.loop, tools_.pool);
  session_->connect([this, limit](Result<void, PostgresError> opened) {
    if (!opened) return end(outcome_of(opened.error(), false));
    connected(limit);
  });
}

void Conversation::connected(Duration limit) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(limit).count();
  std::string settings = "SET statement_timeout = " +
                         std::to_string(std::clamp<std::int64_t>(left, 1, std::int64_t{1} << 30));
  if (session_->server_version() >= 140000) {
    settings += "; SET client_connection_check_interval = '1s'";
  }
  look(settings, {}, [this](const clients::PostgresReply&) { begin(); });
}

void Conversation::look(const std::string& sql, const std::vector<std::string>& parameters,
                        const Then& then) {
  session_->ask(sql, parameters, [this, then](const PostgresAnswer& answer) {
    if (!answer) return end(outcome_of(answer.error(), false));
    then(*answer);
  });
}

void Conversation::change(const std::string& sql, const std::vector<std::string>& parameters,
                          std::function<void(PostgresAnswer)> then) {
  changing_ = true;
  session_->ask(sql, parameters, [this, then = std::move(then)](PostgresAnswer answer) {
    changing_ = false;
    if (!answer && answer.error().lost) return end(outcome_of(answer.error(), true));
    then(std::move(answer));
  });
}

void Conversation::give_up(std::string why) {
  end(changing_ ? effects::in_doubt(std::move(why)) : effects::failed(std::move(why)));
}

void Conversation::end(Outcome outcome) {
  const auto done = std::exchange(done_, nullptr);
  if (!done) return;
  limit_.cancel();
  session_->close();
  // Through the loop: whoever hears of it may destroy us.
  boost::asio::post(tools_.loop, [done, outcome = std::move(outcome)] { done(outcome); });
}

void ConversationEffector::perform(const core::Command& command, const core::Policy& policy,
                                   ports::Done done) {
  const core::CommandId id = command.id;
  Result<Plan, Outcome> plan = prepare(command, policy);
  if (!plan) return effects::report(tools_, done, id, std::move(plan).error());
  base::Secret dsn = plan->dsn;
  for (const core::ProbePolicy& probe : policy.service(command.service).probes) {
    const auto* found = std::get_if<core::PostgresProbe>(&probe.spec);
    if (dsn.empty() && found != nullptr) dsn = found->dsn;
  }
  if (dsn.empty()) return effects::report(tools_, done, id, effects::refused("no dsn"));
  if (command.settle) return effects::report(tools_, done, id, effects::settled());
  Conversation& conversation = *plan->conversation;
  running_.emplace(id, std::move(plan->conversation));
  conversation.start(dsn, effects::time_left(command, tools_),
                     [this, alive = std::weak_ptr<int>(alive_), id, done](Outcome outcome) {
                       if (!alive.expired()) running_.erase(id);
                       done(effects::finished(id, std::move(outcome)));
                     });
}

void ConversationEffector::cancel(core::CommandId command) {
  const auto found = running_.find(command);
  if (found != running_.end()) found->second->cancel();
}

}  // namespace recover::adapters::database
