// One value of a YAML text, read or replaced in place: comments and layout stay as they are.
#pragma once

#include <string>

#include <recover/result.h>

namespace recover::apps {

// What stands at a dotted path ("auto_recovery.recovery.mode"; list items by number). Error: why
// not.
Result<std::string, std::string> yaml_value(const std::string& yaml, const std::string& path);

// The text with that value. A key that is not there yet is added to the mapping it belongs in.
// Only plain values: for anything larger, edit the file. Error: why not.
Result<std::string, std::string> with_yaml_value(const std::string& yaml, const std::string& path,
                                                 const std::string& value);

}  // namespace recover::apps
