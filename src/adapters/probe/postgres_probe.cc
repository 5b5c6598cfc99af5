// PostgreSQL: the probe's query, then replication lag and lock waits where they are watched.
// The connection is kept between looks and made anew when it is lost.
#include <charconv>
#include <chrono>
#include <memory>
#include <utility>
#include <vector>

#include "adapters/probe/runners.h"
#include "clients/postgres_session.h"

namespace recover::adapters::probe {
namespace {

using clients::PostgresAnswer;
using clients::PostgresError;
using clients::PostgresSession;
using core::FailureClass;
using core::Symptom;

constexpr std::string_view kLagQuery =
    "SELECT coalesce((CASE WHEN pg_is_in_recovery() THEN"
    " CASE WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0"
    " ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) END"
    " ELSE (SELECT max(extract(epoch FROM replay_lag)) FROM pg_stat_replication) END) * 1000,"
    " 0)::bigint";

// The longest wait for a lock: waiter, milliseconds, who keeps it waiting. From 14 on the server
// says when a wait began; before, when the waiting query did.
std::string wait_query(int server_version) {
  const std::string since =
      server_version >= 140000 ? "coalesce(l.waitstart, clock_timestamp())" : "a.query_start";
  return "SELECT a.pid, (extract(epoch FROM clock_timestamp() - min(" + since +
         ")) * 1000)::bigint, (pg_blocking_pids(a.pid))[1]"
         " FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid WHERE NOT l.granted"
         " AND cardinality(pg_blocking_pids(a.pid)) > 0"
         " GROUP BY a.pid ORDER BY 2 DESC LIMIT 1";
}

std::chrono::milliseconds ms_of(const std::string& text) {
  std::int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return std::chrono::milliseconds(value);
}

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

// libpq gives no code for a refused connection: the words are all there is.
Finding of_connect(const PostgresError& error) {
  const std::string& text = error.message;
  const auto find = [&](Symptom symptom, FailureClass failure) {
    return failed(symptom, failure, text);
  };
  if (has(text, "malformed") || has(text, "Too many open files") || has(text, "out of memory") ||
      has(text, "cannot be watched")) {
    return not_done(text);
  }
  if (has(text, "authentication failed") || has(text, "no password supplied") ||
      (has(text, "role") && has(text, "does not exist"))) {
    return find(Symptom::AuthenticationFailed, FailureClass::Authentication);
  }
  if (has(text, "permission denied") || has(text, "no pg_hba.conf entry")) {
    return find(Symptom::PermissionDenied, FailureClass::Permission);
  }
  if (has(text, "starting up") || has(text, "shutting down") || has(text, "recovery mode")) {
    return find(Symptom::ServiceUnresponsive, FailureClass::SystemUnavailable);
  }
  if (has(text, "too many clients") || has(text, "connection slots")) {
    return find(Symptom::ProbeFailed, FailureClass::ResourceExhaustion);
  }
  if (has(text, "timeout") || has(text, "timed out")) return silent(text);
  return find(Symptom::ConnectionRefused, FailureClass::Connection);
}

Finding of_query(const PostgresError& error) {
  const std::string_view state = error.sqlstate;
  const auto find = [&](Symptom symptom, FailureClass failure) {
    return failed(symptom, failure, error.message);
  };
  if (state == "42501") return find(Symptom::PermissionDenied, FailureClass::Permission);
  if (state.starts_with("28")) {
    return find(Symptom::AuthenticationFailed, FailureClass::Authentication);
  }
  if (state.starts_with("53")) return find(Symptom::ProbeFailed, FailureClass::ResourceExhaustion);
  if (state.starts_with("XX")) return find(Symptom::DataCorruption, FailureClass::DataIntegrity);
  if (state == "57014") return silent(error.message);
  if (error.lost) return find(Symptom::ConnectionRefused, FailureClass::Connection);
  return wrong(error.message);
}

class PostgresRunner final : public ProbeRunner {
 public:
  PostgresRunner(core::PostgresProbe probe, const Tools& tools)
      : probe_(std::move(probe)), tools_(tools) {}
  ~PostgresRunner() override { forget(); }

  void run(Found found) override {
    found_ = std::move(found);
    renewed_ = session_ == nullptr;
    if (session_) return ask_query();
    connect();
  }
  Finding give_up() override {
    forget();
    return silent("PostgreSQL: no answer in time");
  }

 private:
  // The session calls back only while we hold it: forget() closes it.
  void connect() {
    renewed_ = true;
    session_ = PostgresSession::make(probe_.dsn, tools_.loop, tools_.pool);
    session_->connect([this](Result<void, PostgresError> result) {
      if (!result) return finish(of_connect(result.error()), true);
      ask_query();
    });
  }

  void ask_query() {
    session_->ask(probe_.query, {}, [this](PostgresAnswer answer) {
      // A kept connection may have died of a restart that is over: once, look afresh.
      if (!answer && answer.error().lost && !renewed_) {
        session_->close();
        return connect();
      }
      if (!answer) return finish(of_query(answer.error()), answer.error().lost);
      if (!probe_.queue_depth) return ask_lag();
      Finding depth = judge_depth(answer->rows);
      if (depth.outcome != core::ProbeOutcome::Passed) return finish(std::move(depth), false);
      queue_depth_ = depth.queue_depth;
      ask_lag();
    });
  }
  Finding judge_depth(const std::vector<std::vector<std::string>>& rows) const {
    double depth = 0;
    const std::string text = rows.empty() || rows.front().empty() ? "" : rows.front().front();
    const char* end = text.data() + text.size();
    const auto read = std::from_chars(text.data(), end, depth);
    if (read.ec != std::errc() || read.ptr != end) {
      return wrong("the query returned no number, so there is no queue depth");
    }
    Finding finding = passed();
    if (depth > static_cast<double>(*probe_.queue_depth)) {
      finding = failed(Symptom::QueueBacklog, FailureClass::ResourceExhaustion,
                       "the queue holds " + text + ", at most " +
                           std::to_string(*probe_.queue_depth) + " wanted");
    }
    finding.queue_depth = depth;
    return finding;
  }
  void ask_lag() {
    if (!probe_.max_replication_lag) return ask_waits();
    session_->ask(std::string(kLagQuery), {}, [this](PostgresAnswer answer) {
      if (!answer) return finish(of_query(answer.error()), answer.error().lost);
      const auto lag =
          answer->rows.empty() ? std::chrono::milliseconds(0) : ms_of(answer->rows.front()[0]);
      if (lag <= *probe_.max_replication_lag) return ask_waits();
      finish(failed(Symptom::ReplicationLag, FailureClass::DataInconsistency,
                    "replication is " + std::to_string(lag.count()) + " ms behind"),
             false);
    });
  }
  void ask_waits() {
    if (!probe_.max_lock_wait) return finish(passed(), false);
    session_->ask(wait_query(session_->server_version()), {}, [this](PostgresAnswer answer) {
      if (!answer) return finish(of_query(answer.error()), answer.error().lost);
      if (answer->rows.empty() || ms_of(answer->rows.front()[1]) <= *probe_.max_lock_wait) {
        return finish(passed(), false);
      }
      const std::vector<std::string>& wait = answer->rows.front();
      finish(
          failed(Symptom::LockContention, FailureClass::Timeout,
                 "pid " + wait[0] + " has waited " + wait[1] + " ms for a lock of pid " + wait[2]),
          false);
    });
  }

  void finish(Finding finding, bool lost) {
    const Found done = std::exchange(found_, nullptr);
    if (!finding.queue_depth) finding.queue_depth = std::exchange(queue_depth_, std::nullopt);
    if (lost) forget();
    if (done) done(std::move(finding));
  }
  void forget() {
    found_ = nullptr;
    if (session_) session_->close();
    session_.reset();
  }

  const core::PostgresProbe probe_;
  Tools tools_;
  std::shared_ptr<PostgresSession> session_;
  Found found_;
  bool renewed_ = false;
  std::optional<double> queue_depth_;
};

}  // namespace

std::unique_ptr<ProbeRunner> make_postgres(const core::PostgresProbe& probe, const Tools& tools) {
  return std::make_unique<PostgresRunner>(probe, tools);
}

}  // namespace recover::adapters::probe
