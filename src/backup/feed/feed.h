// What the kernel tells of changes below some paths: fanotify where it is permitted, else inotify.
//
// Never tells too little without saying so: what it cannot follow (a queue that overflowed, a mount
// that appeared, a watch that was lost) is "everything may have changed", and a feed that is_lost()
// tells nothing any more: a new one has to be armed before the next walk.
//
// What no feed tells: pages written through a shared mapping while the file stays open (the last
// close is told), changes made on another machine (such file systems are refused), a further hard
// link made, or a write made, through a name outside of the paths. Walk everything now and then.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "backup/archive/change_set.h"
#include "backup/failure.h"

namespace recover::backup {

enum class FeedKind : std::uint8_t { Fanotify, Inotify };
std::string_view to_string(FeedKind kind);

struct FeedOptions {
  std::vector<std::string> paths;  // Absolute and normal; folders, or files of their own.
  bool one_file_system = false;
  // Changes of these paths are not told, but as one of the folder they are in.
  std::function<bool(const std::string& path)> ignored = nullptr;
  std::size_t watches_max = 100'000;  // Of inotify: one for each folder.
};

// What was told since the last time.
struct ChangeNotes {
  ChangeSet changes;
  bool is_urgent = false;  // Something that is not ignored.
};

// One thread at a time.
class Feed {
 public:
  Feed() = default;
  Feed(const Feed&) = delete;
  Feed& operator=(const Feed&) = delete;
  virtual ~Feed() = default;

  virtual FeedKind kind() const = 0;
  // Readable, as poll(2) has it, when there is something to drain.
  virtual int descriptor() const = 0;
  // Takes what the kernel has told until now. Does not block.
  virtual void drain(ChangeNotes& notes) = 0;
  // It follows the paths no longer.
  bool is_lost() const noexcept { return lost_; }

 protected:
  bool lost_ = false;
};

// NotPermitted, Unsupported: the kernel or a file system has none. Full: too many folders.
Outcome<std::unique_ptr<Feed>> arm_fanotify(const FeedOptions& options);
Outcome<std::unique_ptr<Feed>> arm_inotify(const FeedOptions& options);
// The better of both. The failure tells of both.
Outcome<std::unique_ptr<Feed>> arm_feed(const FeedOptions& options);

}  // namespace recover::backup
