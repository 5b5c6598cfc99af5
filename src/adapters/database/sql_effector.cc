// Runs a statement. Sent, and no answer: Unknown, as the server may have carried it out.
#include <algorithm>
#include <utility>

#include "adapters/database/conversation.h"

namespace recover::adapters::database {
namespace {

using clients::PostgresAnswer;
using clients::PostgresReply;
using effects::Outcome;

constexpr std::size_t kDetailMax = 4096;

std::string text_of(const PostgresReply& answer) {
  std::string text = answer.tag;
  for (const std::vector<std::string>& row : answer.rows) {
    text += '\n';
    for (const std::string& cell : row) text += (&cell == &row.front() ? "" : " | ") + cell;
    if (text.size() > kDetailMax) break;
  }
  text.resize(std::min(text.size(), kDetailMax));
  return text;
}

class SqlConversation final : public Conversation {
 public:
  SqlConversation(const Tools& tools, std::string statement)
      : Conversation(tools), statement_(std::move(statement)) {}

 private:
  void begin() override {
    change(statement_, {}, [this](const PostgresAnswer& answer) {
      if (!answer) return end(outcome_of(answer.error(), true));
      end({.detail = text_of(*answer)});
    });
  }

  std::string statement_;
};

class SqlEffector final : public ConversationEffector {
 public:
  using ConversationEffector::ConversationEffector;

 private:
  Result<Plan, Outcome> prepare(const core::Command& command,
                                const core::Policy& policy) const override {
    const auto* action = std::get_if<core::SqlAction>(&core::arguments_of(command, policy));
    if (action == nullptr || action->statement.empty()) {
      return Unexpected(effects::refused("no statement to run"));
    }
    return Plan{.dsn = action->dsn,
                .conversation = std::make_unique<SqlConversation>(tools(), action->statement)};
  }
};

}  // namespace

std::unique_ptr<ports::Effector> make_sql(const Tools& tools) {
  return std::make_unique<SqlEffector>(tools);
}

}  // namespace recover::adapters::database
