// A restore onto the very paths a snapshot was made of, that can be taken back.
//
// Before anything is touched, what stands at the paths becomes a snapshot of its own with the tag
// kBeforeRestoreTag; only what differs from the snapshot to restore is read for it. Every file
// written is read again; when one is wrong, or anything could not be restored, all is put back.
// A crash in between leaves each file whole, old or new, and the undo snapshot in the repository.
// What the snapshot's backup excluded, what is mounted below the paths and the repository itself
// are neither kept nor touched; a single file that is mounted is kept.
#pragma once

#include <optional>

#include "backup/archive/archiver.h"
#include "backup/restore/restorer.h"

namespace recover::backup {

inline constexpr const char* kBeforeRestoreTag = "before-restore";
// Before each path at which nothing stood, in the tags of an undo snapshot: an exact restore of it
// removes what stands there then.
inline constexpr const char* kAbsentTag = "absent:";

struct InPlaceOptions {
  std::vector<std::string> selective = {};  // None: all that the snapshot holds.
  bool exact = false;  // Remove what the restored folders hold beyond the snapshot.
  bool sparse = false;
  bool owners = true;
  unsigned threads = 2;
  bool keep_undo = true;  // Without an undo snapshot nothing is put back when something goes wrong.
  // Of the undo snapshot.
  std::string host = {};
  std::string user = {};
  std::string program_version = {};
  Timestamp now = {};
  std::function<bool()> still_locked = nullptr;
};

struct InPlaceReport {
  RestoreReport restored;
  std::optional<Digest> undo;       // None: it was not wanted.
  std::vector<std::string> absent;  // The paths at which nothing stood.
  bool rolled_back = false;         // Something went wrong, and all is as it was before …
  RestoreReport roll_back_report;   // … but for these.
};

// Of the paths of a snapshot, or some chosen among them or below: those at which something stood
// when it was made.
std::vector<std::string> present_paths(const Snapshot& snapshot,
                                       const std::vector<std::string>& paths);

// NotFound: a chosen path is not in the snapshot. Invalid: on the way to a path stands a link (name
// the real path), or a stop was requested before anything was touched. Any other failure: the undo
// snapshot could not be made, and nothing was touched.
// REQUIRES: a shared lock on the repository.
Outcome<InPlaceReport> restore_in_place(const Repository& repository,
                                        const Repository::FoundSnapshot& snapshot,
                                        const InPlaceOptions& options, RestoreProgress& progress,
                                        const std::stop_token& stop = {});

}  // namespace recover::backup
