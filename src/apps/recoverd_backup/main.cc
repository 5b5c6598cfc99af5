// recoverd-backup: the program behind `recoverd backup-worker`. It holds what only backups need
// (compression, the stores' libraries), so that the daemon does not.
//
// Reads one job from standard input, says how it goes on standard output, exits with 0 when it was
// done and 1 when not.
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <ctime>
#include <exception>
#include <iostream>
#include <iterator>
#include <stop_token>
#include <string>
#include <thread>

#include "adapters/checkpoint/protocol.h"
#include "apps/recoverd_backup/checkpoint_job.h"
#include "apps/recoverd_backup/job.h"
#include "apps/recoverd_backup/worker.h"
#include "backup/memory_budget.h"

namespace {

constexpr int kUsage = 2;

sigset_t ending_signals() {
  sigset_t signals;
  ::sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) ::sigaddset(&signals, signal);
  return signals;
}

// Told to end as soon as whoever gave the job is gone; false: it is gone already.
bool follow(std::int64_t parent) {
  if (parent == 0) return true;
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  return ::getppid() == parent;
}

int work() {
  const std::string text((std::istreambuf_iterator<char>(std::cin)),
                         std::istreambuf_iterator<char>());
  if (recover::adapters::checkpoint::is_checkpoint_job(text)) {
    return recover::apps::do_checkpoint_job(text, std::cout) ? 0 : 1;
  }
  const auto job = recover::apps::parse_job(text);
  if (!job) {
    std::cerr << "recoverd backup-worker: the job on standard input: " << job.error() << "\n";
    return kUsage;
  }
  // Everything else of the machine goes before a backup, but not before a recovery.
  if (job->task != recover::apps::Task::Restore) recover::apps::step_back(job->load);
  // SIGHUP is taken in silence: restic asks that way whether a lock's process lives.
  std::stop_source stop;
  const sigset_t signals = ending_signals();
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  if (!follow(job->parent)) return 1;
  const std::jthread waiter([&stop, &signals](const std::stop_token& done) {
    const timespec period{.tv_sec = 0, .tv_nsec = 100'000'000};
    while (!done.stop_requested()) {
      const int signal = ::sigtimedwait(&signals, nullptr, &period);
      if (signal == SIGINT || signal == SIGTERM) stop.request_stop();
    }
  });
  return recover::apps::do_job(*job, std::cout, stop.get_token()) ? 0 : 1;
}

}  // namespace

int main() {
  recover::backup::keep_memory_small();
  ::signal(SIGPIPE, SIG_IGN);
  try {
    return work();
  } catch (const std::exception& error) {
    std::cerr << "recoverd backup-worker: " << error.what() << "\n";
  } catch (...) {
    std::cerr << "recoverd backup-worker: a failure without a name\n";
  }
  return 1;
}
