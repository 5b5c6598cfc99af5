// Where the state of services is kept so that it can be put back: take, list, show, restore, prune.
//
// A checkpoint is a service's state paths as they were, with facts beside them. Its id follows from
// its content: taking the same state again gives the id that is already there. It is complete or
// not there at all, whatever crashes.
#pragma once

#include <cstdint>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <recover/result.h>
#include <recover/time.h>

namespace recover::ports {

using CheckpointFacts = std::vector<std::pair<std::string, std::string>>;

struct CheckpointInfo {
  std::string id = {};  // Hexadecimal.
  std::string service = {};
  std::vector<std::string> names = {};  // That point at it now: "last-good", …
  std::int64_t wall_ns = 0;             // First taken, since 1970.
  std::vector<std::string> paths = {};  // What it covers.
  CheckpointFacts facts = {};           // As of the first time.
  std::uint64_t files = 0;              // Regular files.
  std::uint64_t bytes = 0;              // In them.
};

enum class FileKind : std::uint8_t { Directory, Regular, Symlink, Absent };

// One name that a checkpoint holds.
struct CheckpointFile {
  std::string path = {};              // Absolute.
  FileKind kind = FileKind::Regular;  // Absent: a covered path that did not exist.
  std::uint32_t mode = 0;             // Permission bits.
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::int64_t mtime_ns = 0;
  std::uint64_t size = 0;
  std::string target = {};  // Of a symlink.
  std::string sha256 = {};  // Of a regular file's content, hexadecimal; empty: it has many parts.
  friend bool operator==(const CheckpointFile&, const CheckpointFile&) = default;
};

struct CheckpointContents {
  CheckpointInfo info = {};
  std::vector<CheckpointFile> files = {};  // Folders before what is in them.
  std::vector<std::string> not_held = {};  // Sockets, devices, other file systems: left out.
};

enum class CheckpointFault : std::uint8_t {
  NotFound,   // No such checkpoint, or nothing of it below the paths asked for.
  Corrupt,    // Its manifest or a file of it is damaged; `path` names the file.
  Refused,    // The request is none: a relative path, too many files, too large.
  Io,         // The system said no.
  Cancelled,  // Stopped, or out of time.
};

struct CheckpointError {
  CheckpointFault fault = CheckpointFault::Io;
  std::string message = {};
  std::string path = {};  // The file it is about, if it is about one.
  bool touched =
      false;  // Of a restore: something may have changed already. Running it again helps.
};

// When to give up: checked between files and within large ones.
struct CheckpointLimits {
  std::stop_token stop = {};
  Instant deadline = kNever;  // On SteadyClock.
};

struct TakeRequest {
  std::string service = {};
  std::string name = {};  // Points at the checkpoint from now on; empty: none.
  std::vector<std::string> paths =
      {};  // Absolute. One that does not exist is remembered as absent.
  CheckpointFacts facts = {};
  // A version of its own also when an older one was the same; only not when the newest is.
  bool versioned = false;
  CheckpointLimits limits = {};
};
struct TakenCheckpoint {
  std::string id = {};
  bool new_state = true;  // False: the same content was there.
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  std::uint64_t bytes_stored = 0;  // That were not stored already.
};

struct RestoreRequest {
  std::string service = {};
  std::string checkpoint = {};          // Id or name.
  std::vector<std::string> paths = {};  // Only these and what is below; empty: all.
  bool dry_run = false;                 // Only report what would change.
  CheckpointLimits limits = {};
};
struct RestoreReport {
  std::string id = {};
  std::vector<std::string> written = {};  // Created, replaced, or given other owner, mode or time.
  std::vector<std::string> removed = {};  // Were not in the checkpoint.
  std::vector<std::string> left = {};     // Not in it either, but not ours to remove.
  std::uint64_t unchanged = 0;
  std::string undo = {};     // The checkpoint of what was there before; empty: a dry run, or none.
  std::string no_undo = {};  // Why there is none.
};

struct PruneRequest {
  std::string service = {};
  std::uint32_t keep = 10;               // The newest.
  std::vector<std::string> in_use = {};  // Ids or names that must stay beside those.
  bool make_room = false;                // What they held goes as soon as it can.
};

// Any thread; calls may wait for one another. Never throws.
class CheckpointStore {
 public:
  CheckpointStore() = default;
  CheckpointStore(const CheckpointStore&) = delete;
  CheckpointStore& operator=(const CheckpointStore&) = delete;
  virtual ~CheckpointStore() = default;

  virtual Result<TakenCheckpoint, CheckpointError> take(const TakeRequest& request) = 0;
  // The name points at that checkpoint (id or name) from now on.
  virtual Result<void, CheckpointError> name(std::string_view service, std::string_view checkpoint,
                                             std::string_view name) = 0;
  // Newest first. Damaged ones are left out.
  virtual Result<std::vector<CheckpointInfo>, CheckpointError> list(std::string_view service) = 0;
  virtual Result<CheckpointContents, CheckpointError> show(std::string_view service,
                                                           std::string_view checkpoint) = 0;
  // Brings the paths back to what the checkpoint holds, file by file, each atomically. What is
  // damaged in the store is found before anything is changed. What is there is taken first, and
  // called kBeforeRestore; a full disk that forbids that does not forbid restoring.
  virtual Result<RestoreReport, CheckpointError> restore(const RestoreRequest& request) = 0;
  // Removes older checkpoints; what only they held goes later, in the background. Never those
  // called kLastGood and kLastGoodStarted, nor those in use. Returns the ids removed.
  virtual Result<std::vector<std::string>, CheckpointError> prune(const PruneRequest& request) = 0;
  // What differs from one checkpoint to another, for people: text as `diff -u` writes it.
  virtual Result<std::string, CheckpointError> difference(std::string_view service,
                                                          std::string_view before,
                                                          std::string_view after) = 0;
};

inline constexpr std::string_view kLastGood = "last-good";
// The newest last-good that a start or reload is known to have read; at first the one before.
inline constexpr std::string_view kLastGoodStarted = "last-good-started";
// Not a service's: the versions of the configuration are kept under this, and ":" and the
// environment's name if it has one.
inline constexpr std::string_view kConfigurationHistory = "@configuration";
// What the latest restore replaced.
inline constexpr std::string_view kBeforeRestore = "before-restore";

}  // namespace recover::ports
