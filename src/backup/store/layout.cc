#include "backup/store/layout.h"

namespace recover::backup {
namespace {

constexpr unsigned kPackFolders = 256;

std::string pack_folder(unsigned first) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string path = "data/";
  path += kDigits[first >> 4U];
  path += kDigits[first & 15U];
  return path;
}

}  // namespace

std::string_view root_folder(FileKind kind) {
  switch (kind) {
    case FileKind::Config: return "";
    case FileKind::Key: return "keys";
    case FileKind::Lock: return "locks";
    case FileKind::Index: return "index";
    case FileKind::Snapshot: return "snapshots";
    case FileKind::Pack: return "data";
  }
  return "";
}

std::string relative_path(const FileName& name) {
  if (name.kind == FileKind::Config) return "config";
  const std::string folder = name.kind == FileKind::Pack ? pack_folder(name.id.bytes[0])
                                                         : std::string(root_folder(name.kind));
  return folder + "/" + hex(name.id);
}

std::vector<std::string> folders_of(FileKind kind) {
  if (kind != FileKind::Pack) return {std::string(root_folder(kind))};
  std::vector<std::string> folders;
  for (unsigned first = 0; first < kPackFolders; ++first) folders.push_back(pack_folder(first));
  return folders;
}

std::vector<std::string> all_folders() {
  std::vector<std::string> folders;
  for (const FileKind kind :
       {FileKind::Key, FileKind::Lock, FileKind::Index, FileKind::Snapshot, FileKind::Pack}) {
    folders.emplace_back(root_folder(kind));
  }
  const std::vector<std::string> packs = folders_of(FileKind::Pack);
  folders.insert(folders.end(), packs.begin(), packs.end());
  return folders;
}

bool is_temporary(std::string_view name) {
  const std::size_t mark = name.find("-tmp-");
  if (mark == std::string_view::npos) return false;
  return name.substr(0, mark) == "config" || parse_digest(name.substr(0, mark));
}

}  // namespace recover::backup
