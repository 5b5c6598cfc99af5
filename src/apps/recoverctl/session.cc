#include "apps/recoverctl/session.h"

#include <boost/json.hpp>

namespace recover::apps {

namespace json = boost::json;

void Session::show(const json::value& document,
                   const std::function<void(const json::object&)>& text) const {
  if (json) {
    out << json::serialize(document) << "\n";
  } else {
    text(object_of(document));
  }
}

std::string text_of(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value != nullptr && value->is_string() ? std::string(value->as_string().c_str())
                                                : std::string();
}

double number_of(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  if (value == nullptr || !value->is_number()) return 0.0;
  return value->to_number<double>();
}

bool truth_of(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value != nullptr && value->is_bool() && value->get_bool();
}

const json::array& array_of(const json::object& object, std::string_view name) {
  static const json::array kNone;
  const json::value* value = object.if_contains(name);
  return value != nullptr && value->is_array() ? value->get_array() : kNone;
}

const json::object& object_of(const json::value& value) {
  static const json::object kNone;
  return value.is_object() ? value.get_object() : kNone;
}

std::string joined(const json::array& array) {
  std::string text;
  for (const json::value& value : array) {
    if (!value.is_string()) continue;
    if (!text.empty()) text += ", ";
    text += value.get_string().c_str();
  }
  return text.empty() ? "-" : text;
}

std::string short_time(const std::string& time) {
  constexpr std::size_t kDate = 10;
  constexpr std::size_t kSeconds = 19;
  if (time.size() < kSeconds) return "-";
  return time.substr(0, kDate) + " " + time.substr(kDate + 1, kSeconds - kDate - 1);
}

std::string clock_time(const std::string& time) {
  constexpr std::size_t kClock = 11;
  constexpr std::size_t kLength = 12;  // "12:00:00.000"
  return time.size() < kClock + kLength ? std::string("-") : time.substr(kClock, kLength);
}

}  // namespace recover::apps
