// Bytes owned and bytes looked at.
#pragma once

#include <cstdint>
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
inline void append(Bytes& out, View more) {
  out.insert(out.end(), more.begin(), more.end());
}

}  // namespace recover::backup
