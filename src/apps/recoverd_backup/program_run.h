// A program run beside a backup: a dump whose output is read, a hook, a server for a restore test.
// Blocks; one thread.
//
// It dies with the worker (PR_SET_PDEATHSIG), so that a killed worker leaves no dump behind. Never
// through a shell. Invariant: the process is reaped before the object is gone.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "apps/recoverd_backup/account.h"
#include "backup/failure.h"
#include "posix/descriptor.h"

namespace recover::apps {

struct ProgramSpec {
  // A program has the descriptors it was handed as this number and those after it.
  static constexpr int kHandedFirst = 40;
  static constexpr std::size_t kHandedMax = 4;

  std::vector<std::string> command;         // REQUIRES: not empty.
  bool reads_output = false;                // Else it goes where its errors go.
  std::vector<std::string> variables = {};  // "NAME=value", before those we have ourselves,
                                            // of which another user gets a harmless few.
  int input = -1;                           // Its standard input; -1: nothing.
  std::vector<int> handed = {};             // REQUIRES: at most kHandedMax.
  const Account* account = nullptr;         // Who runs it; none: we do.
  std::string folder = {};                  // Where it runs; empty: where we do.
};

class ProgramRun {
 public:
  // Failure: it could not be started, which shows here for a program that does not exist.
  static backup::Outcome<std::unique_ptr<ProgramRun>> start(const ProgramSpec& spec);
  static backup::Outcome<std::unique_ptr<ProgramRun>> start(const std::vector<std::string>& command,
                                                            bool reads_output) {
    return start({.command = command, .reads_output = reads_output});
  }
  ProgramRun(const ProgramRun&) = delete;
  ProgramRun& operator=(const ProgramRun&) = delete;
  // Kills it, and what it started in its process group, when it was not waited for.
  ~ProgramRun();

  // What it prints; the caller may take it over to close it early.
  posix::Descriptor& output() { return output_; }
  // Waits for its end. Failure: it ended in any other way than with 0; the message says how, and
  // the last of what it wrote to stderr.
  backup::Outcome<void> wait();
  // Whether it ends within so long. Does not reap it: wait() tells how.
  bool ends_within(std::chrono::milliseconds limit) const;
  // To the process alone.
  void signal(int number) const;

 private:
  ProgramRun() = default;

  std::string name_;
  pid_t pid_ = 0;
  posix::Descriptor process_;  // A pidfd.
  posix::Descriptor output_;
  posix::Descriptor errors_;  // A file in memory that takes its stderr.
};

}  // namespace recover::apps
