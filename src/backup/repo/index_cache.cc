#include "backup/repo/index_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <set>
#include <utility>

#include "backup/local/file.h"

namespace recover::backup {
namespace {

constexpr std::size_t kIndexPieceBytes = std::size_t{256} << 10U;
// Read back in the byte order it was written in, or not at all.
constexpr std::uint64_t kMagic = 0x31786469'76636572U;

template <class T>
View raw(const T* items, std::size_t count) {
  return {reinterpret_cast<const std::uint8_t*>(items), count * sizeof(T)};
}

template <class T>
bool read_items(int fd, std::uint64_t offset, std::vector<T>& items) {
  const std::span<std::uint8_t> room(reinterpret_cast<std::uint8_t*>(items.data()),
                                     items.size() * sizeof(T));
  return read_up_to(fd, offset, room) == static_cast<ssize_t>(room.size());
}

// Of all behind the header; none when it cannot be read.
std::optional<Digest> content_of(int fd, std::uint64_t from, std::uint64_t to) {
  Sha256 hash;
  Bytes piece(kIndexPieceBytes);
  while (from < to) {
    const std::size_t wanted = std::min<std::uint64_t>(kIndexPieceBytes, to - from);
    const std::span<std::uint8_t> room = std::span(piece).first(wanted);
    if (read_up_to(fd, from, room) != static_cast<ssize_t>(wanted)) return std::nullopt;
    hash.add(room);
    from += wanted;
  }
  return hash.finish();
}

// Writes on, and keeps the hash of what it wrote.
class HashedFile {
 public:
  explicit HashedFile(int fd) : fd_(fd) {}
  void add(View bytes) {
    hash_.add(bytes);
    good_ = good_ && write_all(fd_, bytes);
  }
  bool is_good() const noexcept { return good_; }
  Digest finish() { return hash_.finish(); }

 private:
  int fd_;
  Sha256 hash_;
  bool good_ = true;
};

}  // namespace

std::string default_cache_folder() {
  constexpr std::string_view kName = "/recover-backup";
  for (const auto& [variable, below] :
       {std::pair("CACHE_DIRECTORY", ""), std::pair("XDG_CACHE_HOME", ""),
        std::pair("HOME", "/.cache")}) {
    const char* const value = std::getenv(variable);  // NOLINT(concurrency-mt-unsafe)
    if (value != nullptr && *value == '/') return std::string(value).append(below).append(kName);
  }
  return {};
}

struct IndexCache::Header {
  std::uint64_t magic = kMagic;
  std::uint64_t files = 0;
  std::uint64_t packs = 0;
  std::uint64_t records = 0;
  Digest seal;

  static constexpr std::uint64_t kCountMax = std::uint64_t{1} << 40U;

  bool is_sane() const {
    return magic == kMagic && files < kCountMax && packs < kCountMax && records < kCountMax;
  }
  std::uint64_t packs_at() const { return sizeof(Header) + files * kDigestBytes; }
  std::uint64_t records_at() const { return packs_at() + packs * sizeof(IndexedPackRow); }
  std::uint64_t end() const { return records_at() + records * sizeof(IndexRecord); }
};

IndexCache::IndexCache(std::string folder, const std::string& repository, const MasterKey& key)
    : folder_(std::move(folder)),
      path_(folder_ + "/" + hex(sha256(view_of(repository))) + ".index"),
      key_(key) {}

// Nobody without the key makes one that is believed.
Digest IndexCache::seal_of(const Digest& content) const {
  Bytes text;
  append(text, key_.mac_k);
  append(text, key_.mac_r);
  append(text, key_.encrypt);
  append(text, content.bytes);
  return sha256(text);
}

std::optional<IndexCache::Found> IndexCache::load(const std::vector<Digest>& listed) const {
  const Descriptor file(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  struct stat info {};
  std::vector<Header> headers(1);
  if (!file || ::fstat(file.get(), &info) != 0) return std::nullopt;
  const bool read = read_items(file.get(), 0, headers);
  const Header& header = headers.front();
  const auto size = static_cast<std::uint64_t>(info.st_size);
  if (!read || !header.is_sane() || header.end() != size) return std::nullopt;
  std::vector<Digest> files(header.files);
  std::vector<IndexedPackRow> packs(header.packs);
  if (!read_items(file.get(), sizeof(Header), files) ||
      !read_items(file.get(), header.packs_at(), packs)) {
    return std::nullopt;
  }
  const std::set<Digest> there(listed.begin(), listed.end());
  const bool fits = std::all_of(files.begin(), files.end(),
                                [&](const Digest& one) { return there.contains(one); });
  if (!fits) return std::nullopt;
  // The seal itself is hashed as zeros.
  Header bare = header;
  bare.seal = Digest();
  Sha256 hash;
  hash.add(raw(&bare, 1));
  const auto rest = content_of(file.get(), sizeof(Header), size);
  if (!rest) return std::nullopt;
  hash.add(rest->bytes);
  if (seal_of(hash.finish()) != header.seal) return std::nullopt;
  auto region = MappedRegion::map(file.get(), size, MappedRegion::Access::Read);
  if (!region) return std::nullopt;
  IndexRecords records(std::move(*region), header.records_at(), header.records);
  return Found{.files = std::move(files),
               .index = BlobIndex(folder_, std::move(packs), std::move(records))};
}

void IndexCache::save(const BlobIndex& index) const {
  const std::vector<Digest>& files = index.files().value();
  std::error_code ignored;
  std::filesystem::create_directories(folder_, ignored);
  std::string temporary = path_ + "-tmp-XXXXXX";
  const Descriptor file(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!file) return;
  Header header{.files = files.size(),
                .packs = index.packs().size(),
                .records = index.base().size(),
                .seal = {}};
  Sha256 hash;
  hash.add(raw(&header, 1));
  bool good = write_all(file.get(), raw(&header, 1));
  HashedFile out(file.get());
  out.add(raw(files.data(), files.size()));
  out.add(raw(index.packs().data(), index.packs().size()));
  constexpr std::size_t kPieceRecords = kIndexPieceBytes / sizeof(IndexRecord);
  std::vector<IndexRecord> piece;
  for (std::size_t i = 0; i < index.base().size(); ++i) {
    piece.push_back(index.base()[i]);
    if (piece.size() < kPieceRecords && i + 1 < index.base().size()) continue;
    out.add(raw(piece.data(), piece.size()));
    piece.clear();
  }
  hash.add(out.finish().bytes);
  header.seal = seal_of(hash.finish());
  good = good && out.is_good() &&
         ::pwrite(file.get(), &header, sizeof header, 0) == static_cast<ssize_t>(sizeof header) &&
         ::rename(temporary.c_str(), path_.c_str()) == 0;
  if (!good) ::unlink(temporary.c_str());
}

}  // namespace recover::backup
