// Scalars of YAML, quoted as they must be.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace recover::import {

// Plain where that is safe, else in double quotes. `${` is escaped: it would be a secret's place.
std::string scalar(std::string_view text);
// "[a, b]"
std::string flow_list(const std::vector<std::string>& items);

}  // namespace recover::import
