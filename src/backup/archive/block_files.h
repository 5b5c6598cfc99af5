// Which files change in place, page by page: databases and disk images. They are cut into blocks of
// one size instead of by content, so that a changed page costs a block and not a megabyte.
#pragma once

#include <cstdint>
#include <string_view>

#include "backup/crypto/bytes.h"

namespace recover::backup {

// The bytes of a block, or 0: cut this file by content. Told from the path, from the file's first
// bytes, and from its size: of a file so large that blocks would fill the index they are larger, in
// steps that few files cross as they grow.
std::size_t block_bytes(std::string_view path, View head, std::uint64_t size);

inline constexpr std::size_t kBlockBytesMin = std::size_t{64} << 10U;

}  // namespace recover::backup
