// The part of a repository that reads blobs: one that is damaged is passed over for another copy,
// and one that is too long to be held goes through a file.
#include <algorithm>
#include <optional>
#include <utility>

#include "backup/format/tree.h"
#include "backup/local/file.h"
#include "backup/repo/repository.h"

namespace recover::backup {
namespace {

constexpr unsigned kCopiesMax = 8;  // Of one pack, in the members of a mirror.
// Of a tree's text so many nodes are in memory.
constexpr std::size_t kNodesAtOnce = 4096;
constexpr std::size_t kTextPieceBytes = std::size_t{1} << 20U;

// Calls `open` with each copy of the blob until one is taken. What is damaged may be right in
// another copy of its pack.
template <class T, class Open>
Outcome<T> first_good(Store& store, const BlobIndex& index, const BlobKey& key, Open&& open) {
  std::optional<Failure> first;
  for (const BlobLocation& place : index.find_all(key)) {
    const FileName pack{.kind = FileKind::Pack, .id = place.pack};
    bool again = true;
    for (unsigned tries = 0; again && tries < kCopiesMax; ++tries) {
      bool came = false;
      auto opened = open(pack, place.entry, came);
      if (opened) return opened;
      if (!first) first = std::move(opened.error());
      again = came && store.distrust(pack);
    }
  }
  if (first) return Unexpected(std::move(*first));
  return fail(FailureKind::NotFound, "blob " + hex(key.id) + ": no index knows it");
}

// The same with the sealed bytes of each copy.
template <class T, class Open>
Outcome<T> first_good_sealed(Store& store, const BlobIndex& index, const BlobKey& key,
                             Open&& open) {
  return first_good<T>(store, index, key,
                       [&](const FileName& pack, const BlobEntry& entry, bool& came) -> Outcome<T> {
                         auto sealed = store.read_part(pack, entry.offset, entry.length);
                         came = sealed.has_value();
                         if (!came) return Unexpected(std::move(sealed.error()));
                         return open(entry, std::move(*sealed));
                       });
}

}  // namespace

Pieces LoadedTree::pieces() const {
  const auto each = [this](const std::function<bool(View)>& use) {
    for (View rest = view_of(text()); !rest.empty();) {
      const View piece = rest.first(std::min(rest.size(), kTextPieceBytes));
      if (!use(piece)) return false;
      rest = rest.subspan(piece.size());
      give_back();
    }
    return true;
  };
  return {.size = text().size(), .each = each};
}

Outcome<Bytes> Repository::load_blob(const BlobIndex& index, const BlobKey& key,
                                     BlobCodec& codec) const {
  const auto plain = read_blob(index, key, codec);
  if (!plain) return Unexpected(plain.error());
  return Bytes(plain->begin(), plain->end());
}

Outcome<View> Repository::read_blob(const BlobIndex& index, const BlobKey& key,
                                    BlobCodec& codec) const {
  if (const auto plain = read_in_place(index, key, codec)) return *plain;
  return first_good_sealed<View>(
      *store_, index, key,
      [&](const BlobEntry& entry, const Bytes& sealed) { return codec.read(entry, sealed); });
}

Outcome<LoadedTree> Repository::load_tree(const BlobIndex& index, const Digest& id,
                                          BlobCodec& codec) const {
  return first_good<LoadedTree>(
      *store_, index, {.id = id, .type = BlobType::Tree},
      [&](const FileName& pack, const BlobEntry& entry, bool& came) -> Outcome<LoadedTree> {
        if (is_longer(entry, kLongTreeBytes)) {
          if (auto text = SpilledText::open(index.spill_folder())) {
            auto tree = load_long(pack, entry, codec, std::move(*text), came);
            // Without room on the disk it is held: nobody takes a full disk for damage.
            if (tree || tree.error().kind != FailureKind::Full) return tree;
          }
        }
        const auto sealed = store_->read_part(pack, entry.offset, entry.length);
        came = sealed.has_value();
        if (!came) return Unexpected(sealed.error());
        auto plain = codec.open(entry, *sealed);
        if (!plain) return Unexpected(std::move(plain.error()));
        return LoadedTree(std::move(*plain));
      });
}

Outcome<LoadedTree> Repository::load_long(const FileName& pack, const BlobEntry& entry,
                                          BlobCodec& codec, SpilledText text, bool& came) const {
  came = true;
  const auto part = [&](std::uint64_t offset, std::uint64_t length) {
    auto bytes = store_->read_part(pack, entry.offset + offset, length);
    came = bytes.has_value();
    return bytes;
  };
  const auto no_room = [] {
    return fail(FailureKind::Full, "no room for the text of a giant folder");
  };
  const auto read = codec.read_long(entry, part, [&](View piece) -> Outcome<void> {
    return text.append(text_of(piece)) ? Outcome<void>() : no_room();
  });
  if (!read) return Unexpected(read.error());
  if (!text.flush()) return no_room();
  auto region = text.map();
  if (!region) return system_failure("mapping", "the text of a tree");
  return LoadedTree(std::move(*region));
}

Outcome<void> Repository::each_node(const BlobIndex& index, const Digest& tree, BlobCodec& codec,
                                    const std::function<Outcome<void>(Node&&)>& use) const {
  const auto text = load_tree(index, tree, codec);
  if (!text) return Unexpected(text.error());
  std::size_t seen = 0;
  return read_tree(text->text(), [&](Node&& node) -> Outcome<void> {
    if (++seen % kNodesAtOnce == 0) text->give_back();
    return use(std::move(node));
  });
}

Outcome<void> Repository::check_copy(const BlobLocation& place, BlobCodec& codec) const {
  const FileName pack{.kind = FileKind::Pack, .id = place.pack};
  const BlobEntry& entry = place.entry;
  if (is_longer(entry, kLongBlobBytes)) {
    const auto part = [&](std::uint64_t offset, std::uint64_t length) {
      return store_->read_part(pack, entry.offset + offset, length);
    };
    return codec.read_long(entry, part, [](View) { return Outcome<void>(); });
  }
  const auto sealed = store_->read_part(pack, entry.offset, entry.length);
  if (!sealed) return Unexpected(sealed.error());
  const auto plain = codec.read(entry, *sealed);
  return plain ? Outcome<void>() : Outcome<void>(Unexpected(plain.error()));
}

Outcome<Repository::SealedBlob> Repository::load_sealed(const BlobIndex& index, const BlobKey& key,
                                                        BlobCodec& codec) const {
  return first_good_sealed<SealedBlob>(
      *store_, index, key, [&](const BlobEntry& entry, Bytes&& sealed) -> Outcome<SealedBlob> {
        if (auto plain = codec.read(entry, sealed); !plain) return Unexpected(plain.error());
        return SealedBlob{.entry = entry, .bytes = std::move(sealed)};
      });
}

}  // namespace recover::backup
