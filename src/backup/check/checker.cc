#include "backup/check/checker.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <utility>

#include "backup/format/tree.h"
#include "backup/local/task_pool.h"

namespace recover::backup {
namespace {

constexpr std::size_t kShortId = 8;
// Of a tree's text so many nodes are in memory.
constexpr std::size_t kNodesAtOnce = 4096;
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
    report_.packs = packs_->size();
    for (std::size_t number = 0; number < packs_->size(); ++number) {
      const IndexedPack pack = packs_->pack(number);
      const auto size = sizes.find(pack.id);
      if (size == sizes.end()) {
        damage_pack(pack, "it is missing");
        continue;
      }
      const std::uint64_t wanted = pack_bytes(pack.blobs);
      if (size->second != wanted) {
        damage_pack(pack, "it has " + std::to_string(size->second) + " bytes instead of " +
                              std::to_string(wanted));
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

  // A blob is lost when every copy of it is.
  void mark(const BlobEntry& blob, const Digest& pack) {
    bad_copies_[{.id = blob.id, .type = blob.type}].insert(pack);
  }

  bool is_lost(const BlobKey& key) const {
    const auto bad = bad_copies_.find(key);
    return bad != bad_copies_.end() && bad->second.size() >= index_.find_all(key).size();
  }

  bool is_chosen(const Digest& pack) const {
    return pack.bytes[0] % std::max(1U, options_.parts) == options_.part;
  }

  bool is_due(const Digest& pack) const {
    return options_.ledger == nullptr || options_.unread_for <= 0 ||
           options_.now - options_.ledger->last_read(pack) >= options_.unread_for;
  }

  // The numbers of the packs to read.
  std::vector<std::size_t> chosen_packs() const {
    std::vector<std::size_t> chosen;
    for (std::size_t number = 0; number < packs_->size(); ++number) {
      if (is_chosen(packs_->id(number)) && is_due(packs_->id(number))) chosen.push_back(number);
    }
    if (options_.share >= 1 && options_.bytes_max == 0) return chosen;
    // Drawn anew each time: what one run passes over another finds.
    std::random_device random;
    std::shuffle(chosen.begin(), chosen.end(), random);
    if (options_.ledger != nullptr) {
      std::stable_sort(chosen.begin(), chosen.end(), [&](std::size_t a, std::size_t b) {
        return options_.ledger->last_read(packs_->id(a)) <
               options_.ledger->last_read(packs_->id(b));
      });
    }
    const auto count =
        static_cast<std::size_t>(options_.share * static_cast<double>(chosen.size()));
    chosen.resize(std::min(chosen.size(), std::max<std::size_t>(1, count)));
    if (options_.bytes_max == 0) return chosen;
    std::uint64_t bytes = 0;
    std::size_t taken = 0;
    while (taken < chosen.size() && bytes < options_.bytes_max) {
      bytes += pack_bytes(packs_->pack(chosen[taken++]).blobs);
    }
    chosen.resize(taken);
    return chosen;
  }

  void read_packs() {
    const std::vector<std::size_t> chosen = chosen_packs();
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
      const auto piece =
          repository_.store().read_part(name, at, piece_bytes(pack, blob, at, *size));
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
      const auto plain =
          codec.read(entry, piece.subspan(static_cast<std::size_t>(begin), entry.length));
      if (plain) continue;
      error("pack " + hex(pack.id) + ": " + plain.error().message);
      const std::lock_guard lock(mutex_);
      mark(entry, pack.id);
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
    if (whole_trees_.contains(id) || stop_.stop_requested()) return true;
    const auto tree = repository_.load_tree(index_, id, codec_);
    if (!tree) {
      error(where + path + "/: " + tree.error().message);
      name_file(where + path + "/");
      return false;
    }
    std::vector<std::pair<std::string, Digest>> below;
    bool whole = true;
    std::size_t seen = 0;
    const auto read = read_tree(tree->text(), [&](Node&& node) -> Outcome<void> {
      const std::string at = path + "/" + node.name;
      whole = check_node(where, at, node) && whole;
      if (++seen % kNodesAtOnce == 0) tree->give_back();
      if (node.subtree) below.emplace_back(at, *node.subtree);
      return {};
    });
    if (!read) {
      error(where + path + "/: " + read.error().message);
      whole = false;
    }
    for (const auto& [at, subtree] : below) whole = check_tree(where, at, subtree) && whole;
    if (whole) whole_trees_.insert(id);
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
    if (!options_.snapshot || read_blobs_.contains(key.id)) return true;
    const auto plain = repository_.load_blob(index_, key, codec_);
    if (!plain) {
      error(file + ": " + plain.error().message);
      return false;
    }
    progress_.bytes.fetch_add(plain->size(), std::memory_order_relaxed);
    read_blobs_.insert(key.id);
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
  std::set<Digest> whole_trees_;
  std::set<Digest> read_blobs_;
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
