#include "backup/feed/change_watch.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

namespace recover::backup {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Between two drains: many changes at once cost one wake, and queues of the usual size hold so
// much.
constexpr milliseconds kNap{50};
// A poll that took longer has waited for what it tells.
constexpr milliseconds kWaited{5};
constexpr seconds kAgainMax{300};  // Between two tries of a feed that was refused.

}  // namespace

ChangeWatch::ChangeWatch(ChangeWatchOptions options)
    : options_(std::move(options)),
      patience_(options_.tick),
      mount_table_(::open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  arm();
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

ChangeWatch::~ChangeWatch() {
  thread_.request_stop();
  const std::uint64_t one = 1;
  static_cast<void>(!::write(wake_.get(), &one, sizeof one));
}

bool ChangeWatch::try_again() {
  const Clock::time_point now = Clock::now();
  if (now < again_) return false;
  const bool armed = arm();
  again_ = Clock::now() + patience_;
  patience_ = armed ? options_.tick : std::min<Clock::duration>(2 * patience_, kAgainMax);
  return armed;
}

bool ChangeWatch::arm() {
  feed_.reset();
  std::string trouble = "not wanted";
  auto paths = WatchedPaths::look(options_.feed);
  if (!paths) {
    trouble = paths.error().message;
  } else if (options_.wish != FeedWish::None) {
    // Told before the feed is armed: a mount in between is noticed then.
    mounts_ = paths->mounts();
    paths_ = std::move(*paths);
    auto feed =
        options_.wish == FeedWish::Any ? arm_feed(options_.feed) : arm_inotify(options_.feed);
    if (feed) {
      feed_ = std::move(*feed);
      trouble.clear();
    } else {
      trouble = feed.error().message;
    }
  }
  const std::lock_guard lock(mutex_);
  kind_ = feed_ ? std::optional(feed_->kind()) : std::nullopt;
  trouble_ = std::move(trouble);
  return feed_ != nullptr;
}

void ChangeWatch::run(const std::stop_token& stop) {
  bool napped = false;
  Clock::time_point looked = Clock::now();
  Clock::time_point since = Clock::now();
  while (!stop.stop_requested()) {
    std::array<pollfd, 3> polled = {
        pollfd{.fd = wake_.get(), .events = POLLIN, .revents = 0},
        pollfd{.fd = feed_ ? feed_->descriptor() : -1, .events = POLLIN, .revents = 0},
        pollfd{.fd = feed_ ? mount_table_.get() : -1, .events = POLLPRI, .revents = 0}};
    const Clock::time_point asked = Clock::now();
    const int ready = ::poll(polled.data(), polled.size(), static_cast<int>(options_.tick.count()));
    if (stop.stop_requested()) return;
    // What was there already may be as old as the last drain.
    const Clock::time_point answered = Clock::now();
    if (!napped || answered - asked > kWaited) since = answered;
    ChangeNotes notes;
    if (feed_) {
      if (polled[1].revents != 0) feed_->drain(notes);
      // By time: on a busy file system the feed has always something to tell.
      const bool look = answered - looked >= options_.tick || polled[2].revents != 0;
      if (look) looked = answered;
      const bool lost =
          feed_->is_lost() || (look && (!paths_->are_same() || paths_->mounts() != mounts_));
      if (lost) {
        arm();
        notes.changes.add_everything("a path was moved, removed or mounted over");
        notes.is_urgent = true;
      }
    } else if (try_again()) {
      notes.changes.add_everything("changes were not told until now");
      notes.is_urgent = true;
    }
    take_notes(notes, since);
    since = Clock::now();
    pollfd only_wake = polled[0];
    napped = ready > 0;
    if (napped) ::poll(&only_wake, 1, static_cast<int>(kNap.count()));
  }
}

void ChangeWatch::take_notes(const ChangeNotes& notes, Clock::time_point since) {
  if (notes.changes.empty()) return;
  add(notes.changes, notes.is_urgent ? std::optional(since) : std::nullopt);
}

void ChangeWatch::add(const ChangeSet& changes, std::optional<Clock::time_point> oldest) {
  {
    const std::lock_guard lock(mutex_);
    waiting_.changes.add(changes);
    if (oldest) waiting_.oldest = std::min(waiting_.oldest.value_or(*oldest), *oldest);
  }
  changed_.notify_all();
}

ChangeWatch::Taken ChangeWatch::take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(waiting_, Taken());
}

void ChangeWatch::put_back(const Taken& taken) {
  add(taken.changes, taken.oldest);
}

ChangeWatch::Waiting ChangeWatch::waiting() const {
  const std::lock_guard lock(mutex_);
  return {.paths = waiting_.changes.size(),
          .everything = waiting_.changes.is_everything(),
          .why = waiting_.changes.why(),
          .oldest = waiting_.oldest};
}

std::optional<FeedKind> ChangeWatch::kind() const {
  const std::lock_guard lock(mutex_);
  return kind_;
}

std::string ChangeWatch::trouble() const {
  const std::lock_guard lock(mutex_);
  return trouble_;
}

void ChangeWatch::wait_until(Clock::time_point time, bool for_changes,
                             const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  changed_.wait_until(lock, stop, time, [&] { return for_changes && waiting_.oldest.has_value(); });
}

}  // namespace recover::backup
