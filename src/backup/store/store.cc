#include "backup/store/store.h"

namespace recover::backup {

std::string_view to_string(FileKind kind) {
  switch (kind) {
    case FileKind::Config: return "config";
    case FileKind::Key: return "key";
    case FileKind::Lock: return "lock";
    case FileKind::Index: return "index";
    case FileKind::Snapshot: return "snapshot";
    case FileKind::Pack: return "pack";
  }
  return "";
}

std::string to_string(const FileName& name) {
  std::string text(to_string(name.kind));
  if (name.kind != FileKind::Config) text += " " + hex(name.id);
  return text;
}

}  // namespace recover::backup
