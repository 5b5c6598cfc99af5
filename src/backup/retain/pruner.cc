#include "backup/retain/pruner.h"

#include <boost/unordered/unordered_flat_map.hpp>
#include <boost/unordered/unordered_flat_set.hpp>

#include <algorithm>
#include <chrono>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "backup/format/tree.h"
#include "backup/repo/pack_builder.h"
#include "backup/retain/pack_removal.h"

namespace recover::backup {
namespace {

// Below this a pack is written anew with others: a thousand of them are slow to list and to read.
constexpr std::uint64_t kSmallPackBytes = (std::uint64_t{4} << 20U) * 8 / 10;
constexpr std::size_t kPrunedIndexBlobsMax = 50'000;
constexpr std::size_t kSmallIndexBlobs = 10'000;

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
    if (auto marked = mark(); !marked) return Unexpected(std::move(marked.error()));
    if (options_.dry_run) return report_;
    if (auto written = rewrite(); !written) return Unexpected(std::move(written.error()));
    if (stop_.stop_requested()) return stopped();
    if (auto named = write_indexes(); !named) return Unexpected(std::move(named.error()));
    if (auto alone = exclude(); !alone) return Unexpected(std::move(alone.error()));
    if (auto same = look_again(); !same) return Unexpected(std::move(same.error()));
    if (auto gone = remove_files(); !gone) return Unexpected(std::move(gone.error()));
    return report_;
  }

 private:
  static Unexpected<Failure> stopped() {
    return fail(FailureKind::Invalid, "the prune was stopped");
  }
  static Unexpected<Failure> disturbed(const std::string& what) {
    return fail(FailureKind::Locked, what + " while pruning: nothing was removed");
  }

  // Finds what is used, and what becomes of each pack.
  Outcome<void> mark() {
    // Index files first: what a later one names is looked at when nobody else works.
    const auto indexes = repository_.store().list(FileKind::Index);
    if (!indexes) return Unexpected(indexes.error());
    for (const StoredFile& file : *indexes) known_indexes_.insert(file.id);
    const auto snapshots = repository_.snapshots();
    if (!snapshots) return Unexpected(snapshots.error());
    auto index = repository_.load_sound_index();
    if (!index) return Unexpected(std::move(index.error()));
    index_ = std::move(*index);
    const auto& gone = options_.forget;
    for (const auto& one : *snapshots) {
      known_snapshots_.insert(one.id);
      if (std::find(gone.begin(), gone.end(), one.id) != gone.end()) continue;
      if (auto found = use_tree(one.snapshot.tree); !found) return found;
    }
    judge_packs();
    if (options_.progress != nullptr) {
      options_.progress->packs_total = rewritten_.size() + removed_.size();
    }
    return find_missing();
  }

  Outcome<void> exclude() const { return options_.exclude ? options_.exclude() : Outcome<void>(); }

  // Looking again may have taken long, and so may this: the lock is asked for all the way.
  Outcome<void> remove_files() {
    LockWatch lock(options_);
    const auto remove_all = [&](FileKind kind, const std::vector<Digest>& ids) -> Outcome<void> {
      for (const Digest& id : ids) {
        if (auto held = lock.ask(); !held) return held;
        if (auto gone = remove_file(repository_, kind, id); !gone) return gone;
      }
      return {};
    };
    if (auto held = lock.ask(); !held) return held;
    if (auto gone = remove_all(FileKind::Snapshot, options_.forget); !gone) return gone;
    if (auto gone = remove_all(FileKind::Index, old_indexes_); !gone) return gone;
    return remove_unnamed_packs(repository_, options_, lock, stop_);
  }

  // What others did since mark(). A snapshot that is new may use what was to go.
  Outcome<void> look_again() {
    const auto indexes = repository_.store().list(FileKind::Index);
    if (!indexes) return Unexpected(indexes.error());
    std::size_t still_there = 0;
    for (const StoredFile& file : *indexes) still_there += known_indexes_.contains(file.id) ? 1 : 0;
    if (still_there != known_indexes_.size()) return disturbed("somebody else removed index files");
    const auto snapshots = repository_.snapshots();
    if (!snapshots) return Unexpected(snapshots.error());
    const bool any_new = std::any_of(snapshots->begin(), snapshots->end(), [&](const auto& one) {
      return !known_snapshots_.contains(one.id);
    });
    if (!any_new) return {};
    // With what they added.
    auto index = repository_.load_sound_index();
    if (!index) return Unexpected(std::move(index.error()));
    index_ = std::move(*index);
    for (const auto& one : *snapshots) {
      if (known_snapshots_.contains(one.id)) continue;
      if (auto found = use_tree(one.snapshot.tree); !found) return found;
    }
    const auto is_left = [&](const BlobKey& key) {
      const auto places = index_.find_all(key);
      return std::any_of(places.begin(), places.end(), [&](const BlobLocation& place) {
        return !removed_.contains(place.pack) && !gone_.contains(place.pack);
      });
    };
    const bool all_left = std::all_of(used_.begin(), used_.end(), is_left);
    return all_left ? Outcome<void>() : disturbed("a new snapshot used what was to go");
  }

  // Marks the tree and all below it.
  Outcome<void> use_tree(const Digest& id) {
    const BlobKey key{.id = id, .type = BlobType::Tree};
    if (!used_.insert(key).second) return {};
    const auto text = repository_.load_blob(index_, key, codec_);
    if (!text) return Unexpected(text.error());
    if (stop_.stop_requested()) return stopped();
    if (options_.progress != nullptr) ++options_.progress->trees;
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
        keep(judged);
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
      const bool enough = !one.mixed && !tiny && (one.unused == 0 || unused <= tolerated);
      if (enough || !options_.rewrite) {
        keep(one);
        continue;
      }
      unused -= one.unused;
      ++report_.packs_rewritten;
      remove(one.pack, one.unused);
      rewritten_.push_back(std::move(one.pack));
    }
  }

  void keep(const Judged& judged) {
    ++report_.packs_kept;
    report_.bytes_unused_kept += judged.unused;
  }
  void remove(const IndexedPack& pack, std::uint64_t freed) {
    ++report_.packs_removed;
    report_.bytes_freed += freed;
    removed_.insert(pack.id);
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
    const auto begun = std::chrono::steady_clock::now();
    for (const IndexedPack& pack : rewritten_) {
      if (options_.progress != nullptr) ++options_.progress->packs_done;
      for (const BlobEntry& blob : pack.blobs) {
        if (stop_.stop_requested()) return {};
        slow_down(begun);
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
        moved_bytes_ += sealed->bytes.size();
        if (options_.progress != nullptr) options_.progress->bytes = moved_bytes_;
      }
    }
    for (PackBuilder& builder : builders_) {
      if (builder.empty()) continue;
      if (auto written = write(builder); !written) return written;
    }
    return {};
  }

  // Not before so many bytes are due at the rate that was asked for.
  void slow_down(std::chrono::steady_clock::time_point begun) const {
    if (options_.rewrite_rate == 0) return;
    const double due =
        static_cast<double>(moved_bytes_) / static_cast<double>(options_.rewrite_rate);
    std::this_thread::sleep_until(begun +
                                  std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                                      std::chrono::duration<double>(due)));
  }

  Outcome<void> write(PackBuilder& builder) {
    FinishedPack pack = builder.finish(codec_.cipher());
    const FileName name{.kind = FileKind::Pack, .id = pack.index.id};
    if (auto written = repository_.store().write(name, pack.bytes); !written) return written;
    added_.push_back(std::move(pack.index));
    return {};
  }

  // Index files that name a pack that goes are written anew without it; so are small ones, for a
  // thousand of them are slow to load.
  Outcome<void> write_indexes() {
    if (removed_.empty()) return {};
    IndexText text;
    std::vector<Digest> fresh;
    const auto save = [&]() -> Outcome<void> {
      if (text.blobs() == 0) return {};
      const auto saved = repository_.save(FileKind::Index, text.finish());
      if (!saved) return Unexpected(saved.error());
      fresh.push_back(*saved);
      return {};
    };
    const auto add = [&](const IndexedPack& pack) -> Outcome<void> {
      text.add(pack);
      return text.blobs() < kPrunedIndexBlobsMax ? Outcome<void>() : save();
    };
    for (const IndexedPack& pack : added_) {
      if (auto taken = add(pack); !taken) return taken;
    }
    std::set<Digest> named;
    for (const Digest& id : known_indexes_) {
      auto packs = packs_of(repository_, id);
      if (!packs) return Unexpected(std::move(packs.error()));
      std::size_t blobs = 0;
      bool stays = true;
      for (const IndexedPack& pack : *packs) {
        blobs += pack.blobs.size();
        const bool again = !named.insert(pack.id).second;
        stays = stays && !again && !removed_.contains(pack.id) && index_.has_pack(pack.id);
      }
      if (stays && blobs >= kSmallIndexBlobs) continue;
      old_indexes_.push_back(id);
      for (const IndexedPack& pack : *packs) {
        // Those that are missing and not used are named no more, and go if they come back.
        if (!index_.has_pack(pack.id)) gone_.insert(pack.id);
        if (removed_.contains(pack.id) || gone_.contains(pack.id)) continue;
        if (!renamed_.insert(pack.id).second) continue;
        if (auto taken = add(pack); !taken) return taken;
      }
    }
    if (auto saved = save(); !saved) return saved;
    // What looks again has to find these too: all that was moved hangs on them.
    known_indexes_.insert(fresh.begin(), fresh.end());
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
  std::set<Digest> known_indexes_;    // At mark(), and those written since.
  std::set<Digest> known_snapshots_;  // At mark().
  std::vector<IndexedPack> rewritten_;
  std::vector<IndexedPack> added_;   // What was rewritten, in its new packs.
  std::set<Digest> removed_;         // Packs.
  std::set<Digest> gone_;            // Packs that were missing at mark(): named no more.
  std::set<Digest> renamed_;         // Packs that stay, named by a new index file.
  std::vector<Digest> old_indexes_;  // Whose packs new index files name.
  std::uint64_t moved_bytes_ = 0;
  std::array<PackBuilder, 2> builders_;  // By BlobType.
  PruneReport report_;
};

}  // namespace

Outcome<PruneReport> prune(const Repository& repository, const PruneOptions& options,
                           const std::stop_token& stop) {
  return Prune(repository, options, stop).run();
}

}  // namespace recover::backup
