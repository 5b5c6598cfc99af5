// A server started from a backup, for the time of one drill: no network, nothing of it kept.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>

#include "apps/recoverd_backup/program_run.h"

namespace recover::apps {

class ScratchServer {
 public:
  // Recovery of a large database from its log may take long; the job has a limit of its own.
  static constexpr std::chrono::minutes kStartMax{30};

  // Starts it and asks `ready` until it says yes. Failure: it could not be started, ended before
  // (with what it said last), or a stop was requested.
  static backup::Outcome<std::unique_ptr<ScratchServer>> start(const ProgramSpec& spec,
                                                               const std::function<bool()>& ready,
                                                               const std::stop_token& stop);
  ScratchServer(const ScratchServer&) = delete;
  ScratchServer& operator=(const ScratchServer&) = delete;
  // Ends it: SIGTERM, then SIGKILL to its group.
  ~ScratchServer();

 private:
  explicit ScratchServer(std::unique_ptr<ProgramRun> run) : run_(std::move(run)) {}

  std::unique_ptr<ProgramRun> run_;
};

}  // namespace recover::apps
