// Bytes owned and bytes looked at.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

namespace recover::backup {

using Bytes = std::vector<std::uint8_t>;
using View = std::span<const std::uint8_t>;

inline View view_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
inline std::string_view text_of(View bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Bytes that are too many to be held. `each` calls what it is given with all of them, piece by
// piece, until that says no; it is false then, and when they cannot be read.
struct Pieces {
  std::uint64_t size = 0;
  std::function<bool(const std::function<bool(View)>&)> each;
};

inline void append(Bytes& out, View more) {
  out.insert(out.end(), more.begin(), more.end());
}

}  // namespace recover::backup
