// JSON literals for the schema.
#pragma once

#include <string>
#include <string_view>

namespace recover::config {

// Whether tables keep what only the schema tells. Set before the first table is made.
// NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables)
inline bool schema_wanted = true;
// In place of a shape that nobody wants.
inline constexpr const char* kNoShape = "{}";

// With quotes; everything that JSON does not allow inside them escaped.
std::string json_string(std::string_view text);
// Finite numbers, in the shortest form that reads back the same.
std::string json_number(double value);

}  // namespace recover::config
