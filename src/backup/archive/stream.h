// A backup of what a program prints: a stream as the one file of a snapshot, as `restic --stdin`
// has it. Nothing of it is held but a few chunks.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "backup/archive/archiver.h"

namespace recover::backup {

// Puts bytes where it is told and says how many; 0: the end. May give fewer than there is room for.
using StreamRead = std::function<Outcome<std::size_t>(std::span<std::uint8_t>)>;

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
  // Of the whole stream, where it is known: a database is then cut into blocks (block_files.h).
  std::uint64_t size = 0;
  // The snapshot is not written: save_held() does that, when others are whole as well.
  bool hold = false;
};

// Reads `fd` to its end. Counts into `progress` as it goes. Invalid: no name, or a stop was
// requested; a reader that blocks is not woken by it.
Outcome<ArchiveReport> archive_stream(const Repository& repository, int fd,
                                      const StreamOptions& options, ArchiveProgress& progress,
                                      const std::stop_token& stop = {});
Outcome<ArchiveReport> archive_stream(const Repository& repository, const StreamRead& read,
                                      const StreamOptions& options, ArchiveProgress& progress,
                                      const std::stop_token& stop = {});

// Writes the snapshot of a report that was held, with tags added since. REQUIRES: the lock under
// which it was made is held.
Outcome<void> save_held(const Repository& repository, ArchiveReport& report,
                        const std::function<bool()>& still_locked);

}  // namespace recover::backup
