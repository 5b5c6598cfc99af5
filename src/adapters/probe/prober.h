// Runs every probe of every service at its interval and tells what each look saw.
//
// Never two looks of one probe at once. Decides nothing: thresholds are the core's.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <recover/result.h>
#include <recover/time.h>

#include "adapters/probe/tree_memory.h"
#include "core/backup_plan.h"
#include "core/event.h"
#include "core/policy.h"
#include "ports/event_source.h"

namespace boost::asio {
class io_context;
class thread_pool;
}  // namespace boost::asio

namespace recover::adapters::probe {

// The latest look of one probe. `detail` holds no secret.
struct Look {
  core::ProbeKind kind = core::ProbeKind::Http;
  core::ProbeState state = core::ProbeState::Unknown;  // Unknown: not looked yet, or not possible.
  Duration latency{};
  std::chrono::system_clock::time_point checked_at;  // The epoch: never.
  Instant started_at = Instant::min();               // When it began, by the engine's clock.
  std::string detail;
};

// Loop thread throughout.
class Prober final : public ports::EventSource {
 public:
  struct Options {
    ports::Sink sink;
    std::function<Instant()> now;  // The engine's clock.
    // Optional: how many processes of the service run by what its supervisor knows; for process
    // probes that name no other. Without it they are Unknown.
    std::function<std::uint32_t(core::ServiceIndex)> running = {};
    // Optional: their processes; for the memory they take.
    std::function<std::vector<Tree>(core::ServiceIndex)> trees = {};
    // Optional: for resource probes; adapters/resource's Gauges. Called on pool threads.
    std::function<Result<double, std::string>(const core::ResourceProbe&)> measure = {};
    // Optional: for the probes of backups.
    std::function<core::BackupVerdict(core::ServiceIndex, const core::BackupProbe&)> backups = {};
  };

  // While a look was asked for and not every probe has passed, looks follow at kHurry.
  static constexpr Duration kHurry = std::chrono::milliseconds{250};
  static constexpr Duration kHurryMax = std::chrono::seconds{60};

  // `loop` and `pool` outlive the prober.
  Prober(boost::asio::io_context& loop, boost::asio::thread_pool& pool, Options options);
  ~Prober() override;

  void watch(const core::Policy& policy) override;
  void look(core::ServiceIndex service) override;
  // A sign of life of the service, for its heartbeat probes. Returns how many heard it.
  std::size_t beat(core::ServiceIndex service);

  // One entry a probe, in the policy's order.
  std::vector<Look> latest(core::ServiceIndex service) const;

 private:
  class Watch;

  std::shared_ptr<Watch> watch_for(std::vector<std::shared_ptr<Watch>>& before,
                                   const std::string& name, core::ProbePolicy probe);
  void calm(core::ServiceIndex service);

  boost::asio::io_context& loop_;
  boost::asio::thread_pool& pool_;
  Options options_;
  std::vector<std::shared_ptr<Watch>> watches_;  // By service, then probe.
};

}  // namespace recover::adapters::probe
