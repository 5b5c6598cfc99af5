// Whether a repository is sound: every snapshot's every tree and blob there, every pack of the size
// and, when asked, the bytes that it was written with. What is damaged is named by snapshot and
// file.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "backup/check/ledger.h"
#include "backup/repo/repository.h"

namespace recover::backup {

struct CheckOptions {
  // Only this snapshot, with every blob of it read. None: the whole repository.
  std::optional<Digest> snapshot = std::nullopt;
  bool read_data = false;  // Read every pack, not only what says what is in it.
  // Of read_data: packs part to part + 1 of `parts` equal parts, by the first byte of their names.
  unsigned part = 0;
  unsigned parts = 1;
  // Of read_data: knows when each pack was last read, and is told of those that are now. None:
  // nobody remembers.
  ReadLedger* ledger = nullptr;
  std::int64_t now = 0;  // Seconds since 1970, for the ledger.
  // Of read_data: not those that were read within so many seconds; 0: all.
  std::int64_t unread_for = 0;
  // Of read_data: of these as many as make up this share of all, at least one, those longest unread
  // first, else drawn at random...
  double share = 1;
  // ...or so many bytes; 0: no limit.
  std::uint64_t bytes_max = 0;
  unsigned threads = 2;
};

struct CheckProgress {
  std::atomic<std::uint64_t> packs{0};
  std::atomic<std::uint64_t> packs_total{0};
  std::atomic<std::uint64_t> bytes{0};
};

struct CheckReport {
  std::vector<std::string> errors;  // Something cannot be restored as it was, or may not be.
  std::vector<std::string> hints;   // Harmless: packs that no index names, and the like.
  // "snapshot 1234abcd: /srv/www/index.html": files that damage reaches. At most kFilesMax.
  std::vector<std::string> damaged_files;
  std::uint64_t snapshots = 0;
  std::uint64_t packs = 0;
  std::uint64_t blobs = 0;

  static constexpr std::size_t kFilesMax = 1000;
  bool is_sound() const { return errors.empty(); }
};

// A Failure only when the repository cannot be listed at all; what is wrong in it is in the report.
Outcome<CheckReport> check(const Repository& repository, const CheckOptions& options,
                           CheckProgress& progress, const std::stop_token& stop = {});

}  // namespace recover::backup
