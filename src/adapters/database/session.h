// One libpq connection for a thread that may block: every wait ends at the deadline or when it is
// called off. An unfinished statement is ended by the server soon after.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <recover/result.h>

#include "base/secret.h"

struct pg_conn;

namespace recover::adapters::database {

// Calls a session off from another thread.
class Stop {
 public:
  Stop();
  ~Stop();
  Stop(const Stop&) = delete;
  Stop& operator=(const Stop&) = delete;

  void request() noexcept;  // Any thread.
  bool requested() const noexcept { return requested_.load(); }
  int descriptor() const noexcept { return descriptor_; }  // Readable once requested; may be -1.

 private:
  int descriptor_;
  std::atomic<bool> requested_ = false;
};

// `message` holds no secret.
struct SqlError {
  std::string sqlstate = {};  // Empty: the server did not say.
  std::string message = {};
  bool in_doubt = false;  // The statement was sent and its end is not known.
};

struct SqlAnswer {
  std::string tag;                             // "UPDATE 3", of the last statement.
  std::vector<std::vector<std::string>> rows;  // Of the last that has any; NULL: empty.
};

class Session {
 public:
  using Deadline = std::chrono::steady_clock::time_point;

  // `stop` outlives the session.
  static Result<Session, SqlError> open(const base::Secret& dsn, Deadline deadline,
                                        const Stop& stop);

  // One or several statements; without parameters only one may be given with `parameters`.
  Result<SqlAnswer, SqlError> run(const std::string& sql);
  Result<SqlAnswer, SqlError> run(const std::string& sql,
                                  const std::vector<std::string>& parameters);

 private:
  struct Finish {
    void operator()(pg_conn* connection) const;
  };

  Session(const base::Secret& dsn, Deadline deadline, const Stop& stop);
  std::optional<SqlError> connect(const base::Secret& dsn);
  Result<SqlAnswer, SqlError> collect(bool sent);
  // Waits for these poll() events of the connection. Returns why it gave up, if it did.
  std::optional<std::string> flush();
  std::optional<std::string> await_result();
  std::optional<std::string> wait(short events) const;
  std::string text() const;
  std::string tidy(std::string message) const;

  std::unique_ptr<pg_conn, Finish> connection_;
  Deadline deadline_;
  const Stop* stop_;
  std::vector<std::string> secrets_;
};

}  // namespace recover::adapters::database
