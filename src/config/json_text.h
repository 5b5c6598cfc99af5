// JSON literals for the schema.
#pragma once

#include <string>
#include <string_view>

namespace recover::config {

// With quotes; everything that JSON does not allow inside them escaped.
std::string json_string(std::string_view text);
// Finite numbers, in the shortest form that reads back the same.
std::string json_number(double value);

}  // namespace recover::config
