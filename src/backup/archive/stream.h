// A backup of what a program prints: a stream as the one file of a snapshot, as `restic --stdin`
// has it. Nothing of it is held but a few chunks.
#pragma once

#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "backup/archive/archiver.h"

namespace recover::backup {

struct StreamOptions {
  std::string name;  // Of the file, at the snapshot's root: no '/'.
  std::vector<std::string> tags;
  std::string host;
  std::string user;
  std::string program_version;
  Timestamp now;
  int level = kDefaultLevel;
  std::size_t pack_bytes = kPackBytesDefault;
  // Asked once the stream has ended, before the snapshot is written: whether whoever wrote it says
  // that it is whole. REQUIRES: not empty. Its failure is the backup's, and no snapshot is made.
  std::function<Outcome<void>()> is_whole;
  std::function<bool()> still_locked = nullptr;  // As of ArchiveOptions.
};

// Reads `fd` to its end. Counts into `progress` as it goes. Invalid: no name, or a stop was
// requested; a reader that blocks is not woken by it.
Outcome<ArchiveReport> archive_stream(const Repository& repository, int fd,
                                      const StreamOptions& options, ArchiveProgress& progress,
                                      const std::stop_token& stop = {});

}  // namespace recover::backup
