// A repository in a local folder, laid out as restic does.
//
// A file is written under a temporary name in its own folder, synced, renamed, and the folder
// synced: a crash leaves either the whole file or a temporary name that nobody reads.
#pragma once

#include <sys/types.h>

#include <array>
#include <memory>
#include <mutex>
#include <string>

#include "backup/store/store.h"
#include "posix/descriptor.h"

namespace recover::backup {

class LocalStore final : public Store {
 public:
  explicit LocalStore(std::string folder) : folder_(std::move(folder)) {}

  std::string location() const override { return folder_; }
  Outcome<void> prepare() override;
  Outcome<Bytes> read(const FileName& name) override;
  Outcome<Bytes> read_part(const FileName& name, std::uint64_t offset,
                           std::uint64_t length) override;
  bool read_in_place(const FileName& name, std::uint64_t offset,
                     std::span<std::uint8_t> room) override;
  Outcome<std::uint64_t> size(const FileName& name) override;
  Outcome<void> write(const FileName& name, View bytes) override;
  Outcome<std::unique_ptr<StagedFile>> stage(const FileName& name, View bytes) override;
  Outcome<void> write_long(const FileName& name, const Pieces& bytes) override;
  Outcome<void> remove(const FileName& name) override;
  Outcome<void> sweep() override;
  // Of file systems that are known to be this machine's own.
  bool shows_at_once() const override;
  Outcome<std::vector<StoredFile>> list(FileKind kind) override;
  // A file beside the repository's own, which restic passes over.
  void keep_reserve() override;
  void free_reserve() override;

 private:
  Outcome<std::unique_ptr<StagedFile>> stage_pieces(const FileName& name, const Pieces& bytes);
  std::string folder_of(const FileName& name) const;
  std::string path_of(const FileName& name) const;
  Outcome<void> make_missing_folder(const FileName& name, mode_t mode) const;

  // Open, or not when it cannot be. The packs read last stay open: blobs are read one by one.
  std::shared_ptr<const posix::Descriptor> opened(const FileName& name);

  struct KeptOpen {
    FileName name;
    std::shared_ptr<const posix::Descriptor> file;
  };
  static constexpr std::size_t kKeptOpen = 4;

  std::string folder_;
  std::mutex kept_mutex_;
  std::array<KeptOpen, kKeptOpen> kept_;
  std::size_t next_kept_ = 0;
};

}  // namespace recover::backup
