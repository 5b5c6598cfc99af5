#include "backup/repo/live_index.h"

#include <algorithm>
#include <utility>

namespace recover::backup {

Outcome<void> LiveIndex::refresh() {
  const auto listed = repository_.store().list(FileKind::Index);
  if (!listed) return Unexpected(listed.error());
  std::set<Digest> there;
  for (const StoredFile& file : *listed) there.insert(file.id);
  const bool pruned = !std::includes(there.begin(), there.end(), files_.begin(), files_.end());
  if (!index_ || pruned) {
    auto loaded = repository_.load_index_to_add_to();
    if (!loaded) return Unexpected(std::move(loaded.error()));
    index_.emplace(std::move(*loaded));
    // What came between the list and the loading is read once more, which changes nothing.
    files_ = std::move(there);
    if (const auto& made_from = index_->files())
      files_.insert(made_from->begin(), made_from->end());
    return {};
  }
  for (const Digest& id : there) {
    if (files_.contains(id)) continue;
    const auto text = repository_.load({.kind = FileKind::Index, .id = id});
    if (!text) return Unexpected(text.error());
    const auto read = read_index(*text, [&](IndexedPack&& pack) -> Outcome<void> {
      index_->add(pack);
      return {};
    });
    if (!read) {
      index_->set_files(std::nullopt);  // It knows some of its packs: no cache may keep that.
      return Unexpected(read.error());
    }
    files_.insert(id);
    index_->add_file(id);
  }
  index_->settle();
  return {};
}

}  // namespace recover::backup
