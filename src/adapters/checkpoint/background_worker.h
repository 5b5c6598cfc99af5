// One job of the worker that nobody waits for, on a thread of its own while it runs.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include <recover/time.h>

namespace recover::adapters::checkpoint {

// Any thread. Ends what runs when it is destroyed.
class BackgroundWorker {
 public:
  using Ended = std::function<void(bool done)>;  // On the job's thread.

  explicit BackgroundWorker(std::string program) : program_(std::move(program)) {}

  // False: another runs.
  bool begin(std::string job, Ended ended);
  // Kills what runs, and waits for that.
  void stop();
  // Waits until nothing runs, at most so long. Whether it is so.
  bool wait(Duration at_most);

 private:
  const std::string program_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool runs_ = false;
  std::jthread thread_;  // Last: it uses all of the above.
};

}  // namespace recover::adapters::checkpoint
