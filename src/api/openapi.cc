// The OpenAPI 3.1 document, made from the route table that dispatches: it cannot go stale.
#include <boost/json.hpp>

#include <cctype>
#include <string>

#include "api/handlers.h"
#include "api/json_response.h"
#include "api/routes.h"

namespace recover::api {

namespace json = boost::json;

namespace {

json::object text_schema() {
  json::object schema;
  schema["type"] = "string";
  return schema;
}

json::object parameter(std::string_view name, std::string_view in) {
  json::object object;
  object["name"] = name;
  object["in"] = in;
  object["required"] = in == "path";
  object["schema"] = text_schema();
  return object;
}

json::array parameters_of(const Route& route) {
  json::array array;
  std::string_view rest = route.pattern;
  for (auto open = rest.find('{'); open != std::string_view::npos; open = rest.find('{')) {
    const auto close = rest.find('}');
    array.push_back(parameter(rest.substr(open + 1, close - open - 1), "path"));
    rest.remove_prefix(close + 1);
  }
  for (const std::string_view name : route.query) array.push_back(parameter(name, "query"));
  switch (route.method) {
    case Method::Get: array.push_back(parameter("If-None-Match", "header")); break;
    case Method::Post: array.push_back(parameter("Idempotency-Key", "header")); break;
    case Method::Put:
    case Method::Delete: array.push_back(parameter("If-Match", "header")); break;
  }
  return array;
}

json::object content(std::string_view type, json::object schema) {
  json::object media;
  media["schema"] = std::move(schema);
  json::object object;
  object[type] = std::move(media);
  return object;
}

json::object object_schema() {
  json::object schema;
  schema["type"] = "object";
  return schema;
}

json::object reference(std::string_view to) {
  json::object schema;
  schema["$ref"] = to;
  return schema;
}

json::object body_of(const Route& route) {
  json::object properties;
  for (const std::string_view field : route.body) {
    properties[field] = field == "on"          ? json::object{{"type", "boolean"}}
                        : field == "recovery"  ? json::object{{"type", "array"}}
                        : field == "instances" ? json::object{{"type", "integer"}}
                                               : text_schema();
  }
  json::object schema = object_schema();
  schema["properties"] = std::move(properties);
  schema["additionalProperties"] = false;
  json::object body;
  body["content"] = content("application/json", std::move(schema));
  return body;
}

json::object responses() {
  json::object good;
  good["description"] = "Done";
  good["content"] = content("application/json", object_schema());
  json::object accepted = good;
  accepted["description"] = "Accepted; `poll` says where to look";
  json::object bad;
  bad["description"] = "Refused or failed";
  bad["content"] = content("application/problem+json", reference("#/components/schemas/Problem"));
  json::object object;
  json::object created = good;
  created["description"] = "Made; `Location` says where it is";
  object["200"] = std::move(good);
  object["201"] = std::move(created);
  object["304"] = json::object{{"description", "Still what If-None-Match names"}};
  object["202"] = std::move(accepted);
  object["default"] = std::move(bad);
  return object;
}

std::string operation_id(const Route& route) {
  std::string id;
  for (const char c : std::string(to_string(route.method)) + std::string(route.pattern)) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0) {
      id += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    } else if (!id.empty() && id.back() != '_') {
      id += '_';
    }
  }
  while (!id.empty() && id.back() == '_') id.pop_back();
  return id;
}

json::object operation(const Route& route) {
  json::object object;
  object["operationId"] = operation_id(route);
  object["summary"] = route.summary;
  object["x-role"] = to_string(route.role);
  json::array parameters = parameters_of(route);
  if (!parameters.empty()) object["parameters"] = std::move(parameters);
  if (!route.body.empty()) object["requestBody"] = body_of(route);
  object["responses"] = responses();
  return object;
}

json::object problem_schema() {
  json::object properties;
  for (const std::string_view name : {"type", "title", "code", "detail", "rule"}) {
    properties[name] = text_schema();
  }
  properties["status"] = json::object{{"type", "integer"}};
  json::object schema = object_schema();
  schema["properties"] = std::move(properties);
  schema["required"] = json::array{"type", "title", "status", "code", "detail"};
  return schema;
}

std::string lower(std::string_view text) {
  std::string lowered(text);
  for (char& c : lowered) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lowered;
}

json::object paths() {
  json::object object;
  const auto item = [&](const std::string& path) -> json::object& {
    if (!object.contains(path)) object[path] = json::object();
    return object[path].as_object();
  };
  for (const Route& route : routes()) {
    const std::string path = route.pattern.starts_with(kRoot)
                                 ? std::string(route.pattern)
                                 : std::string(kPrefix).append(route.pattern);
    item(path)[lower(to_string(route.method))] = operation(route);
  }
  const Route stream{Method::Get,
                     "/events/stream",
                     Role::Viewer,
                     "Events as they happen (server-sent events)",
                     {"after", "type", "service"},
                     {},
                     Handler(nullptr)};
  item(std::string(kStreamPath))["get"] = operation(stream);
  return object;
}

}  // namespace

Response get_openapi(const Backend& backend, const Request& /*request*/) {
  json::object info;
  info["title"] = "recoverd";
  info["version"] = backend.version;
  info["description"] = "Self-healing for the services of a Linux host.";
  json::object schemas;
  schemas["Problem"] = problem_schema();
  json::object components;
  components["schemas"] = std::move(schemas);
  json::object document;
  document["openapi"] = "3.1.0";
  document["info"] = std::move(info);
  document["paths"] = paths();
  document["components"] = std::move(components);
  return json_response(document);
}

}  // namespace recover::api
