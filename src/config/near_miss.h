// What the user may have meant.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace recover::config {

// Insertions, deletions, replacements and swaps of neighbours that turn one word into the other
// (Damerau-Levenshtein, optimal string alignment).
std::size_t edit_distance(std::string_view a, std::string_view b);

// " (did you mean `interval`?)", or nothing when no choice is near.
std::string did_you_mean(std::string_view word, const std::vector<std::string_view>& choices);

}  // namespace recover::config
