#include "fields.h"

#include <cmath>
#include <limits>
#include <utility>

#include "report.h"

namespace recover::conformance {

Duration duration_of(double count, Duration unit) {
  const double nanoseconds = std::round(count * static_cast<double>(unit.count()));
  const auto max = static_cast<double>(Duration::max().count());
  if (nanoseconds >= max) return Duration::max();
  return Duration{static_cast<Duration::rep>(nanoseconds)};
}

double number_of(const Json& value, const std::string& path) {
  if (!value.is_number()) throw Failed(path + ": not a number");
  return value.get<double>();
}

std::string plain(double value) {
  constexpr double kExact = 0x1p53;
  const bool whole = value == std::floor(value) && std::abs(value) < kExact;
  return whole ? std::to_string(static_cast<std::int64_t>(value)) : Json(value).dump();
}

Duration duration_of(const Json& value, Duration unit, const std::string& path) {
  return duration_of(number_of(value, path), unit);
}

std::vector<double> numbers_of(const Json& value, const std::string& path) {
  if (!value.is_array()) throw Failed(path + ": not an array");
  std::vector<double> numbers;
  for (const Json& item : value) numbers.push_back(number_of(item, path));
  return numbers;
}

Fields::Fields(const Json& object, std::string path) : object_(object), path_(std::move(path)) {
  if (!object_.is_object()) throw Failed(path_ + ": not an object");
}

bool Fields::has(const char* key) const {
  const auto found = object_.find(key);
  return found != object_.end() && !found->is_null();
}

const Json* Fields::find(const char* key) {
  read_.insert(key);
  return has(key) ? &object_.at(key) : nullptr;
}

const Json& Fields::at(const char* key) {
  const Json* found = find(key);
  if (found == nullptr) throw Failed(path_of(key) + ": missing");
  return *found;
}

Fields Fields::object_or_empty(const char* key) {
  static const Json kEmpty = Json::object();
  const Json* found = find(key);
  return {found == nullptr ? kEmpty : *found, path_of(key)};
}

double Fields::number(const char* key) {
  return number_of(at(key), path_of(key));
}

double Fields::number(const char* key, double otherwise) {
  const Json* found = find(key);
  return found == nullptr ? otherwise : number_of(*found, path_of(key));
}

std::uint32_t Fields::count(const char* key) {
  const double value = number(key);
  constexpr double kMax = std::numeric_limits<std::uint32_t>::max();
  if (value < 0 || value > kMax || value != std::floor(value)) {
    throw Failed(path_of(key) + ": not a count");
  }
  return static_cast<std::uint32_t>(value);
}

std::uint32_t Fields::count(const char* key, std::uint32_t otherwise) {
  return find(key) == nullptr ? otherwise : count(key);
}

std::string Fields::text(const char* key) {
  const Json& value = at(key);
  if (!value.is_string()) throw Failed(path_of(key) + ": not a string");
  return value.get<std::string>();
}

std::string Fields::text(const char* key, const std::string& otherwise) {
  return find(key) == nullptr ? otherwise : text(key);
}

bool Fields::boolean(const char* key) {
  const Json& value = at(key);
  if (!value.is_boolean()) throw Failed(path_of(key) + ": not true or false");
  return value.get<bool>();
}

Duration Fields::milliseconds(const char* key) {
  return duration_of(number(key), std::chrono::milliseconds{1});
}

void Fields::reject_rest() const {
  for (const auto& [key, value] : object_.items()) {
    if (read_.count(key) == 0) throw Skipped("unknown key " + path_of(key.c_str()));
  }
}

}  // namespace recover::conformance
