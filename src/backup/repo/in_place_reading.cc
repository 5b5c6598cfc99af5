// The quick way to a blob of a store that reads in place: most reads of a restore are of this kind.
#include "backup/repo/repository.h"

namespace recover::backup {

std::optional<View> Repository::read_in_place(const BlobIndex& index, const BlobKey& key,
                                              BlobCodec& codec) const {
  // Longer than what anybody writes: a damaged index may say any length.
  constexpr std::uint32_t kBytesMax = std::uint32_t{16} << 20U;
  const auto place = index.find(key);
  if (!place || place->entry.length > kBytesMax) return std::nullopt;
  const FileName pack{.kind = FileKind::Pack, .id = place->pack};
  return codec.read_filled(place->entry, [&](std::span<std::uint8_t> room) {
    return store_->read_in_place(pack, place->entry.offset, room);
  });
}

}  // namespace recover::backup
