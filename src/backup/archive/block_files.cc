#include "backup/archive/block_files.h"

#include <algorithm>
#include <array>

namespace recover::backup {
namespace {

constexpr std::uint64_t kFileBytesMin = std::uint64_t{1} << 20U;
constexpr std::uint64_t kGiB = std::uint64_t{1} << 30U;

constexpr std::array<std::string_view, 21> kEndings = {
    ".db",  ".db3", ".sqlite", ".sqlite3", ".ibd",   ".mdb",  ".accdb",
    ".mdf", ".ndf", ".edb",    ".fdb",     ".qcow2", ".qcow", ".img",
    ".raw", ".vdi", ".vmdk",   ".vhd",     ".vhdx",  ".dbf",  ".myd"};

constexpr std::array<std::string_view, 4> kBeginnings = {
    std::string_view("SQLite format 3\0", 16), std::string_view("QFI\xfb", 4), "KDMV", "vhdxfile"};

bool is_number(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

std::string_view last_part(std::string_view& path) {
  const std::size_t slash = path.rfind('/');
  const std::string_view part = slash == std::string_view::npos ? path : path.substr(slash + 1);
  path = slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
  return part;
}

// PostgreSQL: base/<database>/<relation>[.<segment>].
bool is_relation(std::string_view path) {
  const std::string_view name = last_part(path);
  const std::string_view database = last_part(path);
  return is_number(name.substr(0, name.find_first_of("._"))) && is_number(database) &&
         last_part(path) == "base";
}

}  // namespace

std::size_t block_bytes(std::string_view path, View head, std::uint64_t size) {
  if (size < kFileBytesMin) return 0;
  const std::string_view begin = text_of(head);
  const bool known = std::any_of(kEndings.begin(), kEndings.end(),
                                 [&](std::string_view ending) { return path.ends_with(ending); }) ||
                     path.find("/ibdata") != std::string_view::npos || is_relation(path) ||
                     std::any_of(kBeginnings.begin(), kBeginnings.end(),
                                 [&](std::string_view one) { return begin.starts_with(one); });
  if (!known) return 0;
  return size <= 16 * kGiB    ? kBlockBytesMin
         : size <= 256 * kGiB ? 4 * kBlockBytesMin
                              : 16 * kBlockBytesMin;
}

}  // namespace recover::backup
