// The difference of two texts, line by line, as `diff -u` writes it. Pure.
#pragma once

#include <string>
#include <string_view>

namespace recover::apps {

// Empty: they are equal. `before` and `after` name them in the head. Texts that differ in more than
// kEditsMax lines are told as one that goes and one that comes.
std::string unified_diff(std::string_view before, std::string_view before_name,
                         std::string_view after, std::string_view after_name);

inline constexpr std::size_t kEditsMax = 1000;

}  // namespace recover::apps
