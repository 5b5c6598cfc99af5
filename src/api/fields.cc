#include "api/fields.h"

#include <boost/json.hpp>

#include <algorithm>
#include <charconv>
#include <utility>

#include "api/json_response.h"
#include "api/problem.h"

namespace recover::api {

namespace json = boost::json;

namespace {

Unexpected<Response> bad(const std::string& detail) {
  return Unexpected<Response>(problem(kBadRequest, "BAD_REQUEST", detail));
}

std::string list(std::initializer_list<std::string_view> names) {
  std::string text;
  for (const std::string_view name : names) {
    if (!text.empty()) text += ", ";
    text += name;
  }
  return text.empty() ? "none" : text;
}

}  // namespace

Result<Fields, Response> Fields::parse(const Request& request,
                                       std::initializer_list<std::string_view> known) {
  Fields fields;
  if (request.body.find_first_not_of(" \t\r\n") == std::string::npos) return fields;
  json::parse_options options;
  options.max_depth = 4;
  boost::system::error_code error;
  const json::value value = json::parse(request.body, error, {}, options);
  if (error) return bad("the body is not JSON: " + error.message());
  if (!value.is_object()) return bad("the body must be a JSON object");
  for (const auto& item : value.get_object()) {
    const std::string name(item.key());
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      return bad("unknown field \"" + name + "\"; known: " + list(known));
    }
    if (item.value().is_null()) continue;
    if (item.value().is_string()) {
      fields.values_[name] = std::string(item.value().get_string().c_str());
    } else if (item.value().is_bool()) {
      fields.values_[name] = item.value().get_bool();
    } else if (item.value().is_int64()) {
      fields.values_[name] = item.value().get_int64();
    } else {
      return bad("field \"" + name + "\" must be a text, a number, or true or false");
    }
  }
  return fields;
}

bool Fields::has(std::string_view name) const {
  return values_.find(name) != values_.end();
}

std::string Fields::text(std::string_view name) const {
  const auto found = values_.find(name);
  if (found == values_.end()) return {};
  const auto* text = std::get_if<std::string>(&found->second);
  return text == nullptr ? std::string() : *text;
}

std::optional<std::uint32_t> Fields::whole(std::string_view name) const {
  const auto found = values_.find(name);
  if (found == values_.end()) return std::nullopt;
  if (const auto* number = std::get_if<std::int64_t>(&found->second)) {
    return std::in_range<std::uint32_t>(*number)
               ? std::optional(static_cast<std::uint32_t>(*number))
               : std::nullopt;
  }
  const std::string digits = text(name);
  std::uint32_t value = 0;
  const char* const last = digits.data() + digits.size();
  const auto [end, error] = std::from_chars(digits.data(), last, value);
  return error == std::errc() && end == last ? std::optional(value) : std::nullopt;
}

std::optional<bool> Fields::truth(std::string_view name) const {
  const auto found = values_.find(name);
  if (found == values_.end()) return std::nullopt;
  const auto* truth = std::get_if<bool>(&found->second);
  return truth == nullptr ? std::nullopt : std::optional(*truth);
}

}  // namespace recover::api
