// Sends one command to a Redis server. Sent, and no answer: Unknown, as it may have been done.
#include <algorithm>
#include <utility>

#include "adapters/command/effectors.h"
#include "base/redact.h"
#include "clients/redis_exchange.h"

namespace recover::adapters::command {
namespace {

using clients::RedisAnswer;
using clients::RedisExchange;
using clients::RedisReply;
using core::CommandOutcome;
using effects::Outcome;

constexpr std::size_t kReplyMax = 4096;  // Bytes of it told.

Outcome outcome_of(const RedisReply& reply) {
  switch (reply.kind) {
    case RedisReply::Kind::Text:
    case RedisReply::Kind::List: return {.detail = reply.text.substr(0, kReplyMax)};
    case RedisReply::Kind::Integer: return {.detail = std::to_string(reply.integer)};
    case RedisReply::Kind::Null: return {.detail = "nil"};
    case RedisReply::Kind::Error: return effects::failed(reply.text);
    case RedisReply::Kind::Malformed: break;
  }
  return effects::in_doubt("the answer is no Redis");
}

Outcome outcome_of(const RedisAnswer& answer) {
  if (!answer.replies.empty()) return outcome_of(answer.replies.front());
  return answer.sent ? effects::in_doubt(answer.error) : effects::failed(answer.error);
}

class RedisEffector final : public ports::Effector {
 public:
  explicit RedisEffector(Tools tools) : tools_(std::move(tools)) {}

  void perform(const core::Command& command, const core::Policy& policy,
               ports::Done done) override {
    const core::CommandId id = command.id;
    const auto* action = std::get_if<core::RedisAction>(&core::arguments_of(command, policy));
    if (action == nullptr || action->command.empty()) {
      return effects::report(tools_, done, id, effects::refused("no command to send"));
    }
    if (command.settle) return effects::report(tools_, done, id, effects::settled());
    clients::RedisRequest request{.host = action->host,
                                  .port = action->port,
                                  .socket = action->socket,
                                  .password = action->password,
                                  .words = {action->command},
                                  .limit = effects::time_left(command, tools_)};
    const std::string where = request.where();
    running_.emplace(
        id, RedisExchange::start(tools_.loop, std::move(request),
                                 [this, alive = std::weak_ptr<int>(alive_), id, done, where,
                                  secrets = std::vector<std::string>{action->password.reveal()}](
                                     const RedisAnswer& answer) {
                                   if (!alive.expired()) running_.erase(id);
                                   Outcome outcome = outcome_of(answer);
                                   outcome.detail =
                                       base::redacted(where + ": " + outcome.detail, secrets);
                                   done(effects::finished(id, std::move(outcome)));
                                 }));
  }
  void cancel(core::CommandId command) override {
    const auto found = running_.find(command);
    if (found != running_.end()) found->second->cancel();
  }

 private:
  Tools tools_;
  std::map<core::CommandId, std::shared_ptr<RedisExchange>> running_;
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace

std::unique_ptr<ports::Effector> make_redis(const Tools& tools) {
  return std::make_unique<RedisEffector>(tools);
}

}  // namespace recover::adapters::command
