#include "adapters/database/session.h"

#include <libpq-fe.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>
#include <utility>

#include "base/redact.h"

namespace recover::adapters::database {
namespace {

constexpr std::size_t kRowsMax = 1000;
constexpr std::int64_t kPollMsMax = 100;  // Also bounds the delay of a Stop without descriptor.

using Result_ = std::unique_ptr<PGresult, void (*)(PGresult*)>;

bool is_answer(ExecStatusType status) {
  return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY;
}

std::vector<std::vector<std::string>> rows_of(const PGresult* result) {
  std::vector<std::vector<std::string>> rows;
  const int count = std::min(::PQntuples(result), static_cast<int>(kRowsMax));
  for (int row = 0; row < count; ++row) {
    std::vector<std::string>& cells = rows.emplace_back();
    for (int column = 0; column < ::PQnfields(result); ++column) {
      cells.emplace_back(::PQgetvalue(result, row, column));
    }
  }
  return rows;
}

// Of several results: the last tag, and the last rows.
void keep(SqlAnswer& answer, PGresult* result) {
  answer.tag = ::PQcmdStatus(result);
  if (::PQresultStatus(result) == PGRES_TUPLES_OK) answer.rows = rows_of(result);
}

// What is neither answer nor error is COPY, which would go on for ever: the connection is of no use
// after it.
bool is_error(ExecStatusType status) {
  return status == PGRES_FATAL_ERROR || status == PGRES_NONFATAL_ERROR;
}

std::string state_of(const PGresult* result) {
  const char* state = ::PQresultErrorField(result, PG_DIAG_SQLSTATE);
  return state != nullptr ? state : "";
}

}  // namespace

Stop::Stop() : descriptor_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
Stop::~Stop() {
  if (descriptor_ >= 0) ::close(descriptor_);
}
void Stop::request() noexcept {
  requested_ = true;
  if (descriptor_ >= 0) ::eventfd_write(descriptor_, 1);
}

void Session::Finish::operator()(pg_conn* connection) const {
  ::PQfinish(connection);
}

Session::Session(const base::Secret& dsn, Deadline deadline, const Stop& stop)
    : deadline_(deadline), stop_(&stop) {
  const std::unique_ptr<PQconninfoOption, void (*)(PQconninfoOption*)> options(
      ::PQconninfoParse(dsn.reveal().c_str(), nullptr), &::PQconninfoFree);
  if (!options) return;
  secrets_.push_back(dsn.reveal());
  for (const PQconninfoOption* option = options.get(); option->keyword != nullptr; ++option) {
    const bool hidden = *option->dispchar == '*' || std::string_view(option->keyword) == "passfile";
    if (hidden && option->val != nullptr) secrets_.emplace_back(option->val);
  }
}

Result<Session, SqlError> Session::open(const base::Secret& dsn, Deadline deadline,
                                        const Stop& stop) {
  Session session(dsn, deadline, stop);
  if (session.secrets_.empty()) return Unexpected(SqlError{.message = "the dsn is malformed"});
  if (std::optional<SqlError> error = session.connect(dsn)) return Unexpected(*std::move(error));
  // So that the server gives up soon after us, also when we are gone.
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
      deadline - std::chrono::steady_clock::now());
  const std::string limit = std::to_string(std::clamp<std::int64_t>(left.count(), 1, 1 << 30));
  std::string settings = "SET statement_timeout = " + limit;
  if (::PQserverVersion(session.connection_.get()) >= 140000) {
    settings += "; SET client_connection_check_interval = '1s'";
  }
  if (auto set = session.run(settings); !set) {
    set.error().in_doubt = false;
    return Unexpected(std::move(set).error());
  }
  return session;
}

std::optional<SqlError> Session::connect(const base::Secret& dsn) {
  const auto failed = [](std::string message) { return SqlError{.message = std::move(message)}; };
  connection_.reset(::PQconnectStart(dsn.reveal().c_str()));
  if (!connection_ || ::PQstatus(connection_.get()) == CONNECTION_BAD) return failed(text());
  ::PQsetNoticeProcessor(
      connection_.get(), [](void*, const char*) {}, nullptr);
  short events = POLLOUT;
  while (true) {  // Bounded by the deadline in wait().
    if (const auto why = wait(events)) return failed("connecting: " + *why);
    switch (::PQconnectPoll(connection_.get())) {
      case PGRES_POLLING_READING: events = POLLIN; break;
      case PGRES_POLLING_WRITING: events = POLLOUT; break;
      case PGRES_POLLING_OK: ::PQsetnonblocking(connection_.get(), 1); return std::nullopt;
      case PGRES_POLLING_FAILED:
      case PGRES_POLLING_ACTIVE: return failed(text());
    }
  }
}

Result<SqlAnswer, SqlError> Session::run(const std::string& sql) {
  return collect(::PQsendQuery(connection_.get(), sql.c_str()) == 1);
}

Result<SqlAnswer, SqlError> Session::run(const std::string& sql,
                                         const std::vector<std::string>& parameters) {
  std::vector<const char*> values;
  for (const std::string& parameter : parameters) values.push_back(parameter.c_str());
  return collect(::PQsendQueryParams(connection_.get(), sql.c_str(),
                                     static_cast<int>(values.size()), nullptr, values.data(),
                                     nullptr, nullptr, 0) == 1);
}

// What keeps the statement from being sent; nothing once it is.
std::optional<std::string> Session::flush() {
  for (int left = ::PQflush(connection_.get()); left != 0; left = ::PQflush(connection_.get())) {
    if (left < 0) return text();
    if (auto why = wait(POLLOUT)) return why;
  }
  return std::nullopt;
}

// What keeps the next result from being there; nothing once it is.
std::optional<std::string> Session::await_result() {
  while (::PQisBusy(connection_.get()) != 0) {
    if (auto why = wait(POLLIN)) return why;
    if (::PQconsumeInput(connection_.get()) == 0) return text();
  }
  return std::nullopt;
}

Result<SqlAnswer, SqlError> Session::collect(bool sent) {
  if (!sent) return Unexpected(SqlError{.message = text()});
  const auto doubt = [](std::string message) {
    return Unexpected(SqlError{.message = std::move(message), .in_doubt = true});
  };
  if (auto why = flush()) return doubt(*std::move(why));
  SqlAnswer answer;
  std::optional<SqlError> error;
  while (true) {  // Bounded by the deadline in wait().
    if (auto why = await_result()) return doubt(*std::move(why));
    const Result_ result(::PQgetResult(connection_.get()), &::PQclear);
    if (!result) break;
    const ExecStatusType status = ::PQresultStatus(result.get());
    if (is_answer(status)) {
      keep(answer, result.get());
      continue;
    }
    if (!error) {
      error = SqlError{.sqlstate = state_of(result.get()),
                       .message = tidy(::PQresultErrorMessage(result.get()))};
    }
    if (!is_error(status)) break;
  }
  if (!error) return answer;
  error->in_doubt = ::PQstatus(connection_.get()) == CONNECTION_BAD;
  return Unexpected(*std::move(error));
}

std::optional<std::string> Session::wait(short events) const {
  while (true) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline_ - std::chrono::steady_clock::now());
    if (stop_->requested()) return "cancelled";
    if (left.count() <= 0) return "no answer in time";
    std::array<pollfd, 2> waited = {
        pollfd{.fd = ::PQsocket(connection_.get()), .events = events, .revents = 0},
        pollfd{.fd = stop_->descriptor(), .events = POLLIN, .revents = 0}};
    const auto slice = std::clamp<std::int64_t>(left.count(), 1, kPollMsMax);
    ::poll(waited.data(), waited.size(), static_cast<int>(slice));
    if (waited[0].revents != 0) return std::nullopt;
  }
}

std::string Session::text() const {
  return connection_ ? tidy(::PQerrorMessage(connection_.get())) : "no memory, or no libpq.so.5";
}

std::string Session::tidy(std::string message) const {
  while (message.ends_with('\n')) message.pop_back();
  return base::redacted(std::move(message), secrets_);
}

}  // namespace recover::adapters::database
