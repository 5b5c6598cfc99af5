// A program run beside a backup: a dump whose output is read, or a hook. Blocks; one thread.
//
// It dies with the worker (PR_SET_PDEATHSIG), so that a killed worker leaves no dump behind. Never
// through a shell. Invariant: the process is reaped before the object is gone.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "backup/failure.h"
#include "posix/descriptor.h"

namespace recover::apps {

class ProgramRun {
 public:
  // `reads_output`: what it prints comes from output(); else it goes where our errors go. Failure:
  // it could not be started, which shows here for a program that does not exist.
  static backup::Outcome<std::unique_ptr<ProgramRun>> start(const std::vector<std::string>& command,
                                                            bool reads_output);
  ProgramRun(const ProgramRun&) = delete;
  ProgramRun& operator=(const ProgramRun&) = delete;
  // Kills it when it was not waited for.
  ~ProgramRun();

  int output() const { return output_.get(); }
  // Waits for its end. Failure: it ended in any other way than with 0; the message says how, and
  // the last of what it wrote to stderr.
  backup::Outcome<void> wait();

 private:
  ProgramRun() = default;

  std::string name_;
  pid_t pid_ = 0;
  posix::Descriptor output_;
  posix::Descriptor errors_;  // A file in memory that takes its stderr.
};

}  // namespace recover::apps
