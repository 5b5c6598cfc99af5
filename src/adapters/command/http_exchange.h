// One HTTP request and its answer, with a deadline, saying whether the request can have arrived.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <recover/time.h>

#include "base/url.h"

namespace boost::asio {
class io_context;
}

namespace recover::adapters::command {

struct HttpRequest {
  base::Url url;
  std::string method = "POST";
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  Duration limit{};
};

struct HttpAnswer {
  int status = 0;          // 0: none came.
  bool sent = false;       // Some of the request may have reached the other side.
  std::string error = {};  // Why none came. May quote the request: redact it.
};

// Loop thread.
class HttpExchange {
 public:
  HttpExchange() = default;
  HttpExchange(const HttpExchange&) = delete;
  HttpExchange& operator=(const HttpExchange&) = delete;
  virtual ~HttpExchange() = default;

  // `answered` is called once, from the loop, whatever happens; it holds the exchange till then.
  static std::shared_ptr<HttpExchange> start(boost::asio::io_context& loop, HttpRequest request,
                                             std::function<void(HttpAnswer)> answered);
  // Ends it early; `answered` is still called.
  virtual void cancel() = 0;
};

}  // namespace recover::adapters::command
