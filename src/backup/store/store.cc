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

Outcome<std::unique_ptr<StagedFile>> Store::stage(const FileName& name, View bytes) {
  if (auto written = write(name, bytes); !written) return Unexpected(std::move(written.error()));
  return std::unique_ptr<StagedFile>();
}

Outcome<void> Store::write_long(const FileName& name, const Pieces& bytes) {
  Bytes all;
  all.reserve(static_cast<std::size_t>(bytes.size));
  const bool whole = bytes.each([&](View piece) {
    append(all, piece);
    return true;
  });
  if (whole && all.size() == bytes.size) return write(name, all);
  return fail(FailureKind::Io, to_string(name) + ": what is to be written cannot be read");
}

std::uint64_t bytes_max(FileKind kind) {
  constexpr std::uint64_t kMebibyte = std::uint64_t{1} << 20U;
  switch (kind) {
    case FileKind::Config:
    case FileKind::Key:
    case FileKind::Lock: return kMebibyte;
    case FileKind::Snapshot: return 64 * kMebibyte;
    case FileKind::Index: return 512 * kMebibyte;
    case FileKind::Pack: return 4096 * kMebibyte;  // The format's offsets end there.
  }
  return 0;
}

}  // namespace recover::backup
