#include "backup/repo/lock.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <fstream>
#include <iterator>
#include <optional>
#include <utility>
#include <vector>

#include "backup/format/go_text.h"

namespace recover::backup {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

// restic's own numbers: both sides must agree on what is stale.
constexpr seconds kStaleAfter = minutes(30);
constexpr seconds kRenewEvery = minutes(5);
constexpr seconds kLostAfter = kStaleAfter - kRenewEvery * 3 / 2;
constexpr milliseconds kSettle{200};

Timestamp now() {
  timespec time{};
  ::clock_gettime(CLOCK_REALTIME, &time);
  return {.seconds = time.tv_sec, .nanoseconds = static_cast<std::uint32_t>(time.tv_nsec)};
}

std::string host_name() {
  std::array<char, 256> name{};
  ::gethostname(name.data(), name.size() - 1);
  return name.data();
}

// The kernel since its start, and which of its sets of PIDs: a process that has no PID here has
// none.
std::string pid_space() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string boot;
  struct stat space {};
  if (!std::getline(file, boot) || ::stat("/proc/self/ns/pid", &space) != 0) return {};
  return boot + ":" + std::to_string(space.st_ino);
}

struct FoundLock {
  Digest id;
  Lock lock;
  std::optional<std::int64_t> written;  // By the store's clock.
};

Outcome<std::vector<FoundLock>> list_locks(const Repository& repository) {
  const auto files = repository.store().list(FileKind::Lock);
  if (!files) return Unexpected(files.error());
  std::vector<FoundLock> locks;
  for (const StoredFile& file : *files) {
    if (file.bytes == 0) continue;  // A crash between making and writing: restic ignores it too.
    const auto text = repository.load({.kind = FileKind::Lock, .id = file.id});
    if (!text) {
      if (text.error().kind == FailureKind::NotFound) continue;  // Released meanwhile.
      return Unexpected(text.error());
    }
    auto lock = parse_lock(*text);
    if (!lock) return Unexpected(std::move(lock.error()));
    locks.push_back({.id = file.id, .lock = std::move(*lock), .written = file.written});
  }
  return locks;
}

std::string describe(const Lock& lock) {
  std::string since;
  append_json_time(since, lock.time);
  return std::string(lock.exclusive ? "exclusively" : "for shared use") + " by process " +
         std::to_string(lock.pid) + " of " + lock.user + " on " + lock.host + " since " +
         since.substr(1, since.size() - 2);
}

Outcome<void> find_conflict(const Repository& repository, LockKind kind,
                            const std::optional<Digest>& own) {
  const auto locks = list_locks(repository);
  if (!locks) return Unexpected(locks.error());
  for (const FoundLock& found : *locks) {
    const bool conflicts = kind == LockKind::Exclusive || found.lock.exclusive;
    if (found.id == own || !conflicts) continue;
    return fail(FailureKind::Locked,
                repository.store().location() + ": locked " + describe(found.lock));
  }
  return {};
}

// Also those that cannot be read any more.
Outcome<std::size_t> remove_all(const Repository& repository) {
  const auto files = repository.store().list(FileKind::Lock);
  if (!files) return Unexpected(files.error());
  for (const StoredFile& file : *files) {
    auto gone = repository.store().remove({.kind = FileKind::Lock, .id = file.id});
    if (!gone && gone.error().kind != FailureKind::NotFound) return Unexpected(gone.error());
  }
  return files->size();
}

Outcome<Digest> write_lock(const Repository& repository, LockKind kind) {
  const Lock lock{.time = now(),
                  .exclusive = kind == LockKind::Exclusive,
                  .host = host_name(),
                  .user = ::geteuid() == 0 ? "root" : std::to_string(::geteuid()),
                  .pid = ::getpid(),
                  .uid = ::geteuid(),
                  .gid = ::getegid(),
                  .pid_space = pid_space()};
  return repository.save(FileKind::Lock, text_of(lock));
}

bool is_older(const FoundLock& found, seconds age) {
  return now().seconds - found.lock.time.seconds > age.count();
}

// None: the store does not tell. What it calls now is the time of a file that is written now: a
// shared lock, for nothing else is in nobody's way.
Outcome<std::optional<std::int64_t>> time_of_store(const Repository& repository) {
  const auto probe = write_lock(repository, LockKind::Shared);
  if (!probe) return Unexpected(probe.error());
  const auto files = repository.store().list(FileKind::Lock);
  (void)repository.store().remove({.kind = FileKind::Lock, .id = *probe});
  if (!files) return Unexpected(files.error());
  for (const StoredFile& file : *files) {
    if (file.id == *probe) return file.written;
  }
  return std::optional<std::int64_t>();
}

bool is_process_gone(const Lock& lock) {
  return lock.host == host_name() && lock.pid > 0 && ::kill(static_cast<pid_t>(lock.pid), 0) != 0 &&
         errno == ESRCH;
}

Outcome<std::vector<FoundLock>> stale_locks(const Repository& repository) {
  auto locks = list_locks(repository);
  if (!locks) return locks;
  const std::string here = pid_space();
  const auto is_ours_and_gone = [&](const FoundLock& one) {
    return !here.empty() && one.lock.pid_space == here && is_process_gone(one.lock);
  };
  std::vector<FoundLock> stale;
  std::copy_if(locks->begin(), locks->end(), std::back_inserter(stale), is_ours_and_gone);
  // The store is asked for its time only when a lock may be an old one.
  std::erase_if(*locks, [&](const FoundLock& one) {
    const bool gone = is_process_gone(one.lock);
    return is_ours_and_gone(one) || !is_older(one, gone ? kRenewEvery : kStaleAfter);
  });
  if (locks->empty()) return stale;
  const auto store_now = time_of_store(repository);
  if (!store_now) return Unexpected(store_now.error());
  for (FoundLock& one : *locks) {
    const seconds age = is_process_gone(one.lock) ? kRenewEvery : kStaleAfter;
    const bool both = !*store_now || !one.written || **store_now - *one.written > age.count();
    if (both) stale.push_back(std::move(one));
  }
  return stale;
}

}  // namespace

Outcome<std::size_t> remove_locks(const Repository& repository, bool all) {
  if (all) return remove_all(repository);
  const auto stale = stale_locks(repository);
  if (!stale) return Unexpected(stale.error());
  for (const FoundLock& found : *stale) {
    auto gone = repository.store().remove({.kind = FileKind::Lock, .id = found.id});
    if (!gone && gone.error().kind != FailureKind::NotFound) return Unexpected(gone.error());
  }
  return stale->size();
}

Outcome<void> remove_own_locks(const Repository& repository) {
  const auto locks = list_locks(repository);
  if (!locks) return Unexpected(locks.error());
  for (const FoundLock& found : *locks) {
    if (found.lock.host != host_name() || found.lock.pid != ::getpid()) continue;
    auto gone = repository.store().remove({.kind = FileKind::Lock, .id = found.id});
    if (!gone && gone.error().kind != FailureKind::NotFound) return gone;
  }
  return {};
}

Outcome<std::unique_ptr<RepositoryLock>> RepositoryLock::acquire(const Repository& repository,
                                                                 LockKind kind) {
  if (auto removed = remove_locks(repository, false); !removed) return Unexpected(removed.error());
  if (auto free = find_conflict(repository, kind, std::nullopt); !free) {
    return Unexpected(std::move(free.error()));
  }
  const auto id = write_lock(repository, kind);
  if (!id) return Unexpected(id.error());
  // Who wrote at the same time sees us by now, as we see them: at least one of both gives way.
  if (!repository.store().shows_at_once()) std::this_thread::sleep_for(kSettle);
  if (auto free = find_conflict(repository, kind, *id); !free) {
    (void)repository.store().remove({.kind = FileKind::Lock, .id = *id});
    return Unexpected(std::move(free.error()));
  }
  return std::unique_ptr<RepositoryLock>(new RepositoryLock(repository, kind, *id));
}

RepositoryLock::RepositoryLock(const Repository& repository, LockKind kind, const Digest& id)
    : repository_(repository), kind_(kind), renewed_(now().seconds), id_(id), keeper_([this] {
        keep();
      }) {}

RepositoryLock::~RepositoryLock() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stop_.notify_all();
  keeper_.join();
  (void)repository_.store().remove({.kind = FileKind::Lock, .id = id_});
}

bool RepositoryLock::is_held() {
  const std::lock_guard lock(mutex_);
  const bool old = now().seconds - renewed_ > kLostAfter.count();
  lost_ = lost_ || old || !repository_.store().size({.kind = FileKind::Lock, .id = id_});
  return !lost_;
}

// By the wall clock: a monotonic one may stand still while the machine sleeps, and others' do not.
void RepositoryLock::keep() {
  std::unique_lock lock(mutex_);
  while (!stop_.wait_for(lock, seconds(1), [&] { return stopping_; })) {
    const std::int64_t age = now().seconds - renewed_;
    if (age < kRenewEvery.count() || lost_) continue;
    // One that somebody removed, or that was too old already, is not made good by a new one.
    lost_ =
        age > kLostAfter.count() || !repository_.store().size({.kind = FileKind::Lock, .id = id_});
    if (lost_) continue;
    const auto fresh = write_lock(repository_, kind_);
    if (!fresh) continue;
    (void)repository_.store().remove({.kind = FileKind::Lock, .id = id_});
    id_ = *fresh;
    renewed_ = now().seconds;
  }
}

}  // namespace recover::backup
