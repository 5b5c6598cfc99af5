#include "apps/recoverd_backup/sources/scratch_server.h"

#include <csignal>
#include <utility>

namespace recover::apps {
namespace {

using backup::FailureKind;

constexpr std::chrono::milliseconds kAskPeriod{20};
constexpr std::chrono::seconds kStopMax{10};

}  // namespace

backup::Outcome<std::unique_ptr<ScratchServer>> ScratchServer::start(
    const ProgramSpec& spec, const std::function<bool()>& ready, const std::stop_token& stop) {
  auto run = ProgramRun::start(spec);
  if (!run) return Unexpected(std::move(run.error()));
  std::unique_ptr<ScratchServer> server(new ScratchServer(std::move(*run)));
  const auto end = std::chrono::steady_clock::now() + kStartMax;
  while (!ready()) {
    if (stop.stop_requested()) {
      return backup::fail(FailureKind::Invalid, "the restore test was stopped before its end");
    }
    if (std::chrono::steady_clock::now() > end) {
      return backup::fail(FailureKind::Damaged, spec.command.front() + ": it did not get ready");
    }
    if (!server->run_->ends_within(kAskPeriod)) continue;
    const auto ended = server->run_->wait();
    return backup::fail(FailureKind::Damaged, ended ? spec.command.front() + ": it ended at once"
                                                    : ended.error().message);
  }
  return server;
}

ScratchServer::~ScratchServer() {
  run_->signal(SIGTERM);
  static_cast<void>(run_->ends_within(kStopMax));
}

}  // namespace recover::apps
