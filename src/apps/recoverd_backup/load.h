// How much of the machine a job takes: its place in the queues of processor and disk, and waiting
// while others have to wait.
#pragma once

#include <boost/json/object.hpp>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>

#include "backup/store/store.h"

namespace recover::apps {

// Of the kernel's pressure files: shares of the last ten seconds in which something had to wait.
struct PressureLevels {
  std::optional<double> cpu;  // From which a job pauses; none: it does not for this.
  std::optional<double> memory;
  std::optional<double> io;

  bool any() const { return cpu || memory || io; }
};

struct JobLoad {
  int nice = 10;
  int io_class = 2;  // IOPRIO_CLASS_…: 1 realtime, 2 best effort, 3 idle.
  int io_priority = 7;
  PressureLevels pause_on;
  std::chrono::milliseconds pause_max = std::chrono::minutes(15);  // All pauses together.
};

// Takes its place. What is not allowed is left as it is.
void step_back(const JobLoad& load);

// "some avg10=1.23 avg60=… total=…" of /proc/pressure/*, as a share; none: there is no such line.
std::optional<double> pressure_in(const std::string& text);

// The door through which every pack goes, to and from the store. It is closed under pressure, and
// opened when that is gone, or when the job has paused for as long as it may: a backup that is
// never made protects nobody. Thread-safe.
class Door {
 public:
  // `read` gives the text of a pressure file, by its name: "cpu", "memory", "io".
  using Read = std::function<std::string(const std::string& name)>;
  Door(const JobLoad& load, Read read, std::stop_token stop)
      : load_(load), read_(std::move(read)), stop_(std::move(stop)) {}

  // Returns at once while there is no pressure.
  void pass();
  // What is under pressure, while it is closed: "io: 62 % of the time something waited, from 50 %".
  std::string why_closed() const;
  std::chrono::milliseconds paused() const;

 private:
  using Clock = std::chrono::steady_clock;
  std::string look() const;

  const JobLoad load_;
  const Read read_;
  const std::stop_token stop_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  Clock::time_point looked_ = Clock::time_point::min();
  std::string why_;
  std::chrono::milliseconds paused_{0};
};

// What the system says. Empty: it has no such file.
std::string read_pressure(const std::string& name);

// A message with what the door has to say: `paused` and why, `paused_seconds` so far.
boost::json::object with_pause(const Door& door, boost::json::object message);

// A store whose packs go through the door. Locks, keys, indexes and snapshots do not: others wait
// for these, and they are small.
std::unique_ptr<backup::Store> behind_door(std::unique_ptr<backup::Store> store, Door& door);

}  // namespace recover::apps
