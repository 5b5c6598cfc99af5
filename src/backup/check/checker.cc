#include "backup/check/checker.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <set>
#include <utility>

#include "backup/check/pack_choice.h"
#include "backup/format/tree.h"
#include "backup/local/task_pool.h"
#include "backup/repo/blob_marks.h"

namespace recover::backup {
namespace {

constexpr std::size_t kShortId = 8;
// Of a folder's subfolders so many are remembered before they are looked into.
constexpr std::size_t kCheckedBelowMax = 4096;
// Of a pack, read at a time.
constexpr std::uint64_t kPieceBytes = std::uint64_t{2} << 20U;

std::string short_id(const Digest& id) {
  return hex(id).substr(0, kShortId);
}

std::uint64_t plain_bytes(const BlobEntry& entry) {
  return entry.is_compressed() ? entry.uncompressed_length : entry.length - kSealOverhead;
}

class Check {
 public:
  Check(const Repository& repository, const CheckOptions& options, CheckProgress& progress,
        const std::stop_token& stop)
      : repository_(repository), options_(options), progress_(progress), stop_(stop) {}

  Outcome<CheckReport> run() {
    // Before the index: every blob of a snapshot that is listed is indexed by now.
    const auto snapshots = repository_.store().list(FileKind::Snapshot);
    if (!snapshots) return Unexpected(snapshots.error());
    std::vector<StoredFile> chosen = *snapshots;
    if (options_.snapshot) {
      std::erase_if(chosen, [&](const StoredFile& file) { return file.id != *options_.snapshot; });
    }
    if (auto loaded = load_indexes(); !loaded) return Unexpected(std::move(loaded.error()));
    if (auto compared = compare_packs(); !compared) return Unexpected(std::move(compared.error()));
    if (options_.read_data && !options_.snapshot) read_packs();
    for (const StoredFile& file : chosen) check_snapshot(file.id);
    if (stop_.stop_requested()) return fail(FailureKind::Invalid, "the check was stopped");
    return std::move(report_);
  }

 private:
  void error(std::string text) {
    const std::lock_guard lock(mutex_);
    report_.errors.push_back(std::move(text));
  }

  Outcome<void> load_indexes() {
    const auto files = repository_.store().list(FileKind::Index);
    if (!files) return Unexpected(files.error());
    for (const StoredFile& file : *files) load_index({.kind = FileKind::Index, .id = file.id});
    index_.settle();
    return {};
  }

  void load_index(const FileName& name) {
    const auto text = repository_.load(name);
    if (!text) return error(text.error().message);
    const auto read = read_index(*text, [&](IndexedPack&& pack) -> Outcome<void> {
      if (index_.has_pack(pack.id)) {
        report_.hints.push_back("pack " + hex(pack.id) + ": several index files name it");
      }
      report_.blobs += pack.blobs.size();
      index_.add(pack);
      return {};
    });
    if (!read) error(to_string(name) + ": " + read.error().message);
  }

  // Every pack of the index is there with the size its entries add up to.
  Outcome<void> compare_packs() {
    const auto files = repository_.store().list(FileKind::Pack);
    if (!files) return Unexpected(files.error());
    std::map<Digest, std::uint64_t> sizes;
    for (const StoredFile& file : *files) sizes.emplace(file.id, file.bytes);
    packs_.emplace(index_);
    whole_trees_.emplace(index_);
    read_blobs_.emplace(index_);
    report_.packs = packs_->size();
    for (std::size_t number = 0; number < packs_->size(); ++number) {
      const auto size = sizes.find(packs_->id(number));
      if (size == sizes.end()) {
        damage_pack(packs_->pack(number), "it is missing");
        continue;
      }
      const std::uint64_t wanted = packs_->bytes(number);
      if (size->second != wanted) {
        damage_pack(packs_->pack(number), "it has " + std::to_string(size->second) +
                                              " bytes instead of " + std::to_string(wanted));
      }
      sizes.erase(size);
    }
    for (const auto& [id, bytes] : sizes) {
      report_.hints.push_back("pack " + hex(id) + ": no index names it; prune removes it");
    }
    return {};
  }

  void damage_pack(const IndexedPack& pack, const std::string& what) {
    error("pack " + hex(pack.id) + ": " + what);
    const std::lock_guard lock(mutex_);
    for (const BlobEntry& blob : pack.blobs) mark(blob, pack.id);
  }

  void damage_blob(const Digest& pack, const BlobEntry& blob, const std::string& what) {
    error("pack " + hex(pack) + ": " + what);
    const std::lock_guard lock(mutex_);
    mark(blob, pack);
  }

  // A blob is lost when every copy of it is.
  void mark(const BlobEntry& blob, const Digest& pack) {
    bad_copies_[{.id = blob.id, .type = blob.type}].insert(pack);
  }

  bool is_lost(const BlobKey& key) const {
    const auto bad = bad_copies_.find(key);
    return bad != bad_copies_.end() && bad->second.size() >= index_.find_all(key).size();
  }

  void read_packs() {
    const std::vector<std::size_t> chosen = packs_to_read(*packs_, options_);
    progress_.packs_total = chosen.size();
    TaskPool pool(options_.threads);
    std::vector<BlobCodec> codecs;
    for (unsigned i = 0; i < options_.threads; ++i) {
      codecs.emplace_back(repository_.key(), kDefaultLevel);
    }
    for (const std::size_t number : chosen) {
      pool.add(TaskPool::Kind::File, [this, &codecs, number](unsigned thread) {
        if (!stop_.stop_requested()) read_pack(packs_->pack(number), codecs[thread]);
      });
    }
    pool.finish();
  }

  // Piece by piece, whole blobs each, so that a pack may be of any size.
  void read_pack(const IndexedPack& pack, BlobCodec& codec) {
    const FileName name{.kind = FileKind::Pack, .id = pack.id};
    const auto size = repository_.store().size(name);
    progress_.packs.fetch_add(1, std::memory_order_relaxed);
    if (!size) {
      if (size.error().kind != FailureKind::NotFound) damage_pack(pack, size.error().message);
      return;
    }
    Sha256 hash;
    std::uint64_t at = 0;
    for (std::size_t blob = 0; at < *size;) {
      const std::uint64_t length = piece_bytes(pack, blob, at, *size);
      if (length > kLongBlobBytes && ends_at(pack, blob, at + length)) {
        if (!read_giant(pack, pack.blobs[blob++], length, hash, codec)) return;
        at += length;
        continue;
      }
      const auto piece = repository_.store().read_part(name, at, length);
      if (!piece) return damage_pack(pack, piece.error().message);
      progress_.bytes.fetch_add(piece->size(), std::memory_order_relaxed);
      hash.add(*piece);
      if (blob == pack.blobs.size()) tell_header(pack, *piece, codec);
      blob = open_blobs(pack, blob, at, *piece, codec);
      at += piece->size();
    }
    const bool same = hash.finish() == pack.id;
    if (!same) error("pack " + hex(pack.id) + ": its bytes have changed");
    if (options_.ledger == nullptr) return;
    // A damaged one stays among those to be read next.
    same ? options_.ledger->note(pack.id, options_.now) : options_.ledger->forget(pack.id);
  }

  static bool ends_at(const IndexedPack& pack, std::size_t blob, std::uint64_t end) {
    return blob < pack.blobs.size() &&
           std::uint64_t{pack.blobs[blob].offset} + pack.blobs[blob].length == end;
  }

  // A blob that is not held at once, which begins where its pack was read so far. False: it cannot
  // be read.
  bool read_giant(const IndexedPack& pack, const BlobEntry& blob, std::uint64_t length,
                  Sha256& hash, BlobCodec& codec) {
    const FileName name{.kind = FileKind::Pack, .id = pack.id};
    const std::uint64_t end = std::uint64_t{blob.offset} + blob.length;
    for (std::uint64_t at = end - length; at < end;) {
      const auto piece = repository_.store().read_part(name, at, std::min(kPieceBytes, end - at));
      if (!piece) {
        damage_pack(pack, piece.error().message);
        return false;
      }
      progress_.bytes.fetch_add(piece->size(), std::memory_order_relaxed);
      hash.add(*piece);
      at += piece->size();
    }
    if (auto opened = repository_.check_copy({.pack = pack.id, .entry = blob}, codec); !opened) {
      damage_blob(pack.id, blob, opened.error().message);
    }
    return true;
  }

  // From `at`: as many of the blobs from `blob` on as a piece has room for, at least one; after the
  // last all that is left, which is the header.
  static std::uint64_t piece_bytes(const IndexedPack& pack, std::size_t blob, std::uint64_t at,
                                   std::uint64_t size) {
    std::uint64_t end = at;
    for (; blob < pack.blobs.size(); ++blob) {
      const std::uint64_t next = std::uint64_t{pack.blobs[blob].offset} + pack.blobs[blob].length;
      if (next > size || (end > at && next - at > kPieceBytes)) break;
      end = std::max(end, next);
    }
    return end > at ? end - at : size - at;
  }

  // Opens the blobs that lie in the piece; the number of the first that does not.
  std::size_t open_blobs(const IndexedPack& pack, std::size_t blob, std::uint64_t at, View piece,
                         BlobCodec& codec) {
    for (; blob < pack.blobs.size(); ++blob) {
      const BlobEntry& entry = pack.blobs[blob];
      if (entry.offset < at) continue;  // The index tells of an overlap; its size told as much.
      const std::uint64_t begin = entry.offset - at;
      if (begin + entry.length > piece.size()) break;
      if (entry.uncompressed_length > kLongBlobBytes) {
        const auto opened = repository_.check_copy({.pack = pack.id, .entry = entry}, codec);
        if (!opened) damage_blob(pack.id, entry, opened.error().message);
        continue;
      }
      const auto plain =
          codec.read(entry, piece.subspan(static_cast<std::size_t>(begin), entry.length));
      if (!plain) damage_blob(pack.id, entry, plain.error().message);
    }
    return blob;
  }

  void tell_header(const IndexedPack& pack, View last, BlobCodec& codec) {
    if (auto compared = compare_header(pack, last, codec); !compared) {
      error("pack " + hex(pack.id) + ": " + compared.error().message);
    }
  }

  static Outcome<void> compare_header(const IndexedPack& pack, View bytes, BlobCodec& codec) {
    const std::size_t length =
        bytes.size() < kHeaderLengthBytes ? bytes.size() : header_length(bytes);
    if (length + kHeaderLengthBytes > bytes.size()) {
      return fail(FailureKind::Damaged, "its header is longer than itself");
    }
    const auto header = codec.cipher().open(bytes.last(length + kHeaderLengthBytes).first(length));
    if (!header) return fail(FailureKind::Damaged, "header: " + header.error().message);
    const auto entries = parse_header(*header);
    if (!entries) return Unexpected(entries.error());
    if (*entries != pack.blobs) {
      return fail(FailureKind::Damaged, "its header and the index tell different contents");
    }
    return {};
  }

  void check_snapshot(const Digest& id) {
    const auto text = repository_.load({.kind = FileKind::Snapshot, .id = id});
    const auto snapshot =
        text ? parse_snapshot(*text) : Outcome<Snapshot>(Unexpected(text.error()));
    if (!snapshot) return error("snapshot " + short_id(id) + ": " + snapshot.error().message);
    ++report_.snapshots;
    const std::string where = "snapshot " + short_id(id) + ": ";
    check_tree(where, "", snapshot->tree);
  }

  // True when nothing below is wrong. A tree that was found whole is not read again.
  bool check_tree(const std::string& where, const std::string& path, const Digest& id) {
    const BlobKey key{.id = id, .type = BlobType::Tree};
    if (whole_trees_->contains(key) || stop_.stop_requested()) return true;
    std::vector<std::pair<std::string, Digest>> below;
    bool whole = true;
    const auto descend = [&] {
      for (const auto& [at, subtree] : std::exchange(below, {})) {
        whole = check_tree(where, at, subtree) && whole;
      }
    };
    bool any = false;
    const auto read = repository_.each_node(index_, id, codec_, [&](Node&& node) -> Outcome<void> {
      any = true;
      const std::string at = path + "/" + node.name;
      whole = check_node(where, at, node) && whole;
      if (node.subtree) below.emplace_back(at, *node.subtree);
      if (below.size() == kCheckedBelowMax) descend();
      return {};
    });
    if (!read) {
      error(where + path + "/: " + read.error().message);
      if (!any) name_file(where + path + "/");
      whole = false;
    }
    descend();
    if (whole) whole_trees_->insert(key);
    return whole;
  }

  bool check_node(const std::string& where, const std::string& path, const Node& node) {
    if (!is_safe_name(node.name)) {
      error(where + path + ": a name that no file can have");
      return false;
    }
    if (node.type == NodeType::Folder && !node.subtree) {
      error(where + path + ": a folder without a tree");
      return false;
    }
    if (node.type != NodeType::File) return true;
    std::uint64_t bytes = 0;
    for (const Digest& id : node.content) {
      const BlobKey key{.id = id, .type = BlobType::Data};
      const auto place = index_.find(key);
      if (!place) error(where + path + ": no index knows blob " + hex(id));
      if (!place || is_lost(key) || !reads(where + path, key)) {
        name_file(where + path);
        return false;
      }
      bytes += plain_bytes(place->entry);
    }
    if (bytes == node.size) return true;
    error(where + path + ": it has " + std::to_string(bytes) + " bytes, its tree says " +
          std::to_string(node.size));
    return false;
  }

  // Of a single snapshot every blob is read, once.
  bool reads(const std::string& file, const BlobKey& key) {
    if (!options_.snapshot || read_blobs_->contains(key)) return true;
    const auto plain = repository_.read_blob(index_, key, codec_);
    if (!plain) {
      error(file + ": " + plain.error().message);
      return false;
    }
    progress_.bytes.fetch_add(plain->size(), std::memory_order_relaxed);
    read_blobs_->insert(key);
    return true;
  }

  void name_file(std::string file) {
    if (report_.damaged_files.size() < CheckReport::kFilesMax) {
      report_.damaged_files.push_back(std::move(file));
    }
  }

  const Repository& repository_;
  const CheckOptions& options_;
  CheckProgress& progress_;
  const std::stop_token& stop_;
  BlobCodec codec_{repository_.key(), kDefaultLevel};
  BlobIndex index_ = repository_.new_index();
  std::optional<PackList> packs_;
  std::mutex mutex_;  // Of the report's errors and of bad_copies_, while packs are read.
  CheckReport report_;
  std::map<BlobKey, std::set<Digest>> bad_copies_;
  std::optional<BlobMarks> whole_trees_;
  std::optional<BlobMarks> read_blobs_;
};

}  // namespace

Outcome<CheckReport> check(const Repository& repository, const CheckOptions& options,
                           CheckProgress& progress, const std::stop_token& stop) {
  auto report = Check(repository, options, progress, stop).run();
  if (options.ledger != nullptr) {
    // Also what was read before a stop. It is a convenience: that it cannot be kept is a hint.
    auto saved = options.ledger->save();
    if (!saved && report) report->hints.push_back("what was read: " + saved.error().message);
  }
  return report;
}

}  // namespace recover::backup
