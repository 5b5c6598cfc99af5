#include "backup/check/repair.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "backup/format/tree.h"
#include "backup/local/file.h"
#include "backup/repo/blob_marks.h"
#include "backup/repo/pack_builder.h"
#include "backup/retain/pack_removal.h"

namespace recover::backup {
namespace {

// Of a folder's subfolders so many are remembered before they are looked into.
constexpr std::size_t kRepairedBelowMax = 4096;
constexpr std::size_t kRepairedIndexBlobsMax = 20'000;
constexpr std::uint64_t kRepairPieceBytes = std::uint64_t{2} << 20U;

std::uint64_t bytes_of(const BlobEntry& entry) {
  return entry.is_compressed() ? entry.uncompressed_length : entry.length - kSealOverhead;
}

BlobKey key_in(const BlobEntry& entry) {
  return {.id = entry.id, .type = entry.type};
}

// A disk that cannot give the bytes has lost them; whoever cannot open a file or has no memory may
// have them the next time.
bool is_loss(const Failure& failure) {
  return failure.kind == FailureKind::Damaged || failure.code == EIO;
}

class Repair {
 public:
  Repair(const Repository& repository, const RepairOptions& options, CheckProgress& progress,
         const std::stop_token& stop)
      : repository_(repository), options_(options), progress_(progress), stop_(stop) {}

  Outcome<RepairReport> run() {
    auto index = repository_.load_index();
    if (!index) return Unexpected(std::move(index.error()));
    index_ = std::move(*index);
    if (auto found = find_damage(); !found) return Unexpected(std::move(found.error()));
    report_.packs_damaged = damaged_.size();
    if (damaged_.empty()) return report_;
    for (const std::size_t number : damaged_) {
      for (const BlobEntry& blob : packs_->pack(number).blobs) {
        if (auto kept = keep(blob); !kept) return Unexpected(std::move(kept.error()));
      }
    }
    if (!options_.sources.empty()) {
      if (auto again = read_again(); !again) return Unexpected(std::move(again.error()));
    }
    if (!options_.dry_run) {
      if (auto done = cut_over(); !done) return Unexpected(std::move(done.error()));
    }
    report_.blobs_lost = lost_.size();
    return report_;
  }

 private:
  // ---- what is damaged

  Outcome<void> find_damage() {
    packs_.emplace(index_);
    progress_.packs_total = packs_->size();
    for (std::size_t number = 0; number < packs_->size(); ++number) {
      if (stop_.stop_requested()) return fail(FailureKind::Invalid, "the repair was stopped");
      const auto whole = is_whole(packs_->pack(number));
      if (!whole && whole.error().kind == FailureKind::Unreachable)
        return Unexpected(whole.error());
      ++progress_.packs;
      if (!whole) ++report_.packs_unread;
      if (!whole || *whole) continue;
      damaged_ids_.insert(packs_->id(number));
      damaged_.push_back(number);
    }
    return {};
  }

  // Its bytes, if these are what its name says, and none if they are not; a failure tells nothing
  // of them.
  Outcome<std::optional<std::uint64_t>> whole_bytes(const Digest& pack) {
    const FileName name{.kind = FileKind::Pack, .id = pack};
    constexpr std::optional<std::uint64_t> kNotWhole;
    const auto size = repository_.store().size(name);
    if (!size && size.error().kind == FailureKind::NotFound) return kNotWhole;
    if (!size) return Unexpected(size.error());
    Sha256 hash;
    for (std::uint64_t at = 0; at < *size;) {
      const std::uint64_t length = std::min(kRepairPieceBytes, *size - at);
      auto piece = repository_.store().read_part(name, at, length);
      if (!piece) piece = repository_.store().read_part(name, at, length);  // Asked twice.
      if (!piece && is_loss(piece.error())) return kNotWhole;
      if (!piece) return Unexpected(piece.error());
      hash.add(*piece);
      at += piece->size();
      progress_.bytes.fetch_add(piece->size(), std::memory_order_relaxed);
    }
    return hash.finish() == pack ? std::optional(*size) : kNotWhole;
  }

  // Of a pack that is what it was, and of which an index tells another length, the index is wrong:
  // then its own header tells what it holds.
  Outcome<bool> is_whole(const IndexedPack& pack) {
    const auto bytes = whole_bytes(pack.id);
    if (!bytes) return Unexpected(bytes.error());
    if (!*bytes) return false;
    if (**bytes == pack_bytes(pack.blobs)) return true;
    auto told = repository_.pack_of({.id = pack.id, .bytes = **bytes});
    if (!told) return false;
    for (const BlobEntry& blob : told->blobs) told_.insert(key_in(blob));
    renamed_.emplace(pack.id, std::move(*told));
    return false;
  }

  // ---- what of it is left

  // A blob of a damaged pack: it lies elsewhere as well, is moved, or is lost.
  Outcome<void> keep(const BlobEntry& blob) {
    const BlobKey key = key_in(blob);
    if (moved_.contains(key) || told_.contains(key)) return {};
    for (const BlobLocation& place : index_.find_all(key)) {
      if (!damaged_ids_.contains(place.pack)) return {};
    }
    const auto sealed = repository_.load_sealed(index_, key, codec_);
    if (!sealed) {
      const bool is_gone = sealed.error().kind == FailureKind::NotFound || is_loss(sealed.error());
      if (!is_gone) return Unexpected(sealed.error());
      lost_[key] = bytes_of(blob);
      return {};
    }
    lost_.erase(key);
    moved_.insert(key);
    ++report_.blobs_moved;
    return take(sealed->entry, sealed->bytes);
  }

  Outcome<void> take(const BlobEntry& entry, View sealed) {
    if (options_.dry_run) return {};
    PackBuilder& builder = builders_[static_cast<std::size_t>(entry.type)];
    if (builder.would_exceed(sealed.size(), kPackBytesDefault)) {
      if (auto written = write(builder); !written) return written;
    }
    builder.take(entry, sealed);
    return {};
  }

  Outcome<void> write(PackBuilder& builder) {
    const auto pack = write_pack(repository_.store(), builder, codec_.cipher());
    return pack ? name(*pack) : Outcome<void>(Unexpected(pack.error()));
  }

  // Into one of the new index files.
  Outcome<void> name(const IndexedPack& pack) {
    index_text_.add(pack);
    return index_text_.blobs() < kRepairedIndexBlobsMax ? Outcome<void>() : save_index();
  }

  Outcome<void> save_index() {
    if (index_text_.blobs() == 0) return {};
    const auto saved = repository_.save(FileKind::Index, index_text_.finish());
    return saved ? Outcome<void>() : Outcome<void>(Unexpected(saved.error()));
  }

  // ---- what the sources have of the rest

  Outcome<void> read_again() {
    const auto snapshots = repository_.snapshots();
    if (!snapshots) return Unexpected(snapshots.error());
    gather_places(*snapshots);
    seen_.emplace(index_);
    for (auto one = snapshots->rbegin(); one != snapshots->rend() && !lost_.empty(); ++one) {
      if (auto walked = walk("", one->snapshot.tree); !walked) return walked;
    }
    return {};
  }

  // What was backed up by a relative path stands at the root of its snapshot, so "where it was" is
  // also below the folders that the paths lay in.
  void gather_places(const std::vector<Repository::FoundSnapshot>& snapshots) {
    for (const std::string& source : options_.sources) places_.insert(source == "/" ? "" : source);
    if (!places_.contains("")) return;
    for (const Repository::FoundSnapshot& one : snapshots) {
      for (const std::string& given : one.snapshot.paths) {
        std::filesystem::path path(given);
        while (path.has_relative_path() && places_.size() < kPlacesMax) {
          path = path.parent_path();
          places_.insert(path == "/" ? "" : path.string());
        }
      }
    }
  }

  // A tree that cannot be read is passed over: the next backup makes it anew.
  Outcome<void> walk(const std::string& path, const Digest& tree) {
    if (!seen_->insert({.id = tree, .type = BlobType::Tree}) || stop_.stop_requested()) return {};
    std::vector<std::pair<std::string, Digest>> below;
    const auto descend = [&]() -> Outcome<void> {
      for (const auto& [at, subtree] : std::exchange(below, {})) {
        if (auto walked = walk(at, subtree); !walked) return walked;
      }
      return {};
    };
    std::optional<Failure> failure;  // None: what fails is only that the tree cannot be read.
    const auto must = [&](Outcome<void> done) {
      if (!done) failure = done.error();
      return done;
    };
    auto read = repository_.each_node(index_, tree, codec_, [&](Node&& node) -> Outcome<void> {
      if (!is_safe_name(node.name)) return {};
      const std::string at = path + "/" + node.name;
      if (node.subtree) below.emplace_back(at, *node.subtree);
      if (below.size() == kRepairedBelowMax) return must(descend());
      return node.type == NodeType::File ? must(mend_file(at, node)) : Outcome<void>();
    });
    if (failure) return Unexpected(std::move(*failure));
    return descend();
  }

  Outcome<void> mend_file(const std::string& path, const Node& node) {
    std::uint64_t offset = 0;
    for (const Digest& id : node.content) {
      const BlobKey key{.id = id, .type = BlobType::Data};
      const auto lost = lost_.find(key);
      const auto place = lost == lost_.end() ? index_.find(key) : std::nullopt;
      if (lost == lost_.end() && !place) return {};  // Where the next begins is not known.
      const std::uint64_t length = place ? bytes_of(place->entry) : lost->second;
      if (lost != lost_.end()) {
        const auto plain = read_source(path, offset, length, id);
        if (plain) {
          const auto sealed = codec_.seal(BlobType::Data, id, *plain);
          if (!sealed) return Unexpected(sealed.error());
          if (auto taken = take(sealed->entry, sealed->bytes); !taken) return taken;
          lost_.erase(lost);
          ++report_.blobs_read_again;
        }
      }
      offset += length;
    }
    return {};
  }

  // The bytes, if one of the sources has exactly these.
  std::optional<Bytes> read_source(const std::string& path, std::uint64_t offset,
                                   std::uint64_t length, const Digest& id) const {
    if (length > kChunkBytesMax) return std::nullopt;
    for (const std::string& place : places_) {
      const std::string at = place + path;
      // O_NONBLOCK: a fifo of that name must not hold us.
      const Descriptor file(::open(at.c_str(), O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC));
      if (!file) continue;
      Bytes bytes(static_cast<std::size_t>(length));
      std::size_t got = 0;
      while (got < bytes.size()) {
        const ssize_t more = ::pread(file.get(), bytes.data() + got, bytes.size() - got,
                                     static_cast<off_t>(offset + got));
        if (more <= 0) break;
        got += static_cast<std::size_t>(more);
      }
      if (got == bytes.size() && sha256(bytes) == id) return bytes;
    }
    return std::nullopt;
  }

  // ---- the end

  // Once more before anything goes: what can be read now was not lost.
  Outcome<void> look_once_more() {
    for (const std::size_t number : damaged_) {
      const IndexedPack pack = packs_->pack(number);
      if (renamed_.contains(pack.id)) continue;
      const auto bytes = whole_bytes(pack.id);
      if (!bytes) return Unexpected(bytes.error());
      if (!*bytes || **bytes != pack_bytes(pack.blobs)) continue;
      damaged_ids_.erase(pack.id);
      --report_.packs_damaged;
      for (const BlobEntry& blob : pack.blobs) lost_.erase(key_in(blob));
    }
    return {};
  }

  Outcome<void> cut_over() {
    if (auto looked = look_once_more(); !looked) return looked;
    for (PackBuilder& builder : builders_) {
      if (builder.empty()) continue;
      if (auto written = write(builder); !written) return written;
    }
    // Before the next ones are written: those name packs of damaged_ids_ too, and must stay.
    const auto files = repository_.store().list(FileKind::Index);
    if (!files) return Unexpected(files.error());
    for (const auto& [id, pack] : renamed_) {
      if (auto named = name(pack); !named) return named;
    }
    std::vector<Digest> old;
    for (const StoredFile& file : *files) {
      const auto packs = packs_of(repository_, file.id);
      if (!packs) return Unexpected(packs.error());
      const auto is_damaged = [&](const IndexedPack& pack) {
        return damaged_ids_.contains(pack.id);
      };
      if (std::none_of(packs->begin(), packs->end(), is_damaged)) continue;
      old.push_back(file.id);
      for (const IndexedPack& pack : *packs) {
        if (is_damaged(pack)) continue;
        if (auto named = name(pack); !named) return named;
      }
    }
    if (auto saved = save_index(); !saved) return saved;
    if (options_.still_locked && !options_.still_locked()) {
      return fail(FailureKind::Locked, "the lock was lost while repairing: nothing was removed");
    }
    for (const Digest& id : old) {
      if (auto gone = remove_file(repository_, FileKind::Index, id); !gone) return gone;
    }
    for (const Digest& id : damaged_ids_) {
      if (renamed_.contains(id)) continue;
      if (auto gone = remove_file(repository_, FileKind::Pack, id); !gone) return gone;
    }
    return {};
  }

  static constexpr std::size_t kPlacesMax = 1000;
  static constexpr std::uint64_t kChunkBytesMax = std::uint64_t{128} << 20U;

  const Repository& repository_;
  const RepairOptions& options_;
  CheckProgress& progress_;
  const std::stop_token& stop_;
  BlobCodec codec_{repository_.key(), kDefaultLevel};
  BlobIndex index_;
  std::optional<PackList> packs_;
  std::vector<std::size_t> damaged_;  // Numbers of packs.
  std::set<Digest> damaged_ids_;
  std::map<Digest, IndexedPack> renamed_;  // Whole ones that an index names wrongly, by header.
  std::set<BlobKey> told_;                 // Of these.
  std::set<BlobKey> moved_;
  std::map<BlobKey, std::uint64_t> lost_;  // With their bytes of plaintext.
  std::set<std::string> places_;           // Below which a snapshot's path may lie.
  std::optional<BlobMarks> seen_;          // Trees.
  std::array<PackBuilder, 2> builders_;    // By BlobType.
  IndexText index_text_;
  RepairReport report_;
};

}  // namespace

Outcome<RepairReport> repair(const Repository& repository, const RepairOptions& options,
                             CheckProgress& progress, const std::stop_token& stop) {
  return Repair(repository, options, progress, stop).run();
}

}  // namespace recover::backup
