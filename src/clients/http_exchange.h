// One HTTP or HTTPS request and its answer on a fresh connection. Certificates are always verified.
//
// Tells whether the request can have arrived, so that what changes something is never called failed
// when it may have worked. Judges nothing: a status is a number here.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <recover/time.h>

#include "base/url.h"

namespace boost::asio {
class io_context;
namespace ssl {
class context;
}
}  // namespace boost::asio

namespace recover::clients {

// The machine's own roots; reading them is dear, so make one and keep it. Throws
// boost::system::system_error when there is no TLS to be had.
std::shared_ptr<boost::asio::ssl::context> make_tls();

struct HttpRequest {
  base::Url url;
  std::string method = "POST";
  std::vector<std::pair<std::string, std::string>> headers = {};
  std::string body = {};
  std::optional<Duration> limit = {};  // None: until cancelled.
  // Of the answer's body; none: not read at all.
  std::optional<std::uint64_t> body_max = {};
  std::shared_ptr<boost::asio::ssl::context> tls = {};  // Null: made for this exchange.
};

enum class HttpFault : std::uint8_t {
  None,
  Late,  // The limit passed.
  Cancelled,
  System,    // An errno, in `code`.
  Closed,    // Without an answer.
  TooLarge,  // More body than `body_max`.
  Other,
};

struct HttpAnswer {
  int status = 0;     // 0: none came, or not to its end.
  bool sent = false;  // Some of the request may have reached the other side.
  HttpFault fault = HttpFault::None;
  int code = 0;
  std::string error = {};  // Why none came. May quote the request: redact it.
  std::string body = {};
};

// Loop thread.
class HttpExchange {
 public:
  HttpExchange() = default;
  HttpExchange(const HttpExchange&) = delete;
  HttpExchange& operator=(const HttpExchange&) = delete;
  virtual ~HttpExchange() = default;

  // `answered` is called once, from the loop, unless abandoned; it holds the exchange till then.
  static std::shared_ptr<HttpExchange> start(boost::asio::io_context& loop, HttpRequest request,
                                             std::function<void(HttpAnswer)> answered);
  // Ends it early; `answered` is still called.
  virtual void cancel() = 0;
  // Ends it at once; `answered` is not called any more.
  virtual void abandon() = 0;
};

}  // namespace recover::clients
