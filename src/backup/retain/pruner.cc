#include "backup/retain/pruner.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "backup/repo/blob_marks.h"
#include "backup/repo/pack_builder.h"
#include "backup/retain/pack_removal.h"

namespace recover::backup {
namespace {

// Below this a pack is written anew with others: a thousand of them are slow to list and to read.
constexpr std::uint64_t kSmallPackBytes = (std::uint64_t{4} << 20U) * 8 / 10;
constexpr std::size_t kPrunedIndexBlobsMax = 20'000;
constexpr std::size_t kSmallIndexBlobs = 10'000;

// Of a folder's subfolders so many are remembered before they are looked into.
constexpr std::size_t kUsedBelowMax = 8192;

BlobKey key_of(const BlobEntry& entry) {
  return {.id = entry.id, .type = entry.type};
}

// What of a pack is used.
struct Judged {
  std::size_t number = 0;  // Of the list of packs.
  std::uint64_t used = 0;
  std::uint64_t unused = 0;
  bool mixed = false;
  bool is_small = false;
  bool is_giants = false;  // It holds a used blob that is too long to be moved in memory.

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
    index_ = std::make_unique<BlobIndex>(std::move(*index));
    used_.emplace(*index_);
    const auto& gone = options_.forget;
    for (const auto& one : *snapshots) {
      known_snapshots_.insert(one.id);
      if (std::find(gone.begin(), gone.end(), one.id) != gone.end()) continue;
      if (auto found = use_tree(one.snapshot.tree); !found) return found;
    }
    if (auto missing = judge_packs(); !missing) return missing;
    if (options_.progress != nullptr) {
      options_.progress->packs_total = rewritten_.size() + removed_.size();
    }
    return {};
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
    auto fresh = std::make_unique<BlobIndex>(std::move(*index));
    used_->rebase(*fresh);
    // Of the index before.
    packs_.reset();
    chosen_.reset();
    index_ = std::move(fresh);
    for (const auto& one : *snapshots) {
      if (known_snapshots_.contains(one.id)) continue;
      if (auto found = use_tree(one.snapshot.tree); !found) return found;
    }
    const auto is_left = [&](const BlobKey& key) {
      const auto places = index_->find_all(key);
      return std::any_of(places.begin(), places.end(), [&](const BlobLocation& place) {
        return !removed_.contains(place.pack) && !gone_.contains(place.pack);
      });
    };
    return used_->all_of(is_left) ? Outcome<void>()
                                  : disturbed("a new snapshot used what was to go");
  }

  // Marks the tree and all below it.
  Outcome<void> use_tree(const Digest& id) {
    const BlobKey key{.id = id, .type = BlobType::Tree};
    if (!used_->insert(key)) return {};
    if (stop_.stop_requested()) return stopped();
    if (options_.progress != nullptr) ++options_.progress->trees;
    std::vector<Digest> below;
    const auto descend = [&]() -> Outcome<void> {
      for (const Digest& subtree : std::exchange(below, {})) {
        if (auto used = use_tree(subtree); !used) return used;
      }
      return {};
    };
    auto read = repository_.each_node(*index_, id, codec_, [&](Node&& node) -> Outcome<void> {
      for (const Digest& blob : node.content) {
        if (auto used = use_data(blob); !used) return used;
      }
      if (node.subtree) below.push_back(*node.subtree);
      return below.size() < kUsedBelowMax ? Outcome<void>() : descend();
    });
    return read ? descend() : read;
  }

  Outcome<void> use_data(const Digest& id) {
    const auto position = index_->position({.id = id, .type = BlobType::Data});
    if (!position) return missing(id);
    used_->insert_at(*position);
    return {};
  }

  static Unexpected<Failure> missing(const Digest& blob) {
    return fail(FailureKind::Damaged,
                "blob " + hex(blob) + " is used and no index knows it: nothing is removed");
  }

  // Of several copies of a blob the first that opens is the used one.
  Outcome<void> judge_packs() {
    std::vector<Judged> partly;
    std::uint64_t total = 0;
    BlobMarks placed(*index_);
    chosen_.emplace(*index_);
    packs_.emplace(*index_);
    for (std::size_t number = 0; number < packs_->size(); ++number) {
      const Judged judged = judge(number, placed);
      total += judged.bytes();
      if (judged.used == 0) {
        remove(number, judged.bytes());
      } else if (judged.unused == 0 && !judged.mixed && !judged.is_small) {
        keep(judged);
      } else {
        partly.push_back(judged);
      }
    }
    choose(std::move(partly), total);
    Outcome<void> all;
    used_->all_of([&](const BlobKey& key) {
      if (!placed.contains(key)) all = missing(key.id);
      return all.has_value();
    });
    return all;
  }

  Judged judge(std::size_t number, BlobMarks& placed) {
    Judged judged{.number = number};
    const auto blobs = packs_->blobs(number);
    for (const auto& [position, blob] : blobs) {
      const BlobIndex::Copies copies = index_->copies_of(position);
      const bool used = used_->contains_at(copies.first) && !placed.contains_at(copies.first) &&
                        (copies.count == 1 || is_good_copy(number, blob));
      if (used) placed.insert_at(copies.first);
      if (used) chosen_->insert(position);
      (used ? judged.used : judged.unused) += blob.length;
      judged.mixed = judged.mixed || blob.type != blobs.front().entry.type;
      judged.is_giants = judged.is_giants || (used && is_longer(blob, kLongBlobBytes));
    }
    // One of tiny blobs is as full as it gets.
    judged.is_small = judged.bytes() < kSmallPackBytes && blobs.size() < kPackBlobsMax;
    return judged;
  }

  // The only copy is taken for good; where there are others, what it says is read.
  bool is_good_copy(std::size_t pack, const BlobEntry& blob) {
    return repository_.check_copy({.pack = packs_->id(pack), .entry = blob}, codec_).has_value();
  }

  // The emptiest packs are written anew until little enough is unused; small ones when there are
  // several to go together.
  void choose(std::vector<Judged> partly, std::uint64_t total) {
    std::uint64_t unused = 0;
    std::uint64_t small = 0;
    for (const Judged& one : partly) {
      unused += one.unused;
      small += one.is_small ? 1 : 0;
    }
    std::sort(partly.begin(), partly.end(), [](const Judged& a, const Judged& b) {
      return a.unused * b.bytes() > b.unused * a.bytes();
    });
    const auto tolerated =
        static_cast<std::uint64_t>(options_.unused_max * static_cast<double>(total));
    // Data and trees go into a pack each, so up to two small ones are what there has to be.
    constexpr std::uint64_t kSmallMin = 3;
    for (const Judged& one : partly) {
      const bool tiny = small >= kSmallMin && one.is_small;
      const bool enough = !one.mixed && !tiny && (one.unused == 0 || unused <= tolerated);
      if (enough || one.is_giants || !options_.rewrite) {
        keep(one);
        continue;
      }
      unused -= one.unused;
      ++report_.packs_rewritten;
      remove(one.number, one.unused);
      rewritten_.push_back(one.number);
    }
  }

  void keep(const Judged& judged) {
    ++report_.packs_kept;
    report_.bytes_unused_kept += judged.unused;
  }
  void remove(std::size_t number, std::uint64_t freed) {
    ++report_.packs_removed;
    report_.bytes_freed += freed;
    removed_.insert(packs_->id(number));
  }

  // The used blobs of the chosen packs into new ones, opened and checked on the way.
  Outcome<void> rewrite() {
    const auto begun = std::chrono::steady_clock::now();
    for (const std::size_t number : rewritten_) {
      if (options_.progress != nullptr) ++options_.progress->packs_done;
      auto blobs = packs_->blobs(number);
      std::erase_if(blobs, [&](const auto& one) { return !chosen_->contains(one.position); });
      std::sort(blobs.begin(), blobs.end(), [](const auto& a, const auto& b) {
        return a.entry.offset < b.entry.offset;  // As they are read.
      });
      for (const auto& [position, blob] : blobs) {
        if (stop_.stop_requested()) return {};
        slow_down(begun);
        if (auto moved = move(key_of(blob)); !moved) return moved;
      }
    }
    for (PackBuilder& builder : builders_) {
      if (builder.empty()) continue;
      if (auto written = write(builder); !written) return written;
    }
    return {};
  }

  // Opened and compared, then moved as it is: sealing it anew would change nothing.
  Outcome<void> move(const BlobKey& key) {
    const auto sealed = repository_.load_sealed(*index_, key, codec_);
    if (!sealed) return Unexpected(sealed.error());
    PackBuilder& builder = builders_[static_cast<std::size_t>(key.type)];
    if (builder.would_exceed(sealed->bytes.size(), kPackBytesDefault)) {
      if (auto written = write(builder); !written) return written;
    }
    builder.take(sealed->entry, sealed->bytes);
    moved_bytes_ += sealed->bytes.size();
    if (options_.progress != nullptr) options_.progress->bytes = moved_bytes_;
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
    const auto pack = write_pack(repository_.store(), builder, codec_.cipher());
    return pack ? name(*pack) : Outcome<void>(Unexpected(pack.error()));
  }

  // Into one of the new index files.
  Outcome<void> name(const IndexedPack& pack) {
    index_text_.add(pack);
    return index_text_.blobs() < kPrunedIndexBlobsMax ? Outcome<void>() : save_index();
  }

  Outcome<void> save_index() {
    if (index_text_.blobs() == 0) return {};
    const auto saved = repository_.save(FileKind::Index, index_text_.finish());
    if (!saved) return Unexpected(saved.error());
    fresh_indexes_.push_back(*saved);
    return {};
  }

  // Index files that name a pack that goes are written anew without it; so are small ones, for a
  // thousand of them are slow to load.
  Outcome<void> write_indexes() {
    if (removed_.empty()) return {};
    std::set<Digest> named;
    for (const Digest& id : known_indexes_) {
      auto packs = packs_of(repository_, id);
      if (!packs) return Unexpected(std::move(packs.error()));
      std::size_t blobs = 0;
      bool stays = true;
      for (const IndexedPack& pack : *packs) {
        blobs += pack.blobs.size();
        const bool again = !named.insert(pack.id).second;
        const auto number = index_->number_of(pack.id);
        stays = stays && !again && !removed_.contains(pack.id) && number &&
                pack_bytes(pack.blobs) == packs_->bytes(*number);
      }
      if (stays && blobs >= kSmallIndexBlobs) continue;
      old_indexes_.push_back(id);
      for (const IndexedPack& pack : *packs) {
        // Those that are missing and not used are named no more, and go if they come back.
        const auto number = index_->number_of(pack.id);
        if (!number) gone_.insert(pack.id);
        if (removed_.contains(pack.id) || gone_.contains(pack.id)) continue;
        if (!renamed_.insert(pack.id).second) continue;
        // As it was judged: another list of it may be wrong.
        if (auto taken = name(packs_->pack(*number)); !taken) return taken;
      }
    }
    if (auto saved = save_index(); !saved) return saved;
    // What looks again has to find these too: all that was moved hangs on them.
    known_indexes_.insert(fresh_indexes_.begin(), fresh_indexes_.end());
    return {};
  }

  const Repository& repository_;
  const PruneOptions& options_;
  const std::stop_token& stop_;
  BlobCodec codec_{repository_.key(), kDefaultLevel};
  std::unique_ptr<BlobIndex> index_;  // What follows refers to it.
  std::optional<BlobMarks> used_;
  std::optional<BlobSet> chosen_;  // Of the copies of used blobs one each, which opens.
  std::optional<PackList> packs_;
  std::set<Digest> known_indexes_;    // At mark(), and those written since.
  std::set<Digest> known_snapshots_;  // At mark().
  IndexText index_text_;
  std::vector<Digest> fresh_indexes_;
  std::vector<std::size_t> rewritten_;  // Numbers of packs.
  std::set<Digest> removed_;            // Packs.
  std::set<Digest> gone_;               // Packs that were missing at mark(): named no more.
  std::set<Digest> renamed_;            // Packs that stay, named by a new index file.
  std::vector<Digest> old_indexes_;     // Whose packs new index files name.
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
