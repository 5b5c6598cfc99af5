// HTTP over the daemon's unix socket, one request a connection.
//
// Every failure becomes a Failure with the exit code of the contract and what to do next.
#pragma once

#include <boost/json/fwd.hpp>

#include <chrono>
#include <functional>
#include <string>
#include <string_view>

namespace recover::apps {

struct Answer {
  unsigned status = 0;
  std::string body;
  std::string tag;  // ETag; empty: none.
};

class Client {
 public:
  static constexpr std::chrono::seconds kTimeout{60};
  static constexpr std::size_t kBodyMax = 64U << 20U;  // Bytes of an answer.

  explicit Client(std::string socket) : socket_(std::move(socket)) {}

  // Below /api/v1/recovery unless it begins with /api. Throws Failure: not reachable.
  Answer send(std::string_view method, std::string_view path, std::string_view body = {},
              std::string_view content_type = "application/json",
              std::string_view if_match = {}) const;

  // As send(), but throws Failure for an answer of 400 and above.
  std::string text(std::string_view method, std::string_view path, std::string_view body = {},
                   std::string_view content_type = "application/json",
                   std::string_view if_match = {}) const;
  boost::json::value get(std::string_view path) const;
  boost::json::value ask(std::string_view method, std::string_view path,
                         const boost::json::object& body) const;

  // Calls `line` for each line of an event stream until it returns false or the daemon ends it.
  void follow(std::string_view path, const std::function<bool(std::string_view)>& line) const;

 private:
  std::string socket_;
};

// "a b" -> "a%20b"; of one path segment or one query value.
std::string percent_encoded(std::string_view text);

// Throws the Failure an answer of 400 and above stands for.
[[noreturn]] void fail(const Answer& answer);

}  // namespace recover::apps
