// The one table of what the API answers: it dispatches, and the OpenAPI document is made from it.
//
// Adding a route is one line in route_table.cc and one handler. Refuses what the caller's role may
// not.
#pragma once

#include <initializer_list>
#include <span>
#include <string_view>
#include <variant>
#include <vector>

#include "api/backend.h"
#include "api/request.h"

namespace recover::api {

using Handler = Response (*)(const Backend&, const Request&);
using LaterHandler = void (*)(const Backend&, const Request&, Reply);

struct Route {
  Method method = Method::Get;
  std::string_view pattern;  // "/services/{name}", below kPrefix unless it begins with kRoot.
  Role role = Role::Viewer;
  std::string_view summary;
  std::vector<std::string_view> query;  // Names of query parameters.
  std::vector<std::string_view> body;   // Fields of the JSON body.
  std::variant<Handler, LaterHandler> handler;
};

inline constexpr std::string_view kRoot = "/api/v1/";
inline constexpr std::string_view kPrefix = "/api/v1/recovery";
// Answered by the server itself, as a stream; the table has it for the document.
inline constexpr std::string_view kStreamPath = "/api/v1/recovery/events/stream";

std::span<const Route> routes();

// Finds the route, checks the caller's role and calls the handler. 404, 405 and 403 else.
// Never throws; an exception of a handler is a 500.
void dispatch(const Backend& backend, Request request, const Reply& reply);

}  // namespace recover::api
