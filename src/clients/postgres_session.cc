#include "clients/postgres_session.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <libpq-fe.h>

#include <optional>
#include <utility>

#include "base/redact.h"

namespace recover::clients {
namespace {

namespace asio = boost::asio;
using asio::posix::stream_descriptor;
using boost::system::error_code;

struct Finish {
  void operator()(PGconn* connection) const { ::PQfinish(connection); }
};
using Connection = std::unique_ptr<PGconn, Finish>;

// The dsn's passwords. None when it cannot be parsed: then nothing of it may be shown.
std::optional<std::vector<std::string>> secrets_of(const std::string& dsn) {
  const std::unique_ptr<PQconninfoOption, void (*)(PQconninfoOption*)> options(
      ::PQconninfoParse(dsn.c_str(), nullptr), &::PQconninfoFree);
  if (!options) return std::nullopt;
  std::vector<std::string> secrets = {dsn};
  for (const PQconninfoOption* option = options.get(); option->keyword != nullptr; ++option) {
    const bool hidden = *option->dispchar == '*' || std::string_view(option->keyword) == "passfile";
    if (hidden && option->val != nullptr) secrets.emplace_back(option->val);
  }
  return secrets;
}

class Session final : public PostgresSession {
 public:
  Session(base::Secret dsn, asio::io_context& loop, asio::thread_pool& pool)
      : dsn_(std::move(dsn)), loop_(loop), pool_(pool), socket_(loop) {}
  ~Session() override { close(); }

  void connect(std::function<void(Result<void, PostgresError>)> done) override {
    connected_ = std::move(done);
    auto work = asio::make_work_guard(loop_);
    asio::post(pool_, [self = self_of(), guard = std::move(work)] {
      auto secrets = secrets_of(self->dsn_.reveal());
      Connection started;
      if (secrets) started.reset(::PQconnectStart(self->dsn_.reveal().c_str()));
      asio::post(self->loop_, [self, secrets = std::move(secrets),
                               made = std::make_shared<Connection>(std::move(started))]() mutable {
        if (!self->connected_) return;  // Closed meanwhile.
        if (!secrets) return self->refuse("the dsn is malformed");
        self->secrets_ = *std::move(secrets);
        self->connection_ = std::move(*made);
        self->started();
      });
    });
  }

  void ask(const std::string& sql, const std::vector<std::string>& parameters,
           std::function<void(PostgresAnswer)> done) override {
    answered_ = std::move(done);
    answer_ = PostgresReply{};
    std::vector<const char*> values;
    for (const std::string& parameter : parameters) values.push_back(parameter.c_str());
    const int asked = values.empty() ? ::PQsendQuery(connection_.get(), sql.c_str())
                                     : ::PQsendQueryParams(connection_.get(), sql.c_str(),
                                                           static_cast<int>(values.size()), nullptr,
                                                           values.data(), nullptr, nullptr, 0);
    if (asked == 1) return send();
    // Never from within ask().
    asio::post(loop_, [self = self_of()] { self->give(Unexpected(self->broken())); });
  }

  void close() override {
    connected_ = nullptr;
    answered_ = nullptr;
    unwatch();
    connection_.reset();
  }

  int server_version() const override { return ::PQserverVersion(connection_.get()); }

 private:
  std::shared_ptr<Session> self_of() {
    return std::static_pointer_cast<Session>(shared_from_this());
  }

  // libpq owns the descriptor and may replace it whenever it is called: watch it for one wait.
  void unwatch() {
    if (socket_.is_open()) socket_.release();
  }
  void wait(stream_descriptor::wait_type what, std::function<void()> then) {
    error_code error;
    socket_.assign(::PQsocket(connection_.get()), error);
    if (error) {
      return asio::post(loop_, [self = self_of()] {
        if (self->connected_) return self->refuse("its socket cannot be watched");
        self->give(Unexpected(self->broken()));
      });
    }
    socket_.async_wait(what, [self = self_of(), then = std::move(then)](error_code failed) {
      if (failed || !self->connection_) return;
      self->unwatch();
      then();
    });
  }

  void started() {
    if (::PQstatus(connection_.get()) == CONNECTION_BAD) return refuse(text());
    wait(stream_descriptor::wait_write, [this] { poll(); });
  }
  void poll() {
    switch (::PQconnectPoll(connection_.get())) {
      case PGRES_POLLING_READING: return wait(stream_descriptor::wait_read, [this] { poll(); });
      case PGRES_POLLING_WRITING: return wait(stream_descriptor::wait_write, [this] { poll(); });
      case PGRES_POLLING_OK: return opened();
      case PGRES_POLLING_FAILED:
      case PGRES_POLLING_ACTIVE: return refuse(text());
    }
  }
  void opened() {
    ::PQsetnonblocking(connection_.get(), 1);
    ::PQsetNoticeProcessor(
        connection_.get(), [](void*, const char*) {}, nullptr);
    const auto done = std::exchange(connected_, nullptr);
    done({});
  }
  void refuse(std::string message) {
    const auto done = std::exchange(connected_, nullptr);
    if (done) {
      done(Unexpected(PostgresError{.sqlstate = {}, .message = std::move(message), .lost = true}));
    }
  }

  void send() {
    const int left = ::PQflush(connection_.get());
    if (left < 0) {
      return asio::post(loop_, [self = self_of()] { self->give(Unexpected(self->broken())); });
    }
    if (left > 0) return wait(stream_descriptor::wait_write, [this] { send(); });
    wait(stream_descriptor::wait_read, [this] { receive(); });
  }
  void receive() {
    if (::PQconsumeInput(connection_.get()) == 0) return give(Unexpected(broken()));
    while (::PQisBusy(connection_.get()) == 0) {
      const std::unique_ptr<PGresult, void (*)(PGresult*)> result(::PQgetResult(connection_.get()),
                                                                  &::PQclear);
      if (!result) return give(std::move(answer_));
      if (!note(result.get())) return give(std::move(answer_));
    }
    wait(stream_descriptor::wait_read, [this] { receive(); });
  }
  // False: nothing can follow this result. That is COPY, which would go on for ever.
  bool note(PGresult* result) {
    const ExecStatusType status = ::PQresultStatus(result);
    if (status == PGRES_COMMAND_OK || status == PGRES_EMPTY_QUERY || status == PGRES_TUPLES_OK) {
      if (answer_) note_answer(result, status);
      return true;
    }
    const bool error = status == PGRES_FATAL_ERROR || status == PGRES_NONFATAL_ERROR;
    if (answer_) {
      const char* state = ::PQresultErrorField(result, PG_DIAG_SQLSTATE);
      answer_ = Unexpected(
          PostgresError{.sqlstate = state != nullptr ? state : "",
                        .message = error ? tidy(::PQresultErrorMessage(result))
                                         : "COPY to or from here is not possible",
                        .lost = !error || ::PQstatus(connection_.get()) == CONNECTION_BAD});
    }
    return error;
  }
  void note_answer(PGresult* result, ExecStatusType status) {
    answer_->tag = ::PQcmdStatus(result);
    if (status != PGRES_TUPLES_OK) return;
    answer_->rows.clear();
    for (int row = 0; row < ::PQntuples(result) && answer_->rows.size() < kRowsMax; ++row) {
      std::vector<std::string>& cells = answer_->rows.emplace_back();
      for (int column = 0; column < ::PQnfields(result); ++column) {
        cells.emplace_back(::PQgetvalue(result, row, column));
      }
    }
  }
  void give(PostgresAnswer answer) {
    const auto done = std::exchange(answered_, nullptr);
    if (done) done(std::move(answer));
  }

  PostgresError broken() const { return {.sqlstate = {}, .message = text(), .lost = true}; }
  std::string text() const {
    return connection_ ? tidy(::PQerrorMessage(connection_.get())) : "no memory, or no libpq.so.5";
  }
  std::string tidy(std::string message) const {
    while (message.ends_with('\n')) message.pop_back();
    return base::redacted(std::move(message), secrets_);
  }

  const base::Secret dsn_;
  asio::io_context& loop_;
  asio::thread_pool& pool_;
  stream_descriptor socket_;
  std::vector<std::string> secrets_;
  Connection connection_;
  std::function<void(Result<void, PostgresError>)> connected_;
  std::function<void(PostgresAnswer)> answered_;
  PostgresAnswer answer_ = PostgresReply{};
};

}  // namespace

std::shared_ptr<PostgresSession> PostgresSession::make(base::Secret dsn, asio::io_context& loop,
                                                       asio::thread_pool& pool) {
  return std::make_shared<Session>(std::move(dsn), loop, pool);
}

}  // namespace recover::clients
