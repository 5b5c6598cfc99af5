// Sizes in bytes and shares of a whole as people write them: "10MiB", "512KB", "85%".
//
// Whole numbers only for sizes, never negative. What the format functions write, the parse
// functions read back as the same value.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace recover::base {

// Units: B KB MB GB TB PB (powers of 1000), KiB MiB GiB TiB PiB (of 1024); none means bytes.
// None: not a size, or more than 64 bits hold.
std::optional<std::uint64_t> parse_size(std::string_view text) noexcept;
// In the largest unit that needs no fraction: "10MiB", "512KB", "1537B".
std::string format_size(std::uint64_t bytes);

// "85%" is 0.85. None: not a number followed by '%', negative, or not finite.
std::optional<double> parse_percentage(std::string_view text) noexcept;
// The shortest text that reads back as the same value.
std::string format_percentage(double ratio);

}  // namespace recover::base
