#include "backup/repo/patient_lock.h"

#include <condition_variable>
#include <mutex>
#include <utility>

namespace recover::backup {
namespace {

constexpr std::chrono::seconds kAskAgain{1};

// False: a stop was requested.
bool pause(std::chrono::seconds time, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any wake;
  std::unique_lock lock(mutex);
  wake.wait_for(lock, stop, time, [] { return false; });
  return !stop.stop_requested();
}

}  // namespace

Outcome<std::unique_ptr<RepositoryLock>> acquire_patiently(const Repository& repository,
                                                           LockKind kind,
                                                           std::chrono::seconds patience,
                                                           const std::stop_token& stop) {
  const auto until = std::chrono::steady_clock::now() + patience;
  while (true) {
    auto lock = RepositoryLock::acquire(repository, kind);
    const bool conflicts = !lock && lock.error().kind == FailureKind::Locked;
    if (!conflicts || std::chrono::steady_clock::now() >= until) return lock;
    if (!pause(kAskAgain, stop)) return lock;
  }
}

Outcome<std::unique_ptr<TwoPhaseLock>> TwoPhaseLock::begin(const Repository& repository,
                                                           std::chrono::seconds patience,
                                                           std::stop_token stop) {
  auto lock = acquire_patiently(repository, LockKind::Shared, patience, stop);
  if (!lock) return Unexpected(std::move(lock.error()));
  std::unique_ptr<TwoPhaseLock> phases(new TwoPhaseLock(repository, patience, std::move(stop)));
  phases->lock_ = std::move(*lock);
  return phases;
}

Outcome<void> TwoPhaseLock::exclude() {
  lock_.reset();
  auto lock = acquire_patiently(repository_, LockKind::Exclusive, patience_, stop_);
  if (!lock) return Unexpected(std::move(lock.error()));
  lock_ = std::move(*lock);
  return {};
}

Outcome<void> TwoPhaseLock::let_others_in() {
  lock_.reset();
  if (!pause(2 * kAskAgain, stop_)) return fail(FailureKind::Invalid, "a stop was requested");
  return exclude();
}

}  // namespace recover::backup
