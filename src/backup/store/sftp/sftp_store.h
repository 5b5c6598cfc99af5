// A repository in a folder of an SSH server, over its SFTP subsystem, laid out as restic does.
//
// A file is written under a temporary name, synced where the server can, and renamed in a way that
// replaces nothing: a broken connection leaves the whole file or a temporary name that nobody
// reads.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "backup/store/bandwidth.h"
#include "backup/store/sftp/connection.h"
#include "backup/store/sftp/location.h"
#include "backup/store/store.h"

namespace recover::backup::sftp {

struct SftpOptions {
  Location location;
  // Serves SFTP on its standard input and output. Empty: location.command().
  std::vector<std::string> command = {};
  Duration patience = std::chrono::seconds(60);  // For one answer.
  BandwidthLimits bandwidth = {};
};

// Thread-safe: all calls share one connection, which is made when it is first needed and anew after
// it broke. Makes each call once: SteadyStore around it makes it again.
class SftpStore final : public Store {
 public:
  explicit SftpStore(SftpOptions options);

  std::string location() const override { return options_.location.text(); }
  Outcome<void> prepare() override;
  Outcome<Bytes> read(const FileName& name) override;
  Outcome<Bytes> read_part(const FileName& name, std::uint64_t offset,
                           std::uint64_t length) override;
  Outcome<std::uint64_t> size(const FileName& name) override;
  Outcome<void> write(const FileName& name, View bytes) override;
  Outcome<void> remove(const FileName& name) override;
  Outcome<void> sweep() override;
  Outcome<std::vector<StoredFile>> list(FileKind kind) override;

 private:
  Outcome<std::shared_ptr<Connection>> connection();
  std::string path_of(std::string_view relative) const;

  SftpOptions options_;
  Bandwidth bandwidth_;
  std::mutex mutex_;
  std::shared_ptr<Connection> connection_;
};

}  // namespace recover::backup::sftp
