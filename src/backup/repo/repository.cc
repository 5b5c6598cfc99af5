#include "backup/repo/repository.h"

#include <algorithm>
#include <filesystem>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include <recover/check.h>

#include "backup/format/compression.h"
#include "backup/local/file.h"
#include "backup/repo/index_cache.h"

namespace recover::backup {
namespace {

constexpr std::uint8_t kCompressedMark = 2;
// An index file has at most 50,000 blobs by custom; this is fifty times that.
constexpr std::size_t kDocumentBytesMax = std::size_t{512} << 20U;

Digest random_digest() {
  Digest digest;
  const MasterKey drawn = MasterKey::random();
  std::copy(drawn.encrypt.begin(), drawn.encrypt.end(), digest.bytes.begin());
  return digest;
}

Bytes random_salt() {
  Bytes salt;
  while (salt.size() < kSaltBytes) append(salt, random_digest().bytes);
  return salt;
}

Unexpected<Failure> in_file(const FileName& name, const Failure& failure) {
  return fail(failure.kind, to_string(name) + ": " + failure.message);
}

// The bytes of a file, which are what its name says.
Outcome<Bytes> read_checked(Store& store, const FileName& name) {
  auto bytes = store.read(name);
  if (bytes && name.kind != FileKind::Config && sha256(*bytes) != name.id) {
    return fail(FailureKind::Damaged, to_string(name) + ": its bytes are not those of its name");
  }
  return bytes;
}

// The master key, or none when this key file wants another password.
Outcome<std::optional<MasterKey>> open_key(Store& store, const Digest& id,
                                           const base::Secret& password) {
  const FileName name{.kind = FileKind::Key, .id = id};
  const auto bytes = read_checked(store, name);
  if (!bytes) return Unexpected(bytes.error());
  const auto file = parse_key_file(text_of(*bytes));
  if (!file) return in_file(name, file.error());
  const auto user_key = derive_key(password, file->salt, file->cost);
  if (!user_key) return in_file(name, user_key.error());
  const auto text = Cipher(*user_key).open(file->sealed);
  if (!text) return std::optional<MasterKey>();
  const auto key = parse_master_key(text_of(*text));
  if (!key) return in_file(name, key.error());
  return std::optional(*key);
}

Outcome<MasterKey> find_key(Store& store, const base::Secret& password) {
  const auto keys = store.list(FileKind::Key);
  if (!keys) return Unexpected(keys.error());
  std::optional<Failure> first;
  for (std::size_t i = 0; i < std::min(keys->size(), Repository::kKeyFilesMax); ++i) {
    const auto key = open_key(store, (*keys)[i].id, password);
    if (key && *key) return **key;
    if (!key && !first) first = key.error();
  }
  if (first) return Unexpected(*first);
  return fail(FailureKind::WrongPassword, keys->empty()
                                              ? store.location() + ": it has no key files"
                                              : store.location() + ": no key opens with it");
}

// Neither a config nor what belonged to one that was lost: its keys and snapshots may be all that
// somebody still has.
bool is_unused(Store& store) {
  const auto keys = store.list(FileKind::Key);
  const auto snapshots = store.list(FileKind::Snapshot);
  return !store.size(FileName()) && keys && keys->empty() && snapshots && snapshots->empty();
}

}  // namespace

Outcome<Digest> Repository::add_key(Store& store, const MasterKey& key,
                                    const base::Secret& password, const CreateOptions& options) {
  KeyFile file{.created = options.now,
               .user = options.user,
               .host = options.host,
               .cost = options.cost,
               .salt = random_salt(),
               .sealed = {}};
  const auto user_key = derive_key(password, file.salt, file.cost);
  if (!user_key) return Unexpected(user_key.error());
  Cipher(*user_key).seal(view_of(backup::text_of(key)), file.sealed);
  const std::string text = backup::text_of(file);
  const Digest id = sha256(view_of(text));
  if (auto written = store.write({.kind = FileKind::Key, .id = id}, view_of(text)); !written) {
    return Unexpected(std::move(written.error()));
  }
  return id;
}

Outcome<Repository> Repository::create(Store& store, const base::Secret& password,
                                       const CreateOptions& options) {
  if (auto prepared = store.prepare(); !prepared) return Unexpected(std::move(prepared.error()));
  const FileName config_name{};
  if (!is_unused(store))
    return fail(FailureKind::Exists, store.location() + ": there is a repository already");
  const MasterKey key = MasterKey::random();
  if (auto added = add_key(store, key, password, options); !added) {
    return Unexpected(std::move(added.error()));
  }
  RepositoryConfig config{
      .version = 2, .id = hex(random_digest()), .polynomial = Polynomial::random()};
  Bytes sealed;
  Cipher(key).seal(view_of(backup::text_of(config)), sealed);
  // Last: a repository exists once its config does.
  if (auto written = store.write(config_name, sealed); !written) {
    return Unexpected(std::move(written.error()));
  }
  return Repository(store, key, std::move(config));
}

namespace {

constexpr unsigned kConfigsMax = 8;  // Read of as many members of a mirror.

Outcome<RepositoryConfig> open_config(const MasterKey& key, View sealed) {
  const auto text = Cipher(key).open(sealed);
  if (!text) return in_file(FileName(), text.error());
  return parse_config(text_of(*text));
}

}  // namespace

Outcome<Repository> Repository::open(Store& store, const base::Secret& password) {
  const FileName config_name{};
  const auto sealed = store.read(config_name);
  if (!sealed) {
    if (sealed.error().kind != FailureKind::NotFound) return Unexpected(sealed.error());
    return fail(FailureKind::NotFound, store.location() + ": there is no repository");
  }
  const auto key = find_key(store, password);
  if (!key) return Unexpected(key.error());
  auto config = open_config(*key, *sealed);
  // Another member of a mirror may have it whole.
  for (unsigned tries = 0; !config && tries < kConfigsMax; ++tries) {
    const auto other = store.read(config_name);
    if (!other) return Unexpected(other.error());
    config = open_config(*key, *other);
    if (!config && !store.distrust(config_name)) break;
  }
  if (!config) return Unexpected(std::move(config.error()));
  return Repository(store, *key, std::move(*config));
}

bool Repository::is_own_config(View sealed) const {
  const auto config = open_config(key_, sealed);
  return config && config->id == config_.id;
}

Outcome<std::string> Repository::load(const FileName& name) const {
  const auto sealed = read_checked(*store_, name);
  if (!sealed) return Unexpected(sealed.error());
  auto plain = Cipher(key_).open(*sealed);
  if (plain && !plain->empty() && plain->front() == kCompressedMark && config_.version > 1) {
    plain = Decompressor().decompress_up_to(View(*plain).subspan(1), kDocumentBytesMax);
  }
  if (!plain) return in_file(name, plain.error());
  return std::string(text_of(*plain));
}

Outcome<Digest> Repository::save(FileKind kind, std::string_view text) const {
  Bytes plain;
  if (config_.version > 1) {
    Compressor compressor;
    plain.push_back(kCompressedMark);
    append(plain, compressor.compress(view_of(text)));
  } else {
    append(plain, view_of(text));
  }
  Bytes sealed;
  Cipher(key_).seal(plain, sealed);
  const Digest id = sha256(sealed);
  if (auto written = store_->write({.kind = kind, .id = id}, sealed); !written) {
    return Unexpected(std::move(written.error()));
  }
  return id;
}

namespace {

using PackSizes = std::unordered_map<Digest, std::uint64_t>;

PackSizes sizes_of(const std::vector<StoredFile>& packs) {
  PackSizes sizes;
  for (const StoredFile& file : packs) sizes.emplace(file.id, file.bytes);
  return sizes;
}

bool has_size(const PackSizes& sizes, const Digest& pack, std::uint64_t bytes) {
  const auto size = sizes.find(pack);
  return size != sizes.end() && size->second == bytes;
}

}  // namespace

Outcome<BlobIndex> Repository::load_index() const {
  return load_index_if([](const Digest&, std::uint64_t) { return true; }, true);
}

Outcome<BlobIndex> Repository::load_sound_index() const {
  const auto files = store_->list(FileKind::Pack);
  if (!files) return Unexpected(files.error());
  const PackSizes sizes = sizes_of(*files);
  return load_index_if(
      [&](const Digest& pack, std::uint64_t bytes) { return has_size(sizes, pack, bytes); }, false);
}

Outcome<BlobIndex> Repository::load_index_to_add_to() const {
  auto files = store_->list(FileKind::Pack);
  if (!files) return Unexpected(files.error());
  const PackSizes sizes = sizes_of(*files);
  std::unordered_set<Digest> named;
  auto index = load_index_if(
      [&](const Digest& pack, std::uint64_t bytes) {
        named.insert(pack);
        return has_size(sizes, pack, bytes);
      },
      true);
  if (!index) return index;
  std::erase_if(*files, [&](const StoredFile& file) { return named.contains(file.id); });
  if (auto adopted = adopt(*files, *index); !adopted) return Unexpected(adopted.error());
  return index;
}

std::optional<IndexedPack> Repository::pack_of(const StoredFile& file) const {
  const FileName name{.kind = FileKind::Pack, .id = file.id};
  if (file.bytes < kHeaderLengthBytes) return std::nullopt;
  const auto last = store_->read_part(name, file.bytes - kHeaderLengthBytes, kHeaderLengthBytes);
  if (!last) return std::nullopt;
  const std::uint64_t length = header_length(*last);
  if (length > kHeaderBytesMax + kSealOverhead || length + kHeaderLengthBytes > file.bytes) {
    return std::nullopt;
  }
  const auto sealed = store_->read_part(name, file.bytes - kHeaderLengthBytes - length, length);
  if (!sealed) return std::nullopt;
  const auto header = Cipher(key_).open(*sealed);
  if (!header) return std::nullopt;
  auto entries = parse_header(*header);
  if (!entries || entries->empty() || pack_bytes(*entries) != file.bytes) return std::nullopt;
  return IndexedPack{.id = file.id, .blobs = std::move(*entries)};
}

Outcome<void> Repository::adopt(const std::vector<StoredFile>& packs, BlobIndex& index) const {
  constexpr std::size_t kAdoptedBlobsMax = 20'000;  // Of one index file.
  IndexText text;
  const auto save_text = [&]() -> Outcome<void> {
    if (text.blobs() == 0) return {};
    auto saved = save(FileKind::Index, text.finish());
    if (!saved) return Unexpected(std::move(saved.error()));
    index.add_file(*saved);
    return {};
  };
  for (const StoredFile& file : packs) {
    const auto pack = pack_of(file);
    if (!pack) continue;
    text.add(*pack);
    index.add(*pack);
    if (text.blobs() < kAdoptedBlobsMax) continue;
    if (auto saved = save_text(); !saved) return saved;
  }
  index.settle();
  return save_text();
}

void Repository::set_cache_folder(const std::string& folder) {
  namespace fs = std::filesystem;
  std::error_code error;
  if (!folder.empty() && fs::create_directories(folder, error)) {
    fs::permissions(folder, fs::perms::owner_all, error);
  }
  cache_folder_ = !folder.empty() && fs::is_directory(folder, error) ? folder : std::string();
}

BlobIndex Repository::new_index() const {
  return BlobIndex(cache_folder_.empty() ? "/var/tmp" : cache_folder_);
}

// Adds to `rest` the files that the cache does not know.
std::optional<BlobIndex> Repository::load_cached(const std::vector<StoredFile>& files,
                                                 const PackTest& take,
                                                 std::vector<StoredFile>& rest) const {
  std::vector<Digest> listed;
  for (const StoredFile& file : files) listed.push_back(file.id);
  auto found = IndexCache(cache_folder_, config_.id, key_).load(listed);
  if (!found) return std::nullopt;
  bool sound = true;
  for (const IndexedPackRow& pack : found->index.packs()) {
    sound = take(pack.id, pack.bytes) && sound;
  }
  if (!sound) return std::nullopt;
  const std::unordered_set<Digest> known(found->files.begin(), found->files.end());
  for (const StoredFile& file : files) {
    if (!known.contains(file.id)) rest.push_back(file);
  }
  return std::move(found->index);
}

Outcome<void> Repository::read_index_file(const FileName& name, const PackTest& take,
                                          BlobIndex& index, bool& whole) const {
  const auto text = load(name);
  if (!text) return Unexpected(text.error());
  auto read = read_index(*text, [&](IndexedPack&& pack) -> Outcome<void> {
    const bool taken = take(pack.id, pack_bytes(pack.blobs));
    whole = whole && taken;
    if (taken) index.add(pack);
    return {};
  });
  if (!read) return in_file(name, read.error());
  return {};
}

Outcome<BlobIndex> Repository::load_index_if(const PackTest& take, bool cached) const {
  const auto files = store_->list(FileKind::Index);
  if (!files) return Unexpected(files.error());
  cached = cached && !cache_folder_.empty();
  std::vector<StoredFile> rest;
  auto known = cached ? load_cached(*files, take, rest) : std::nullopt;
  if (!known) rest = *files;
  BlobIndex index = known ? std::move(*known) : new_index();
  const std::size_t before = index.blobs();
  bool whole = true;  // Nothing was left out.
  for (const StoredFile& file : rest) {
    auto read = read_index_file({.kind = FileKind::Index, .id = file.id}, take, index, whole);
    if (!read) return Unexpected(std::move(read.error()));
  }
  const bool worth_keeping = whole && index.blobs() - before >= IndexCache::kBlobsMin;
  index.settle(cached && worth_keeping);
  std::vector<Digest> ids;
  for (const StoredFile& file : *files) ids.push_back(file.id);
  if (whole) index.set_files(std::move(ids));
  if (cached && worth_keeping) IndexCache(cache_folder_, config_.id, key_).save(index);
  return index;
}

void Repository::remember(IndexGrowth& growth) const {
  if (cache_folder_.empty() || growth.blobs() < IndexCache::kBlobsMin) return;
  const BlobIndex index = growth.finish();
  if (index.files()) IndexCache(cache_folder_, config_.id, key_).save(index);
}

Outcome<std::vector<Repository::FoundSnapshot>> Repository::snapshots() const {
  const auto files = store_->list(FileKind::Snapshot);
  if (!files) return Unexpected(files.error());
  std::vector<FoundSnapshot> found;
  for (const StoredFile& file : *files) {
    const FileName name{.kind = FileKind::Snapshot, .id = file.id};
    const auto text = load(name);
    if (!text) return Unexpected(text.error());
    auto snapshot = parse_snapshot(*text);
    if (!snapshot) return in_file(name, snapshot.error());
    found.push_back({.id = file.id, .snapshot = std::move(*snapshot), .written = file.written});
  }
  std::sort(found.begin(), found.end(), [](const FoundSnapshot& a, const FoundSnapshot& b) {
    return std::pair(a.snapshot.time, a.id) < std::pair(b.snapshot.time, b.id);
  });
  return found;
}

Outcome<Repository::FoundSnapshot> Repository::find_snapshot(std::string_view wanted) const {
  auto all = snapshots();
  if (!all) return Unexpected(std::move(all.error()));
  const std::string quoted = "snapshot \"" + std::string(wanted) + "\"";
  if (wanted == "latest") {
    std::erase_if(*all, [](const FoundSnapshot& one) { return one.snapshot.is_partial(); });
    if (all->empty()) return fail(FailureKind::NotFound, "there is no snapshot yet");
    return std::move(all->back());
  }
  std::erase_if(*all, [&](const FoundSnapshot& one) { return !hex(one.id).starts_with(wanted); });
  if (all->empty() || wanted.empty())
    return fail(FailureKind::NotFound, quoted + ": there is none");
  if (all->size() > 1) return fail(FailureKind::Invalid, quoted + ": several begin like that");
  return std::move(all->front());
}

}  // namespace recover::backup
