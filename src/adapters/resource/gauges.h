// How much of the machine is used, as ratios from 0 to 1, read from /proc and statvfs.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>

#include <recover/result.h>

#include "core/policy.h"

namespace recover::adapters::resource {

// Any thread. May block where a file system hangs.
class Gauges {
 public:
  Gauges() = default;
  Gauges(const Gauges&) = delete;
  Gauges& operator=(const Gauges&) = delete;

  // Error: what cannot be read. Cpu is the share of time not idle since the previous reading
  // (a tenth of a second old at least), or since boot at first. Pressure is the worst of cpu and
  // memory (some, avg10); `path` names one of "cpu", "memory", "io" in its place.
  Result<double, std::string> used(const core::ResourceProbe& what);

 private:
  struct CpuTime {
    std::uint64_t busy = 0;  // Clock ticks.
    std::uint64_t all = 0;
  };
  Result<double, std::string> cpu();

  std::mutex mutex_;
  CpuTime cpu_before_;
  double cpu_ratio_ = 0.0;
};

}  // namespace recover::adapters::resource
