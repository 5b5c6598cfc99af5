// Ends sessions of the dsn's database that last too long, or that keep others waiting for a lock.
//
// Never: our own session, anything but client backends (so no replication, no autovacuum), sessions
// that themselves wait for a lock (they are the victims), nor a superuser's maintenance that blocks
// nobody. A session is ended only if it is still in the very transaction that was found.
#include <algorithm>
#include <utility>

#include "adapters/database/conversation.h"

namespace recover::adapters::database {
namespace {

using clients::PostgresAnswer;
using clients::PostgresReply;
using effects::Outcome;

// $1: milliseconds; $2: blockers only; $3: how many.
constexpr std::string_view kFind = R"(
WITH blockers AS (
  SELECT DISTINCT unnest(pg_blocking_pids(w.pid)) AS pid
  FROM pg_stat_activity w WHERE w.wait_event_type = 'Lock'
), sessions AS (
  SELECT a.pid, a.state, a.backend_start::text AS started, a.xact_start::text AS began,
         extract(epoch FROM clock_timestamp() -
                 CASE WHEN a.state = 'active' AND NOT $2::boolean THEN a.query_start
                      ELSE a.xact_start END) AS age,
         EXISTS (SELECT 1 FROM blockers b WHERE b.pid = a.pid) AS blocks,
         r.rolsuper AND a.query ~*
           '^\s*(vacuum|analyze|reindex|cluster|create|drop|alter|refresh|copy)\M' AS maintenance
  FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid
  WHERE a.datname = current_database() AND a.backend_type = 'client backend'
    AND a.pid <> pg_backend_pid() AND a.xact_start IS NOT NULL
    AND a.state IN ('active', 'idle in transaction', 'idle in transaction (aborted)')
    AND a.wait_event_type IS DISTINCT FROM 'Lock'
)
SELECT pid, state, round(age)::bigint, started, began FROM sessions
WHERE age * 1000 >= $1::bigint AND (blocks OR NOT $2::boolean) AND (blocks OR NOT maintenance)
ORDER BY blocks DESC, age DESC LIMIT $3::bigint)";

constexpr std::string_view kEnd =
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE pid = $1::int AND backend_start = $2::timestamptz AND xact_start = $3::timestamptz";

class KillConversation final : public Conversation {
 public:
  KillConversation(const Tools& tools, core::KillLongQueriesAction action)
      : Conversation(tools), action_(std::move(action)) {}

 private:
  void begin() override {
    const auto longer =
        std::chrono::duration_cast<std::chrono::milliseconds>(action_.longer_than).count();
    look(std::string(kFind),
         {std::to_string(longer), action_.blockers_only ? "true" : "false",
          std::to_string(action_.max)},
         [this](const PostgresReply& found) {
           if (found.rows.empty()) return end(effects::refused("nothing to end"));
           found_ = found.rows;
           end_next();
         });
  }

  // Those that are still what they were, one by one; an error in doubt ends it all.
  void end_next() {
    if (next_ == found_.size()) return end(verdict());
    const std::vector<std::string>& row = found_[next_++];
    change(std::string(kEnd), {row[0], row[3], row[4]}, [this, &row](const PostgresAnswer& answer) {
      if (!answer) {
        errors_ = "; pid " + row[0] + ": " + answer.error().message;
      } else if (!answer->rows.empty() && answer->rows[0][0] == "t") {  // Else ended by itself.
        ++count_;
        names_ +=
            (names_.empty() ? "pid " : ", pid ") + row[0] + " (" + row[1] + " " + row[2] + " s)";
      }
      end_next();
    });
  }
  Outcome verdict() const {
    if (count_ == 0 && !errors_.empty()) return effects::failed("ended none" + errors_);
    if (count_ == 0) return effects::refused("nothing left to end");
    return {.detail = "ended " + std::to_string(count_) +
                      (count_ == 1 ? " session: " : " sessions: ") + names_ + errors_};
  }

  const core::KillLongQueriesAction action_;
  std::vector<std::vector<std::string>> found_;
  std::size_t next_ = 0;
  std::uint32_t count_ = 0;
  std::string names_;
  std::string errors_;
};

class KillLongQueriesEffector final : public ConversationEffector {
 public:
  using ConversationEffector::ConversationEffector;

 private:
  Result<Plan, Outcome> prepare(const core::Command& command,
                                const core::Policy& policy) const override {
    const auto* action =
        std::get_if<core::KillLongQueriesAction>(&core::arguments_of(command, policy));
    if (action == nullptr) return Unexpected(effects::refused("no arguments"));
    return Plan{.dsn = action->dsn,
                .conversation = std::make_unique<KillConversation>(tools(), *action)};
  }
};

}  // namespace

std::unique_ptr<ports::Effector> make_kill_long_queries(const Tools& tools) {
  return std::make_unique<KillLongQueriesEffector>(tools);
}

}  // namespace recover::adapters::database
