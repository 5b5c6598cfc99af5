// Adds a failure pattern to the text of a configuration, or takes one out, leaving every other line
// and comment as it is.
//
// Knows lines, not YAML: what it makes must be loaded before it is trusted. Refuses what it cannot
// place for certain.
#pragma once

#include <string>
#include <string_view>

#include <recover/result.h>

namespace recover::api {

// `item`: a flow mapping on one line, such as JSON. Error: why not, for people.
Result<std::string, std::string> with_pattern(const std::string& yaml, std::string_view item);
// Error: `id` is not an item of a block list `patterns:` in this text.
Result<std::string, std::string> without_pattern(const std::string& yaml, std::string_view id);

}  // namespace recover::api
