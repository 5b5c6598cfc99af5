#include "adapters/process/hooks.h"

#include <csignal>
#include <cstring>
#include <utility>

namespace recover::adapters::process {
namespace {

constexpr int kEndLooksMax = 100;

// After a KILL it ends at once; it must not stay behind as a zombie.
void collect_soon(const Process& process) {
  for (int looks = 0; looks < kEndLooksMax && !process.ended(); ++looks) ::usleep(1'000);
  process.collect();
}

}  // namespace

void Hooks::run(std::vector<core::Arguments> commands, SpawnRequest request, Duration timeout,
                std::function<void(const std::string&)> done) {
  cancel();
  commands_ = std::move(commands);
  request_ = std::move(request);
  done_ = std::move(done);
  at_ = 0;
  deadline_.set(timeout, [this] {
    const std::string name = at_ < commands_.size() ? commands_[at_].front() : std::string();
    process_.signal(SIGKILL);
    collect_soon(process_);
    finish(name + ": not done in time");
  });
  next_.set(Duration::zero(), [this] { step(); });
}

void Hooks::cancel() {
  done_ = nullptr;
  deadline_.cancel();
  next_.cancel();
  watch_ = {};
  if (process_) {
    process_.signal(SIGKILL);
    collect_soon(process_);
  }
  process_ = {};
}

void Hooks::step() {
  if (at_ >= commands_.size()) return finish("");
  request_.command = commands_[at_];
  auto spawned = spawn(request_);
  if (!spawned) return finish(spawned.error().message);
  process_ = std::move(spawned->process);
  watch_ = Watch(loop_, process_.pidfd(), [this] { ended(); });
}

void Hooks::ended() {
  const ExitStatus status = process_.exit_status().value_or(ExitStatus{});
  watch_ = {};
  process_.collect();
  process_ = {};
  const std::string& name = commands_[at_++].front();
  if (status.signal != 0)
    return finish(name + ": ended by signal " + ::sigabbrev_np(status.signal));
  if (status.code != 0) return finish(name + ": exited with code " + std::to_string(status.code));
  step();
}

void Hooks::finish(const std::string& problem) {
  deadline_.cancel();
  next_.cancel();
  watch_ = {};
  process_ = {};
  request_ = {};
  if (const auto done = std::exchange(done_, nullptr)) done(problem);
}

}  // namespace recover::adapters::process
