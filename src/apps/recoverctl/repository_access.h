// Opening the repository that a backup command names, and stopping cleanly when told to.
#pragma once

#include <memory>
#include <stop_token>
#include <thread>

#include "apps/recoverctl/backup_commands.h"
#include "apps/recoverctl/failure.h"
#include "apps/recoverctl/session.h"
#include "backup/repo/lock.h"
#include "backup/repo/repository.h"

namespace recover::apps {

// The store of a location, local or not. Throws Failure: none given, or of a kind we do not know.
std::unique_ptr<backup::Store> store_of(const RepositoryWish& wish);
// The password by whichever way was chosen. Throws Failure: none was.
base::Secret password_of(const RepositoryWish& wish);
// What a backup::Failure is to a user: its exit code and name.
Failure failure_of(const backup::Failure& failure);

struct OpenRepository {
  std::unique_ptr<backup::Store> store;
  backup::Repository repository;
};
// Throws Failure.
OpenRepository open_repository(const RepositoryWish& wish);
// Throws Failure.
std::unique_ptr<backup::RepositoryLock> lock_of(const backup::Repository& repository,
                                                backup::LockKind kind);
// None, and a word about it, where nobody can write to the repository or it is full: it can be read
// all the same. Throws Failure.
std::unique_ptr<backup::RepositoryLock> reading_lock_of(const Session& session,
                                                        const backup::Repository& repository);

std::string host_name();
std::string user_name();
backup::Timestamp wall_clock();
// As many as there are processors, and as the memory allows.
unsigned threads_of(const RepositoryWish& wish);

// While it lives SIGINT and SIGTERM ask to stop rather than end the process with its lock left
// behind, and SIGHUP is taken in silence: that is how restic asks whether a lock's process lives.
// Make it before any thread: threads inherit what is blocked.
class StopOnSignal {
 public:
  StopOnSignal();
  StopOnSignal(const StopOnSignal&) = delete;
  StopOnSignal& operator=(const StopOnSignal&) = delete;
  ~StopOnSignal();

  std::stop_token token() const { return source_.get_token(); }

 private:
  std::stop_source source_;
  std::jthread waiter_;
};

}  // namespace recover::apps
