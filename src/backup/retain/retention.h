// Which snapshots to keep: restic's keep rules. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "backup/repo/repository.h"

namespace recover::backup {

// A tag of every snapshot that continuous protection makes.
inline constexpr const char* kContinuousTag = "continuous";

// A snapshot is kept when any rule keeps it; of a count n, the newest snapshot of each of the n
// newest periods that have one. No rule at all keeps everything.
//
// A snapshot takes no other's place, and is itself kept for somebody to look at, when its time
// cannot be true: who breaks into a machine that may only add snapshots could otherwise push the
// good ones out with forged times. Partial ones take no place either; they go when there is a whole
// one that is newer.
struct Retention {
  unsigned last = 0;
  unsigned hourly = 0;
  unsigned daily = 0;
  unsigned weekly = 0;  // ISO 8601 weeks.
  unsigned monthly = 0;
  unsigned yearly = 0;
  std::int64_t within_seconds = 0;     // Before the newest snapshot of the group.
  std::vector<std::string> tags = {};  // Snapshots with any of these.
  // By how much a snapshot may be newer than its file is by the store's clock; where the store does
  // not tell, nothing is compared.
  std::int64_t ahead_max_seconds = 24 * 3600;
  // The same for older; 0: as much as it likes, for a copy is written long after its snapshot.
  std::int64_t behind_max_seconds = 0;

  bool is_empty() const;
};

struct RetentionVerdict {
  Repository::FoundSnapshot snapshot;
  std::vector<std::string> kept_by;  // "daily", "within 7d"; empty: to be forgotten.
};

// Snapshots are grouped by host and paths, each group judged alone; periods are those of UTC. Those
// with kBeforeRestoreTag or kContinuousTag are groups of their own: made at any time, they would be
// the newest of their period, and push out the one that was made as planned.
// Newest first within a group.
std::vector<RetentionVerdict> judge(std::vector<Repository::FoundSnapshot> snapshots,
                                    const Retention& retention);

}  // namespace recover::backup
