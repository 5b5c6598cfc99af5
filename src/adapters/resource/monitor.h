// Measures the machine at an interval and tells the first measurement, each level crossed, and what
// moved since.
//
// Measuring runs on the pool; levels and events belong to the loop's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <recover/time.h>

#include "adapters/resource/gauges.h"
#include "adapters/resource/level.h"
#include "core/event.h"
#include "core/policy.h"
#include "ports/event_source.h"

namespace boost::asio {
class io_context;
class thread_pool;
}  // namespace boost::asio

namespace recover::adapters::resource {

// One thing measured. `what` is unique: "cpu", "memory", "/", "inodes:/", "pressure:cpu", "files".
struct Gauge {
  std::string what;
  core::Symptom symptom = core::Symptom::DiskFull;
  core::ResourceProbe reading = {};
  Bounds bounds = {};
  double ratio = 0.0;
  std::uint8_t level = 0;
  bool known = false;  // False: not measured yet, or it cannot be read.
};

// What the policy wants measured, in a fixed order.
std::vector<Gauge> gauges_of(const core::MonitoringPolicy& policy);

class ResourceMonitor final : public ports::EventSource {
 public:
  // `loop`, `pool` and `gauges` outlive the monitor and its last measurement on the pool.
  ResourceMonitor(boost::asio::io_context& loop, boost::asio::thread_pool& pool, Gauges& gauges,
                  ports::Sink sink, std::function<Instant()> now);
  // Cancelling a steady timer does not fail.  NOLINTNEXTLINE(bugprone-exception-escape)
  ~ResourceMonitor() override;

  void watch(const core::Policy& policy) override;
  // Measures everything now; the machine is the same for every service.
  void look(core::ServiceIndex service) override;

  std::vector<Gauge> snapshot() const;

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
};

}  // namespace recover::adapters::resource
