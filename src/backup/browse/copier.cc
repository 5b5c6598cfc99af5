#include "backup/browse/copier.h"

#include <algorithm>
#include <set>
#include <utility>

#include "backup/repo/blob_marks.h"
#include "backup/repo/blob_saver.h"

namespace recover::backup {
namespace {

// Of a folder's subfolders so many are remembered before they are looked into.
constexpr std::size_t kCopiedBelowMax = 8192;

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
        stop_(stop),
        seen_(from_index) {}

  // All that is below, then the tree itself: what is there is complete.
  Outcome<void> copy_tree(const Digest& id) {
    const BlobKey key{.id = id, .type = BlobType::Tree};
    if (stop_.stop_requested()) return fail(FailureKind::Invalid, "the copy was stopped");
    if (!seen_.insert(key)) return {};
    if (progress_ != nullptr) ++progress_->trees;
    std::vector<Digest> below;
    const auto descend = [&]() -> Outcome<void> {
      for (const Digest& tree : std::exchange(below, {})) {
        if (auto copied = copy_tree(tree); !copied) return copied;
      }
      return {};
    };
    auto read = from_.each_node(from_index_, id, reader_, [&](Node&& node) -> Outcome<void> {
      for (const Digest& blob : node.content) {
        if (auto copied = copy_data(blob); !copied) return copied;
      }
      if (node.subtree) below.push_back(*node.subtree);
      return below.size() < kCopiedBelowMax ? Outcome<void>() : descend();
    });
    if (!read) return read;
    if (auto copied = descend(); !copied) return copied;
    if (saver_.claim(key)) return {};
    // Once more rather than held while all below it is copied.
    const auto tree = from_.load_tree(from_index_, id, reader_);
    if (!tree) return Unexpected(tree.error());
    if (!tree->is_long()) return saver_.store(writer_, key.type, id, view_of(tree->text()));
    return saver_.store_long(writer_, id, tree->pieces());
  }
  Outcome<void> finish() { return saver_.finish(); }
  SavedBytes saved() const { return saver_.saved(); }

 private:
  Outcome<void> copy_data(const Digest& id) {
    const BlobKey key{.id = id, .type = BlobType::Data};
    if (saver_.claim(key)) return {};
    const auto plain = from_.read_blob(from_index_, key, reader_);
    if (!plain) return Unexpected(plain.error());
    if (progress_ != nullptr) {
      ++progress_->blobs;
      progress_->bytes += plain->size();
    }
    return saver_.store(writer_, key.type, id, *plain);
  }
  const Repository& from_;
  const BlobIndex& from_index_;
  BlobSaver saver_;
  BlobCodec reader_;
  BlobCodec writer_;
  CopyProgress* progress_;
  const std::stop_token& stop_;
  BlobMarks seen_;  // Trees.
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
