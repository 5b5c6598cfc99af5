// Ends sessions of the dsn's database that last too long, or that keep others waiting for a lock.
//
// Never: our own session, anything but client backends (so no replication, no autovacuum), sessions
// that themselves wait for a lock (they are the victims), nor a superuser's maintenance that blocks
// nobody. A session is ended only if it is still in the very transaction that was found.
#include <algorithm>
#include <utility>

#include "adapters/database/pool_effector.h"

namespace recover::adapters::database {
namespace {

using core::CommandOutcome;

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

struct Ended {
  std::uint32_t count = 0;
  std::string names;
  std::string errors;
};

// Ends the sessions of the rows that are still what they were; an error in doubt ends it all.
Result<Ended, SqlError> end_each(Session& session, const SqlAnswer& found) {
  Ended ended;
  for (const std::vector<std::string>& row : found.rows) {
    const auto answer = session.run(std::string(kEnd), {row[0], row[3], row[4]});
    if (!answer && answer.error().in_doubt) return Unexpected(answer.error());
    if (!answer) {
      ended.errors = "; pid " + row[0] + ": " + answer.error().message;
      continue;
    }
    if (answer->rows.empty() || answer->rows[0][0] != "t") continue;  // Ended by itself.
    ++ended.count;
    ended.names +=
        (ended.names.empty() ? "pid " : ", pid ") + row[0] + " (" + row[1] + " " + row[2] + " s)";
  }
  return ended;
}

Outcome end_sessions(const base::Secret& dsn, const core::KillLongQueriesAction& action,
                     Session::Deadline deadline, const Stop& stop) {
  Result<Session, SqlError> session = Session::open(dsn, deadline, stop);
  if (!session) return outcome_of(session.error());
  const auto longer =
      std::chrono::duration_cast<std::chrono::milliseconds>(action.longer_than).count();
  const Result<SqlAnswer, SqlError> found = session->run(
      std::string(kFind), {std::to_string(longer), action.blockers_only ? "true" : "false",
                           std::to_string(action.max)});
  // Looking changes nothing, however it ended.
  if (!found) return {CommandOutcome::Failed, outcome_of(found.error()).detail};
  if (found->rows.empty()) return {CommandOutcome::Refused, "nothing to end"};
  const auto ended = end_each(*session, *found);
  if (!ended) return outcome_of(ended.error());
  if (ended->count == 0 && !ended->errors.empty()) {
    return {CommandOutcome::Failed, "ended none" + ended->errors};
  }
  if (ended->count == 0) return {CommandOutcome::Refused, "nothing left to end"};
  return {CommandOutcome::Done, "ended " + std::to_string(ended->count) +
                                    (ended->count == 1 ? " session: " : " sessions: ") +
                                    ended->names + ended->errors};
}

class KillLongQueriesEffector final : public PoolEffector {
 public:
  using PoolEffector::PoolEffector;

 private:
  Result<Work, Outcome> prepare(const core::Command& command,
                                const core::Policy& policy) const override {
    const auto* action =
        std::get_if<core::KillLongQueriesAction>(&core::arguments_of(command, policy));
    if (action == nullptr) return Unexpected(Outcome{CommandOutcome::Refused, "no arguments"});
    const base::Secret dsn = dsn_for(action->dsn, command, policy);
    if (dsn.empty()) return Unexpected(Outcome{CommandOutcome::Refused, "no dsn"});
    if (command.settle) {
      return Unexpected(Outcome{CommandOutcome::Unknown, "it may have run before the crash"});
    }
    return Work([dsn, arguments = *action](Session::Deadline deadline, const Stop& stop) {
      return end_sessions(dsn, arguments, deadline, stop);
    });
  }
};

}  // namespace

std::unique_ptr<ports::Effector> make_kill_long_queries(const Tools& tools) {
  return std::make_unique<KillLongQueriesEffector>(tools);
}

}  // namespace recover::adapters::database
