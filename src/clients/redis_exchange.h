// One pipeline of requests to a Redis server, and its replies, on a fresh connection.
//
// Judges nothing: an error reply is a reply. Tells whether the requests can have arrived.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <recover/time.h>

#include "base/secret.h"
#include "clients/redis_reply.h"

namespace boost::asio {
class io_context;
}

namespace recover::clients {

struct RedisRequest {
  std::string host;
  std::uint16_t port = 6379;
  std::string socket = {};                      // Path; in place of host and port.
  base::Secret password = {};                   // Sent with AUTH, before the rest.
  std::vector<std::vector<std::string>> words;  // Each a command. REQUIRES: at least one.
  std::optional<Duration> limit = {};           // None: until abandoned.

  std::string where() const;
};

enum class RedisFault : std::uint8_t { None, Late, Cancelled, System, Closed, TooLarge, Other };

struct RedisAnswer {
  // In the order of `words`. An error reply to AUTH stands in place of all that follows it; after
  // a malformed reply there are no more.
  std::vector<RedisReply> replies = {};
  RedisFault fault = RedisFault::None;  // Why replies are missing.
  int code = 0;                         // errno, with System.
  std::string error = {};               // No secret in it.
  bool sent = false;                    // Some of the requests may have reached the server.
};

// Loop thread.
class RedisExchange {
 public:
  static constexpr std::size_t kAnswerMax = 2U << 20U;  // Bytes of all replies not yet taken.

  RedisExchange() = default;
  RedisExchange(const RedisExchange&) = delete;
  RedisExchange& operator=(const RedisExchange&) = delete;
  virtual ~RedisExchange() = default;

  // `answered` is called once, from the loop, unless abandoned; it holds the exchange till then.
  static std::shared_ptr<RedisExchange> start(boost::asio::io_context& loop, RedisRequest request,
                                              std::function<void(RedisAnswer)> answered);
  // Ends it early; `answered` is still called.
  virtual void cancel() = 0;
  // Ends it at once; `answered` is not called any more.
  virtual void abandon() = 0;
};

}  // namespace recover::clients
