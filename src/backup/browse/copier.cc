#include "backup/browse/copier.h"

#include <algorithm>
#include <set>

#include "backup/format/tree.h"
#include "backup/repo/blob_saver.h"

namespace recover::backup {
namespace {

class Copy {
 public:
  Copy(const Repository& from, const Repository& to, const BlobIndex& from_index,
       const BlobIndex& to_index, CopyProgress* progress, const std::stop_token& stop)
      : from_(from),
        from_index_(from_index),
        saver_(to, to_index, kPackBytesDefault),
        reader_(from.key(), kDefaultLevel),
        writer_(to.key(), kDefaultLevel),
        progress_(progress),
        stop_(stop) {}

  // All that is below, then the tree itself: what is there is complete.
  Outcome<void> copy_tree(const Digest& id) {
    if (stop_.stop_requested()) return fail(FailureKind::Invalid, "the copy was stopped");
    if (!seen_.insert(id).second) return {};
    if (progress_ != nullptr) ++progress_->trees;
    const auto text = from_.load_blob(from_index_, {.id = id, .type = BlobType::Tree}, reader_);
    if (!text) return Unexpected(text.error());
    std::vector<Digest> blobs;
    std::vector<Digest> below;
    auto read = read_tree(text_of(*text), [&](Node&& node) -> Outcome<void> {
      blobs.insert(blobs.end(), node.content.begin(), node.content.end());
      if (node.subtree) below.push_back(*node.subtree);
      return {};
    });
    if (!read) return read;
    for (const Digest& blob : blobs) {
      if (auto copied = copy_data(blob); !copied) return copied;
    }
    for (const Digest& tree : below) {
      if (auto copied = copy_tree(tree); !copied) return copied;
    }
    return store({.id = id, .type = BlobType::Tree}, *text);
  }
  Outcome<void> finish() { return saver_.finish(); }
  SavedBytes saved() const { return saver_.saved(); }

 private:
  Outcome<void> copy_data(const Digest& id) {
    const BlobKey key{.id = id, .type = BlobType::Data};
    if (saver_.claim(key)) return {};
    const auto plain = from_.load_blob(from_index_, key, reader_);
    if (!plain) return Unexpected(plain.error());
    if (progress_ != nullptr) {
      ++progress_->blobs;
      progress_->bytes += plain->size();
    }
    return saver_.store(writer_, key.type, id, *plain);
  }
  Outcome<void> store(const BlobKey& key, View plain) {
    return saver_.claim(key) ? Outcome<void>() : saver_.store(writer_, key.type, key.id, plain);
  }

  const Repository& from_;
  const BlobIndex& from_index_;
  BlobSaver saver_;
  BlobCodec reader_;
  BlobCodec writer_;
  CopyProgress* progress_;
  const std::stop_token& stop_;
  std::set<Digest> seen_;
};

Digest origin_of(const Repository::FoundSnapshot& found) {
  return found.snapshot.original.value_or(found.id);
}

}  // namespace

Outcome<CopyReport> copy_snapshots(const Repository& from, const Repository& to,
                                   const std::vector<Repository::FoundSnapshot>& snapshots,
                                   const CopyOptions& options, const std::stop_token& stop) {
  const auto there = to.snapshots();
  if (!there) return Unexpected(there.error());
  std::set<Digest> copied;
  for (const Repository::FoundSnapshot& one : *there) copied.insert(origin_of(one));
  const auto from_index = from.load_index();
  if (!from_index) return Unexpected(from_index.error());
  const auto to_index = to.load_index_to_add_to();
  if (!to_index) return Unexpected(to_index.error());

  CopyReport report;
  std::vector<Repository::FoundSnapshot> wanted;
  for (const Repository::FoundSnapshot& one : snapshots) {
    copied.contains(origin_of(one)) ? void(++report.skipped) : wanted.push_back(one);
  }
  Copy copy(from, to, *from_index, *to_index, options.progress, stop);
  for (const Repository::FoundSnapshot& one : wanted) {
    if (auto done = copy.copy_tree(one.snapshot.tree); !done) return Unexpected(done.error());
  }
  if (auto finished = copy.finish(); !finished) return Unexpected(finished.error());
  for (const Repository::FoundSnapshot& one : wanted) {
    Snapshot snapshot = one.snapshot;
    snapshot.original = origin_of(one);
    snapshot.parent.reset();
    if (options.still_locked && !options.still_locked()) {
      return fail(FailureKind::Locked, "the lock was lost while copying: others may have pruned");
    }
    auto saved = to.save(FileKind::Snapshot, text_of(snapshot));
    if (!saved) return Unexpected(std::move(saved.error()));
    ++report.snapshots;
  }
  report.blobs = copy.saved().data_blobs + copy.saved().tree_blobs;
  report.bytes = copy.saved().plain_bytes;
  return report;
}

}  // namespace recover::backup
