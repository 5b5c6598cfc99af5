// The commands around a service, one after the other: before its start, after its end.
//
// Each runs as the service does, in its cgroup and with its output. Invariant: `done` is called
// once for each run(), from a later turn of the loop, unless cancel() came first.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <recover/time.h>

#include "adapters/process/event_loop.h"
#include "adapters/process/process.h"
#include "adapters/process/spawn.h"
#include "core/policy.h"

namespace recover::adapters::process {

class Hooks {
 public:
  explicit Hooks(Loop& loop) : loop_(loop), deadline_(loop), next_(loop) {}
  ~Hooks() { cancel(); }
  Hooks(const Hooks&) = delete;
  Hooks& operator=(const Hooks&) = delete;

  // `request` is how they run, without its command; its output is borrowed until done. `done` gets
  // what went wrong, empty when every one ended with 0 within `timeout`; the first failure ends it.
  void run(std::vector<core::Arguments> commands, SpawnRequest request, Duration timeout,
           std::function<void(const std::string&)> done);
  // Kills what runs; what it started itself is its cgroup's to end.
  void cancel();
  bool running() const noexcept { return static_cast<bool>(done_); }

 private:
  void step();
  void ended();
  void finish(const std::string& problem);

  Loop& loop_;
  Alarm deadline_;
  Alarm next_;
  Watch watch_;
  Process process_;
  SpawnRequest request_;
  std::vector<core::Arguments> commands_;
  std::size_t at_ = 0;
  std::function<void(const std::string&)> done_;
};

}  // namespace recover::adapters::process
