// What a drill restored beside what was to be restored: every byte against the hashes of its blobs,
// and against the source where nothing says that it changed since.
//
// Reads only. Follows no link of what was restored.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "backup/repo/repository.h"

namespace recover::apps {

struct ComparisonWish {
  std::string root;         // Where the snapshot lies restored.
  bool with_source = true;  // Its paths are those of files here.
  unsigned threads = 2;
};

struct ComparisonProgress {
  std::atomic<std::uint64_t> files{0};
  std::atomic<std::uint64_t> bytes{0};
};

// Counts of files, but for the texts. At most kToldMax of each text.
struct Comparison {
  static constexpr std::size_t kToldMax = 20;

  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  std::uint64_t others = 0;     // Folders, links, devices, fifos: of the right kind.
  std::uint64_t as_source = 0;  // Unchanged there since the backup, and byte for byte the same.
  std::uint64_t changed = 0;    // Changed there since: not compared with it.
  std::uint64_t gone = 0;       // Gone there since, or not readable.
  std::vector<std::string> wrong = {};  // Not what was backed up.
  std::uint64_t wrong_count = 0;
  // Not what its source holds, though by its size and times that did not change.
  std::vector<std::string> unlike_source = {};
  std::uint64_t unlike_source_count = 0;
};

// Failure: a tree of the snapshot cannot be read, or a stop was requested.
backup::Outcome<Comparison> compare_restored(const backup::Repository& repository,
                                             const backup::BlobIndex& index,
                                             const backup::Snapshot& snapshot,
                                             const ComparisonWish& wish,
                                             ComparisonProgress& progress,
                                             const std::stop_token& stop);

// The length of a blob's content; none: no index knows it.
std::optional<std::uint64_t> content_length(const backup::BlobIndex& index,
                                            const backup::Digest& id);

}  // namespace recover::apps
