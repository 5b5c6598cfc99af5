// One HTTP exchange as plain values: what the routes see of it.
//
// Knows nothing of sockets or of the HTTP library, so that every route is tested by a call.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace recover::api {

enum class Method : std::uint8_t { Get, Post, Put, Delete };
std::string_view to_string(Method method) noexcept;  // "GET"

// Each may do what those before it may.
enum class Role : std::uint8_t { Public, Viewer, Operator, Admin };
std::string_view to_string(Role role) noexcept;  // "public"

struct Caller {
  Role role = Role::Public;
  std::string actor;  // For the audit: "uid:0(root)".
};

struct Request {
  Method method = Method::Get;
  std::string path;                          // Without the query, still percent-encoded.
  std::map<std::string, std::string> query;  // Decoded; of a repeated name the last counts.
  std::vector<std::string> arguments;        // What the {…} of the route's pattern stood for.
  std::string body;
  // Headers; empty: none.
  std::string last_event_id;
  std::string if_match;
  std::string if_none_match;
  std::string idempotency_key;
  Caller caller;

  // Empty when it is not there.
  std::string_view parameter(std::string_view name) const;
};

struct Response {
  unsigned status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
};

// Called exactly once, on the loop's thread.
using Reply = std::function<void(Response)>;

// "a%20b" -> "a b". Nothing when a % is not followed by two hex digits or stands for NUL.
std::optional<std::string> percent_decoded(std::string_view text);

// Splits "/path?a=b&c" into path and query of `request`. False: not a valid target.
bool set_target(Request& request, std::string_view target);

}  // namespace recover::api
