#include "adapters/checkpoint/background_worker.h"

#include <utility>

#include "adapters/checkpoint/protocol.h"
#include "adapters/checkpoint/worker_call.h"

namespace recover::adapters::checkpoint {

bool BackgroundWorker::begin(std::string job, Ended ended) {
  const std::scoped_lock lock(mutex_);
  if (std::exchange(runs_, true)) return false;
  thread_ = std::jthread([this, job = std::move(job),
                          ended = std::move(ended)](const std::stop_token& stop) {
    const auto answer =
        ask_worker({.program = program_, .job = job, .limits = {.stop = stop, .deadline = kNever}});
    ended(answer && decode_answer(*answer));
    const std::scoped_lock done(mutex_);
    runs_ = false;
    changed_.notify_all();
  });
  return true;
}

void BackgroundWorker::stop() {
  std::unique_lock lock(mutex_);
  if (!runs_) return;
  thread_.request_stop();
  changed_.wait(lock, [this] { return !runs_; });
}

bool BackgroundWorker::wait(Duration at_most) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, at_most, [this] { return !runs_; });
}

}  // namespace recover::adapters::checkpoint
