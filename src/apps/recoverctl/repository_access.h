// Opening the repository that a backup command names, and stopping cleanly when told to.
#pragma once

#include <memory>
#include <stop_token>
#include <thread>

#include "apps/recoverctl/backup_commands.h"
#include "apps/recoverctl/failure.h"
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

std::string host_name();
std::string user_name();
backup::Timestamp wall_clock();

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
