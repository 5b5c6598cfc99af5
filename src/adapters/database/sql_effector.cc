// Runs a statement. Sent, and no answer: Unknown, as the server may have carried it out.
#include <utility>

#include "adapters/database/pool_effector.h"

namespace recover::adapters::database {
namespace {

using core::CommandOutcome;

constexpr std::size_t kDetailMax = 4096;

std::string text_of(const SqlAnswer& answer) {
  std::string text = answer.tag;
  for (const std::vector<std::string>& row : answer.rows) {
    text += '\n';
    for (const std::string& cell : row) text += (&cell == &row.front() ? "" : " | ") + cell;
    if (text.size() > kDetailMax) break;
  }
  text.resize(std::min(text.size(), kDetailMax));
  return text;
}

class SqlEffector final : public PoolEffector {
 public:
  using PoolEffector::PoolEffector;

 private:
  Result<Work, Outcome> prepare(const core::Command& command,
                                const core::Policy& policy) const override {
    const auto* action = std::get_if<core::SqlAction>(&core::arguments_of(command, policy));
    if (action == nullptr || action->statement.empty()) {
      return Unexpected(Outcome{CommandOutcome::Refused, "no statement to run"});
    }
    const base::Secret dsn = dsn_for(action->dsn, command, policy);
    if (dsn.empty()) return Unexpected(Outcome{CommandOutcome::Refused, "no dsn"});
    if (command.settle) {
      return Unexpected(Outcome{CommandOutcome::Unknown, "it may have run before the crash"});
    }
    return Work([dsn, statement = action->statement](Session::Deadline deadline,
                                                     const Stop& stop) -> Outcome {
      Result<Session, SqlError> session = Session::open(dsn, deadline, stop);
      if (!session) return outcome_of(session.error());
      const Result<SqlAnswer, SqlError> answer = session->run(statement);
      if (!answer) return outcome_of(answer.error());
      return {CommandOutcome::Done, text_of(*answer)};
    });
  }
};

}  // namespace

std::unique_ptr<ports::Effector> make_sql(const Tools& tools) {
  return std::make_unique<SqlEffector>(tools);
}

}  // namespace recover::adapters::database
