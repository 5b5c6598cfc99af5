// A JSON object read by member name. Knows what has been read, so that a member nobody understands
// is reported instead of ignored.
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <initializer_list>
#include <set>
#include <string>
#include <vector>

#include <recover/time.h>

namespace recover::conformance {

using Json = nlohmann::ordered_json;

// Vectors give times in milliseconds, seconds or nanoseconds; what is beyond Duration saturates.
Duration duration_of(double count, Duration unit);
// The same for a JSON number; Failed, naming `path`, for anything else.
Duration duration_of(const Json& value, Duration unit, const std::string& path);
double number_of(const Json& value, const std::string& path);
// Without a fraction where there is none, for messages.
std::string plain(double value);
std::vector<double> numbers_of(const Json& value, const std::string& path);

// Failed, naming the path, for a member that is missing or of another type. A null member counts
// as absent. Keeps a reference to the object.
class Fields {
 public:
  Fields(const Json& object, std::string path);

  bool has(const char* key) const;
  const Json* find(const char* key);
  const Json& at(const char* key);
  Fields object(const char* key) { return {at(key), path_of(key)}; }
  // The object, or one without members where it is absent.
  Fields object_or_empty(const char* key);

  double number(const char* key);
  double number(const char* key, double otherwise);
  std::uint32_t count(const char* key);
  std::uint32_t count(const char* key, std::uint32_t otherwise);
  std::string text(const char* key);
  std::string text(const char* key, const std::string& otherwise);
  bool boolean(const char* key);
  std::vector<double> numbers(const char* key) { return numbers_of(at(key), path_of(key)); }
  Duration milliseconds(const char* key);

  // Members that only explain.
  void ignore(std::initializer_list<const char*> keys) { read_.insert(keys.begin(), keys.end()); }
  // Skipped, naming the first member that was not read.
  void reject_rest() const;

  std::string path_of(const char* key) const { return path_.empty() ? key : path_ + "." + key; }

 private:
  const Json& object_;
  std::string path_;
  std::set<std::string> read_;
};

}  // namespace recover::conformance
