#include "backup/retain/pruner.h"

#include <boost/unordered/unordered_flat_map.hpp>
#include <boost/unordered/unordered_flat_set.hpp>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "backup/format/tree.h"
#include "backup/repo/pack_builder.h"

namespace recover::backup {
namespace {

// Below this a pack is written anew with others: a thousand of them are slow to list and to read.
constexpr std::uint64_t kSmallPackBytes = (std::uint64_t{4} << 20U) * 8 / 10;
constexpr std::size_t kPrunedIndexBlobsMax = 50'000;

struct PrunedKeyHash {
  std::size_t operator()(const BlobKey& key) const noexcept {
    return std::hash<Digest>()(key.id) + static_cast<std::size_t>(key.type);
  }
};
using KeySet = boost::unordered_flat_set<BlobKey, PrunedKeyHash>;

BlobKey key_of(const BlobEntry& entry) {
  return {.id = entry.id, .type = entry.type};
}

// A pack and what of it is used.
struct Judged {
  IndexedPack pack;
  std::uint64_t used = 0;
  std::uint64_t unused = 0;
  bool mixed = false;

  std::uint64_t bytes() const { return used + unused; }
};

class Prune {
 public:
  Prune(const Repository& repository, const PruneOptions& options, const std::stop_token& stop)
      : repository_(repository), options_(options), stop_(stop) {}

  Outcome<PruneReport> run() {
    const auto old_indexes = repository_.store().list(FileKind::Index);
    if (!old_indexes) return Unexpected(old_indexes.error());
    const auto snapshots = repository_.snapshots();
    if (!snapshots) return Unexpected(snapshots.error());
    auto index = repository_.load_sound_index();
    if (!index) return Unexpected(std::move(index.error()));
    index_ = std::move(*index);
    for (const auto& one : *snapshots) {
      const auto& gone = options_.forget;
      if (std::find(gone.begin(), gone.end(), one.id) != gone.end()) continue;
      if (auto found = use_tree(one.snapshot.tree); !found) return Unexpected(found.error());
    }
    judge_packs();
    if (auto missing = find_missing(); !missing) return Unexpected(missing.error());
    if (options_.dry_run) return report_;
    if (auto rewritten = rewrite(); !rewritten) return Unexpected(rewritten.error());
    if (stop_.stop_requested()) return fail(FailureKind::Invalid, "the prune was stopped");
    if (options_.still_locked && !options_.still_locked()) {
      return fail(FailureKind::Locked, "the lock was lost while pruning: nothing was removed");
    }
    for (const Digest& id : options_.forget) {
      auto gone = repository_.store().remove({.kind = FileKind::Snapshot, .id = id});
      if (!gone && gone.error().kind != FailureKind::NotFound) return Unexpected(gone.error());
    }
    if (auto cut = cut_over(*old_indexes); !cut) return Unexpected(cut.error());
    return report_;
  }

 private:
  // Marks the tree and all below it.
  Outcome<void> use_tree(const Digest& id) {
    const BlobKey key{.id = id, .type = BlobType::Tree};
    if (!used_.insert(key).second) return {};
    const auto text = repository_.load_blob(index_, key, codec_);
    if (!text) return Unexpected(text.error());
    std::vector<Digest> below;
    auto read = read_tree(text_of(*text), [&](Node&& node) -> Outcome<void> {
      for (const Digest& blob : node.content) used_.insert({.id = blob, .type = BlobType::Data});
      if (node.subtree) below.push_back(*node.subtree);
      return {};
    });
    if (!read) return read;
    for (const Digest& subtree : below) {
      if (auto used = use_tree(subtree); !used) return used;
    }
    return {};
  }

  // Of several copies of a blob the first that opens is the used one.
  void judge_packs() {
    std::vector<Judged> partly;
    std::uint64_t total = 0;
    const PackList packs(index_);
    for (std::size_t number = 0; number < packs.size(); ++number) {
      Judged judged = judge(packs.pack(number));
      total += judged.bytes();
      if (judged.used == 0) {
        remove(judged.pack, judged.bytes());
      } else if (judged.unused == 0 && !judged.mixed && judged.bytes() >= kSmallPackBytes) {
        keep(std::move(judged));
      } else {
        partly.push_back(std::move(judged));
      }
    }
    choose(std::move(partly), total);
  }

  Judged judge(IndexedPack pack) {
    Judged judged;
    for (const BlobEntry& blob : pack.blobs) {
      const BlobKey key = key_of(blob);
      const bool used =
          used_.contains(key) && !placed_.contains(key) && is_good_copy(pack.id, blob);
      if (used) placed_.emplace(key, pack.id);
      (used ? judged.used : judged.unused) += blob.length;
      judged.mixed = judged.mixed || blob.type != pack.blobs.front().type;
    }
    judged.pack = std::move(pack);
    return judged;
  }

  // The only copy is taken for good; where there are others, what it says is read.
  bool is_good_copy(const Digest& pack, const BlobEntry& blob) {
    if (index_.find_all(key_of(blob)).size() == 1) return true;
    const auto sealed = repository_.store().read_part({.kind = FileKind::Pack, .id = pack},
                                                      blob.offset, blob.length);
    return sealed && codec_.open(blob, *sealed);
  }

  // The emptiest packs are written anew until little enough is unused; small ones when there are
  // several to go together.
  void choose(std::vector<Judged> partly, std::uint64_t total) {
    std::uint64_t unused = 0;
    std::uint64_t small = 0;
    for (const Judged& one : partly) {
      unused += one.unused;
      small += one.bytes() < kSmallPackBytes ? 1 : 0;
    }
    std::sort(partly.begin(), partly.end(), [](const Judged& a, const Judged& b) {
      return a.unused * b.bytes() > b.unused * a.bytes();
    });
    const auto tolerated =
        static_cast<std::uint64_t>(options_.unused_max * static_cast<double>(total));
    // Data and trees go into a pack each, so up to two small ones are what there has to be.
    constexpr std::uint64_t kSmallMin = 3;
    for (Judged& one : partly) {
      const bool tiny = small >= kSmallMin && one.bytes() < kSmallPackBytes;
      if (!one.mixed && !tiny && (one.unused == 0 || unused <= tolerated)) {
        keep(std::move(one));
        continue;
      }
      unused -= one.unused;
      ++report_.packs_rewritten;
      remove(one.pack, one.unused);
      rewritten_.push_back(std::move(one.pack));
    }
  }

  void keep(Judged judged) {
    ++report_.packs_kept;
    report_.bytes_unused_kept += judged.unused;
    kept_.push_back(std::move(judged.pack));
  }
  void remove(const IndexedPack& pack, std::uint64_t freed) {
    ++report_.packs_removed;
    report_.bytes_freed += freed;
    removed_.push_back(pack.id);
  }

  Outcome<void> find_missing() const {
    for (const BlobKey& key : used_) {
      if (!placed_.contains(key)) {
        return fail(FailureKind::Damaged,
                    "blob " + hex(key.id) + " is used and no index knows it: nothing is removed");
      }
    }
    return {};
  }

  // The used blobs of the chosen packs into new ones, opened and checked on the way.
  Outcome<void> rewrite() {
    for (const IndexedPack& pack : rewritten_) {
      for (const BlobEntry& blob : pack.blobs) {
        if (stop_.stop_requested()) return {};
        const BlobKey key = key_of(blob);
        const auto place = placed_.find(key);
        const bool here = place != placed_.end() && place->second == pack.id;
        if (!here || !moved_.insert(key).second) continue;
        // Opened and compared, then moved as it is: sealing it anew would change nothing.
        const auto sealed = repository_.load_sealed(index_, key, codec_);
        if (!sealed) return Unexpected(sealed.error());
        PackBuilder& builder = builders_[static_cast<std::size_t>(blob.type)];
        if (builder.would_exceed(sealed->bytes.size(), kPackBytesDefault)) {
          if (auto written = write(builder); !written) return written;
        }
        builder.take(sealed->entry, sealed->bytes);
      }
    }
    for (PackBuilder& builder : builders_) {
      if (builder.empty()) continue;
      if (auto written = write(builder); !written) return written;
    }
    return {};
  }

  Outcome<void> write(PackBuilder& builder) {
    FinishedPack pack = builder.finish(codec_.cipher());
    const FileName name{.kind = FileKind::Pack, .id = pack.index.id};
    if (auto written = repository_.store().write(name, pack.bytes); !written) return written;
    kept_.push_back(std::move(pack.index));
    return {};
  }

  Outcome<void> cut_over(const std::vector<StoredFile>& old_indexes) {
    if (removed_.empty()) return remove_unnamed();
    IndexText text;
    for (const IndexedPack& pack : kept_) {
      text.add(pack);
      if (text.blobs() < kPrunedIndexBlobsMax) continue;
      if (auto saved = repository_.save(FileKind::Index, text.finish()); !saved) {
        return Unexpected(saved.error());
      }
    }
    if (text.blobs() > 0) {
      if (auto saved = repository_.save(FileKind::Index, text.finish()); !saved) {
        return Unexpected(saved.error());
      }
    }
    for (const StoredFile& file : old_indexes) {
      auto gone = repository_.store().remove({.kind = FileKind::Index, .id = file.id});
      if (!gone) return gone;
    }
    return remove_unnamed();
  }

  // Every pack that no index names now: those of this run and what earlier ones left behind.
  Outcome<void> remove_unnamed() {
    if (auto swept = repository_.store().sweep(); !swept) return swept;
    boost::unordered_flat_set<Digest, std::hash<Digest>> named;
    for (const IndexedPack& pack : kept_) named.insert(pack.id);
    const auto files = repository_.store().list(FileKind::Pack);
    if (!files) return Unexpected(files.error());
    for (const StoredFile& file : *files) {
      if (named.contains(file.id)) continue;
      auto gone = repository_.store().remove({.kind = FileKind::Pack, .id = file.id});
      if (!gone && gone.error().kind != FailureKind::NotFound) return gone;
    }
    return {};
  }

  const Repository& repository_;
  const PruneOptions& options_;
  const std::stop_token& stop_;
  BlobCodec codec_{repository_.key(), kDefaultLevel};
  BlobIndex index_;
  KeySet used_;
  // The pack whose copy is used: of several, one that opens.
  boost::unordered_flat_map<BlobKey, Digest, PrunedKeyHash> placed_;
  KeySet moved_;
  std::vector<IndexedPack> kept_;
  std::vector<IndexedPack> rewritten_;
  std::vector<Digest> removed_;
  std::array<PackBuilder, 2> builders_;  // By BlobType.
  PruneReport report_;
};

}  // namespace

Outcome<PruneReport> prune(const Repository& repository, const PruneOptions& options,
                           const std::stop_token& stop) {
  return Prune(repository, options, stop).run();
}

}  // namespace recover::backup
