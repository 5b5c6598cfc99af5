// Globs on relative paths: "*" and "?" stay within a folder, "**" crosses folders. Pure.
#pragma once

#include <string_view>

namespace recover::adapters::files {

// Whether the whole path matches. "**/x" also matches "x"; "a/**" everything below a.
// Bound: time is at most the product of the lengths.
bool matches(std::string_view glob, std::string_view path);

}  // namespace recover::adapters::files
