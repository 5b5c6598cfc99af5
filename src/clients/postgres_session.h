// One libpq connection on the loop: connects, asks one question at a time, never blocks the loop.
//
// Only PQconnectStart runs on the pool, because it may look names up. (A dsn with several hosts
// looks the later ones up on the loop: give their hostaddr.)
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <recover/result.h>

#include "base/secret.h"

namespace boost::asio {
class io_context;
class thread_pool;
}  // namespace boost::asio

namespace recover::clients {

// `lost`: the connection is gone. `sqlstate` may be empty. `message` holds no secret.
struct PostgresError {
  std::string sqlstate = {};
  std::string message = {};
  bool lost = false;
};
struct PostgresReply {
  std::string tag = {};                             // "UPDATE 3", of the last statement.
  std::vector<std::vector<std::string>> rows = {};  // Of the last that has any; NULL: empty.
};
using PostgresAnswer = Result<PostgresReply, PostgresError>;

class PostgresSession : public std::enable_shared_from_this<PostgresSession> {
 public:
  static constexpr std::size_t kRowsMax = 1000;

  static std::shared_ptr<PostgresSession> make(base::Secret dsn, boost::asio::io_context& loop,
                                               boost::asio::thread_pool& pool);
  PostgresSession() = default;
  PostgresSession(const PostgresSession&) = delete;
  PostgresSession& operator=(const PostgresSession&) = delete;
  virtual ~PostgresSession() = default;

  // `done` once, from the loop. At most kRowsMax rows. With `parameters` a single statement.
  // REQUIRES: one at a time.
  virtual void connect(std::function<void(Result<void, PostgresError>)> done) = 0;
  virtual void ask(const std::string& sql, const std::vector<std::string>& parameters,
                   std::function<void(PostgresAnswer)> done) = 0;
  // Nothing is called any more. The session is of no further use.
  virtual void close() = 0;
  // Of the server, 150003 for 15.3.
  virtual int server_version() const = 0;
};

}  // namespace recover::clients
