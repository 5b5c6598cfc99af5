// A small file that is there as a whole, before or after: whatever crashes.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <recover/result.h>

namespace recover::adapters::backup {

// Written beside, made durable, renamed; mode 0600. Error: why not, with the path.
Result<void, std::string> write_whole(const std::string& path, std::string_view text);

// Nothing: there is none, or it cannot be read, or is larger than kWholeFileMax.
inline constexpr std::size_t kWholeFileMax = 16U << 20U;
std::optional<std::string> read_whole(const std::string& path);

}  // namespace recover::adapters::backup
