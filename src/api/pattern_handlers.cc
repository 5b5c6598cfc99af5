// Failure patterns: shown, tried on a text, added to the configuration and taken out of it.
#include <boost/json.hpp>
#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

#include "api/fields.h"
#include "api/handlers.h"
#include "api/json_response.h"
#include "api/pattern_text.h"
#include "api/problem.h"
#include "api/routes.h"
#include "api/times.h"

namespace recover::api {

namespace json = boost::json;

namespace {

json::object pattern_json(const core::PatternPolicy& pattern) {
  json::object object;
  object["id"] = pattern.id;
  object["pattern"] = pattern.pattern;
  object["category"] = pattern.category;
  object["class"] = core::to_string(pattern.failure);
  object["severity"] = core::to_string(pattern.severity);
  object["cooldown"] = spoken(pattern.cooldown);
  json::array recovery;
  for (const core::PatternAction& action : pattern.recovery) {
    json::object item;
    item["type"] = action.type;
    item["target"] = action.target;
    item["priority"] = core::to_string(action.priority);
    recovery.push_back(std::move(item));
  }
  object["recovery"] = std::move(recovery);
  return object;
}

constexpr std::int64_t kPatternMemoryMax = 1 << 20;  // Bytes one pattern may use.

RE2::Options pattern_options() {
  RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(kPatternMemoryMax);
  return options;
}

bool has_pattern(const Backend& backend, std::string_view id) {
  const auto& patterns = backend.engine().policy().patterns;
  return std::find_if(patterns.begin(), patterns.end(),
                      [id](const auto& pattern) { return pattern.id == id; }) != patterns.end();
}

Unexpected<Response> bad_pattern(const std::string& why) {
  return Unexpected<Response>(problem(kBadRequest, "BAD_REQUEST", why));
}

// The body of POST /patterns, as far as it can be judged before the configuration is loaded.
Result<json::object, Response> pattern_item(const Request& request) {
  constexpr std::array<std::string_view, 7> kKnown{"id",       "pattern",  "category", "failure",
                                                   "severity", "cooldown", "recovery"};
  boost::system::error_code error;
  const json::value value = json::parse(request.body, error);
  if (error || !value.is_object()) return bad_pattern("the body must be a JSON object");
  const json::object& item = value.get_object();
  for (const auto& field : item) {
    const std::string_view name = field.key();
    if (std::find(kKnown.begin(), kKnown.end(), name) == kKnown.end()) {
      return bad_pattern("unknown field \"" + std::string(name) +
                         "\"; known: id, pattern, category, failure, severity, cooldown, recovery");
    }
    if (name != "recovery" && !field.value().is_string()) {
      return bad_pattern("field \"" + std::string(name) + "\" must be a text");
    }
  }
  if (!item.contains("id") || !item.contains("pattern")) {
    return bad_pattern("a pattern needs \"id\" and \"pattern\"");
  }
  const RE2 tried(item.at("pattern").as_string().c_str(), pattern_options());
  if (!tried.ok()) {
    return Unexpected<Response>(
        problem(kBadRequest, "BAD_PATTERN", "the pattern is no RE2: " + tried.error()));
  }
  return item;
}

}  // namespace

Response list_patterns(const Backend& backend, const Request& /*request*/) {
  json::array patterns;
  for (const core::PatternPolicy& pattern : backend.engine().policy().patterns) {
    patterns.push_back(pattern_json(pattern));
  }
  json::object body;
  body["patterns"] = std::move(patterns);
  return json_response(body);
}

Response add_pattern(const Backend& backend, const Request& request) {
  if (!backend.replace_configuration) return not_available("replacing the configuration");
  auto item = pattern_item(request);
  if (!item) return item.error();
  const std::string id = item->at("id").as_string().c_str();
  if (has_pattern(backend, id)) {
    return problem(kConflict, "PATTERN_EXISTS",
                   "there is a pattern \"" + id + "\" already; `recoverctl patterns remove " + id +
                       "` makes room for another");
  }
  const auto edited = with_pattern(backend.configuration(), json::serialize(*item));
  if (!edited) return problem(kConflict, "CANNOT_EDIT", edited.error() + "; edit the file");
  const auto summary = backend.replace_configuration(*edited);
  if (!summary) return configuration_problem(summary.error());
  json::object body = *item;
  for (const core::PatternPolicy& pattern : backend.engine().policy().patterns) {
    if (pattern.id == id) body = pattern_json(pattern);
  }
  Response response = json_response(body, 201);
  response.headers.emplace_back("Location", std::string(kPrefix) + "/patterns");
  return response;
}

Response remove_pattern(const Backend& backend, const Request& request) {
  if (!backend.replace_configuration) return not_available("replacing the configuration");
  const std::string& id = request.arguments.at(0);
  if (!has_pattern(backend, id)) {
    return problem(kNotFound, "PATTERN_NOT_FOUND",
                   "there is no pattern \"" + id + "\"; `recoverctl patterns list` shows them");
  }
  const auto edited = without_pattern(backend.configuration(), id);
  if (!edited) {
    return problem(kConflict, "CANNOT_EDIT",
                   "the pattern \"" + id + "\" cannot be taken out of the configuration: " +
                       edited.error() + "; edit the file and `recoverctl config reload`");
  }
  const auto summary = backend.replace_configuration(*edited);
  if (!summary) return configuration_problem(summary.error());
  json::object body;
  body["removed"] = id;
  body["summary"] = summary->summary;
  return json_response(body);
}

Response test_patterns(const Backend& backend, const Request& request) {
  const auto fields = Fields::parse(request, {"text", "pattern"});
  if (!fields) return fields.error();
  if (!fields->has("text")) return problem(kBadRequest, "BAD_REQUEST", "send {\"text\": …}");
  const std::string text = fields->text("text");
  json::array matches;
  if (fields->has("pattern")) {
    const RE2 tried(fields->text("pattern"), pattern_options());
    if (!tried.ok()) {
      return problem(kBadRequest, "BAD_PATTERN", "the pattern is no RE2: " + tried.error());
    }
    json::object body;
    body["matched"] = RE2::PartialMatch(text, tried);
    return json_response(body);
  }
  for (const core::PatternPolicy& pattern : backend.engine().policy().patterns) {
    const RE2 compiled(pattern.pattern, pattern_options());
    if (compiled.ok() && RE2::PartialMatch(text, compiled))
      matches.push_back(pattern_json(pattern));
  }
  json::object body;
  body["matched"] = !matches.empty();
  body["patterns"] = std::move(matches);
  return json_response(body);
}

}  // namespace recover::api
