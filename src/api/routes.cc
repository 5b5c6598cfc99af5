#include "api/routes.h"

#include <algorithm>
#include <exception>
#include <map>
#include <optional>
#include <string>

#include "api/entity_tag.h"
#include "api/handlers.h"
#include "api/json_response.h"
#include "api/problem.h"

namespace recover::api {

namespace {

constexpr unsigned kForbidden = 403;

using Segments = std::vector<std::string_view>;

Segments split(std::string_view path) {
  Segments segments;
  while (!path.empty()) {
    const auto end = path.find('/');
    if (end != 0) segments.push_back(path.substr(0, end));
    if (end == std::string_view::npos) break;
    path.remove_prefix(end + 1);
  }
  return segments;
}

bool is_argument(std::string_view segment) {
  return segment.starts_with('{');
}

std::string full_path(const Route& route) {
  return route.pattern.starts_with(kRoot) ? std::string(route.pattern)
                                          : std::string(kPrefix).append(route.pattern);
}

// What the {…} stand for; nothing when the path is not of that pattern.
std::optional<std::vector<std::string>> match(const Segments& pattern, const Segments& path) {
  if (pattern.size() != path.size()) return std::nullopt;
  std::vector<std::string> arguments;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (is_argument(pattern[i])) {
      auto decoded = percent_decoded(path[i]);
      if (!decoded) return std::nullopt;
      arguments.push_back(std::move(*decoded));
    } else if (pattern[i] != path[i]) {
      return std::nullopt;
    }
  }
  return arguments;
}

Response wrong_method(const std::string& allowed) {
  Response response = problem(405, "METHOD_NOT_ALLOWED", "this path knows " + allowed);
  response.headers.emplace_back("Allow", allowed);
  return response;
}

// A parameter nobody reads is a question that would be answered wrongly.
std::optional<Response> unknown_parameter(const Route& route, const Request& request) {
  for (const auto& [name, value] : request.query) {
    if (std::find(route.query.begin(), route.query.end(), name) != route.query.end()) continue;
    std::string known;
    for (const std::string_view each : route.query) {
      known.append(known.empty() ? "" : ", ").append(each);
    }
    return problem(kBadRequest, "BAD_REQUEST",
                   "unknown parameter ?" + name + "=; known: " + (known.empty() ? "none" : known));
  }
  return std::nullopt;
}

// What there is now at the request's path, as GET would answer; none: it knows no GET.
std::optional<Response> present(const Backend& backend, const Request& request) {
  for (const Route& route : routes()) {
    const auto* handler = std::get_if<Handler>(&route.handler);
    if (route.method != Method::Get || handler == nullptr) continue;
    auto arguments = match(split(full_path(route)), split(request.path));
    if (!arguments) continue;
    Request look = request;
    look.method = Method::Get;
    look.query.clear();
    look.arguments = std::move(*arguments);
    return (*handler)(backend, look);
  }
  return std::nullopt;
}

// If-Match: only if nobody changed it since the caller looked.
std::optional<Response> changed_meanwhile(const Backend& backend, const Request& request) {
  if (request.method == Method::Get || request.if_match.empty()) return std::nullopt;
  const auto now = present(backend, request);
  if (now && now->status == 200 && holds_tag(request.if_match, entity_tag(now->body))) {
    return std::nullopt;
  }
  return problem(412, "CHANGED_MEANWHILE",
                 "it is not what you saw any more; read it again, then decide");
}

// Of a GET that went well: its tag, and no body for a caller who has it already.
Response tagged(const Request& request, Response response) {
  if (request.method != Method::Get || response.status != 200) return response;
  const std::string tag = entity_tag(response.body);
  response.headers.emplace_back("ETag", tag);
  if (request.if_none_match.empty() || !holds_tag(request.if_none_match, tag)) return response;
  response.status = 304;
  response.body.clear();
  return response;
}

void call(const Backend& backend, const Route& route, const Request& request, const Reply& reply) {
  if (request.caller.role < route.role) {
    reply(problem(
        kForbidden, "FORBIDDEN",
        "this needs the role " + std::string(to_string(route.role)) +
            "; run it as root or as the user recoverd runs as" +
            (route.role == Role::Operator ? ", or as a member of api.operator_group" : "")));
    return;
  }
  try {
    if (auto unknown = unknown_parameter(route, request)) return reply(std::move(*unknown));
    if (auto changed = changed_meanwhile(backend, request)) return reply(std::move(*changed));
    if (const auto* handler = std::get_if<Handler>(&route.handler)) {
      reply(tagged(request, (*handler)(backend, request)));
    } else {
      std::get<LaterHandler>(route.handler)(backend, request, [request, reply](Response response) {
        reply(tagged(request, std::move(response)));
      });
    }
  } catch (const std::exception&) {
    reply(problem(500, "INTERNAL", "recoverd could not answer this; its log may say more"));
  }
}

}  // namespace

void dispatch(const Backend& backend, Request request, const Reply& reply) {
  const std::string path = request.path;
  const Segments wanted = split(path);
  std::string allowed;
  for (const Route& route : routes()) {
    const std::string pattern = full_path(route);
    auto arguments = match(split(pattern), wanted);
    if (!arguments) continue;
    if (route.method == request.method) {
      request.arguments = std::move(*arguments);
      call(backend, route, request, reply);
      return;
    }
    if (!allowed.empty()) allowed += ", ";
    allowed += to_string(route.method);
  }
  if (!allowed.empty()) {
    reply(wrong_method(allowed));
  } else {
    reply(problem(kNotFound, "NOT_FOUND",
                  "no such path; /api/v1/openapi.json lists those there are"));
  }
}

}  // namespace recover::api
