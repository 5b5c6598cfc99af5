// A feed that is kept armed: a thread drains it as fast as the kernel fills it, and arms a new one
// when the old is lost. What was told waits here until a backup takes it.
//
// Invariant: between two calls of take() nothing is lost: what a backup that failed had taken is
// put back, and whenever no feed was armed for a moment, everything counts as changed.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "backup/feed/feed.h"
#include "backup/feed/watched_paths.h"
#include "posix/descriptor.h"

namespace recover::backup {

enum class FeedWish : std::uint8_t { Any, Inotify, None };

struct ChangeWatchOptions {
  FeedOptions feed;
  FeedWish wish = FeedWish::Any;
  // How often it is looked whether the paths are still the same.
  std::chrono::milliseconds tick = std::chrono::seconds(5);
};

class ChangeWatch {
 public:
  using Clock = std::chrono::steady_clock;

  // Returns armed, if it can be at all.
  explicit ChangeWatch(ChangeWatchOptions options);
  ChangeWatch(const ChangeWatch&) = delete;
  ChangeWatch& operator=(const ChangeWatch&) = delete;
  ~ChangeWatch();

  struct Waiting {
    std::size_t paths = 0;
    bool everything = false;
    std::string why;                          // Of everything.
    std::optional<Clock::time_point> oldest;  // When the first of them happened; none: none urgent.
  };
  Waiting waiting() const;
  // Which feed is armed; none: changes are not told, see trouble().
  std::optional<FeedKind> kind() const;
  std::string trouble() const;

  struct Taken {
    ChangeSet changes;
    std::optional<Clock::time_point> oldest;
  };
  // Everything until now.
  Taken take();
  void put_back(const Taken& taken);
  // Something to look at again with the next changes, or, when `oldest` is given, soon.
  void add(const ChangeSet& changes, std::optional<Clock::time_point> oldest);
  // Waits until changes wait that did not before, the time has come, or a stop is requested.
  void wait_until(Clock::time_point time, bool for_changes, const std::stop_token& stop);

 private:
  void run(const std::stop_token& stop);
  // False: none can be armed now.
  bool arm();
  // A feed that is not armed is tried again, less and less often: to find out may cost a walk.
  bool try_again();
  void take_notes(const ChangeNotes& notes, Clock::time_point since);

  const ChangeWatchOptions options_;
  std::unique_ptr<Feed> feed_;         // The thread's own, once it runs.
  std::optional<WatchedPaths> paths_;  // As `feed_`.
  std::string mounts_;                 // As `feed_`.
  Clock::time_point again_;            // As `feed_`: when to try.
  Clock::duration patience_;
  posix::Descriptor mount_table_;  // Has an error to poll for when mounts change.
  posix::Descriptor wake_;         // An eventfd.

  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  Taken waiting_;
  std::optional<FeedKind> kind_;
  std::string trouble_;
  std::jthread thread_;  // Last: it uses all of the above.
};

}  // namespace recover::backup
