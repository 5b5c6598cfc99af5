// Opening the repository that a backup command names, and stopping cleanly when told to.
#pragma once

#include <memory>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "apps/recoverctl/backup_commands.h"
#include "apps/recoverctl/failure.h"
#include "apps/recoverctl/session.h"
#include "backup/repo/lock.h"
#include "backup/repo/repository.h"
#include "backup/store/store_location.h"

namespace recover::apps {

// What options and environment say of every store. Throws Failure: an option is wrong.
backup::StoreWish store_wish_of(const RepositoryWish& wish);
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

// A snapshot by its id; `latest`; or, with a type, the newest of each of its sources. Throws
// Failure: there is none.
std::vector<backup::Repository::FoundSnapshot> wanted_snapshots(
    const backup::Repository& repository, const RepositoryWish& wish, const std::string& snapshot);
// The same where only one is of use. Throws Failure that names them when there are several.
backup::Repository::FoundSnapshot wanted_snapshot(const backup::Repository& repository,
                                                  const RepositoryWish& wish,
                                                  const std::string& snapshot);

// Whether it is of the type that was asked for, if one was.
bool is_of_type(const RepositoryWish& wish, const backup::Repository::FoundSnapshot& found);

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
