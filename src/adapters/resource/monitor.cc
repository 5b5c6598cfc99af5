#include "adapters/resource/monitor.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>

#include <algorithm>
#include <cmath>
#include <utility>

namespace recover::adapters::resource {

namespace asio = boost::asio;
using core::Resource;
using core::Symptom;

std::vector<Gauge> gauges_of(const core::MonitoringPolicy& policy) {
  std::vector<Gauge> all;
  const auto add = [&](std::string what, Symptom symptom, Resource resource, std::string path,
                       double critical, Duration over) {
    const Bounds bounds{.warning = std::min(policy.level_warning, critical),
                        .critical = critical,
                        .emergency = std::max(policy.level_emergency, critical),
                        .over = over};
    all.push_back({.what = std::move(what),
                   .symptom = symptom,
                   .reading = {.resource = resource, .path = std::move(path)},
                   .bounds = bounds});
  };
  const double critical = policy.level_critical;
  const Duration none = Duration::zero();
  if (policy.cpu) {
    add("cpu", Symptom::CpuPressure, Resource::Cpu, "", policy.cpu_threshold.value,
        policy.cpu_threshold.over);
  }
  if (policy.memory) {
    add("memory", Symptom::MemoryPressure, Resource::Memory, "", policy.memory_threshold.value,
        policy.memory_threshold.over);
  }
  for (const std::string& path : policy.disk) {
    add(path, Symptom::DiskFull, Resource::Disk, path, policy.disk_usage, none);
    if (policy.inodes) {
      add("inodes:" + path, Symptom::DiskFull, Resource::Inodes, path, critical, none);
    }
  }
  if (policy.pressure) {
    add("pressure:cpu", Symptom::CpuPressure, Resource::Pressure, "cpu", critical, none);
    add("pressure:memory", Symptom::MemoryPressure, Resource::Pressure, "memory", critical, none);
  }
  if (policy.files) add("files", Symptom::FilesExhausted, Resource::Files, "", critical, none);
  return all;
}

// Changes of a ratio that are told although the level stays: of what fills up, and of processor
// time and pressure, which never stand still.
constexpr double kStep = 0.01;
constexpr double kRestlessStep = 0.25;

struct ResourceMonitor::Shared : std::enable_shared_from_this<Shared> {
  struct Entry {
    Gauge gauge;
    Level level;
    double told = -1.0;  // The ratio last sent; below 0: none yet.

    // Far enough from what was told that conditions such as "disk_available > 5%" should hear.
    bool moved() const {
      const bool restless = gauge.symptom == core::Symptom::CpuPressure;
      return told < 0.0 || std::abs(gauge.ratio - told) >= (restless ? kRestlessStep : kStep);
    }
  };

  Shared(asio::io_context& loop_in, asio::thread_pool& pool_in, Gauges& gauges_in,
         ports::Sink sink_in, std::function<Instant()> now_in)
      : loop(loop_in),
        pool(pool_in),
        gauges(gauges_in),
        sink(std::move(sink_in)),
        now(std::move(now_in)),
        timer(loop_in) {}

  // The calls of one another below are posted, not made: no recursion.
  // NOLINTBEGIN(misc-no-recursion)
  void measure() {
    if (measuring || stopped) return;
    measuring = true;
    std::vector<core::ResourceProbe> wanted;
    for (const Entry& entry : entries) wanted.push_back(entry.gauge.reading);
    auto work = asio::make_work_guard(loop);
    asio::post(pool, [self = shared_from_this(), wanted = std::move(wanted), serial = policies,
                      guard = std::move(work)] {
      std::vector<Result<double, std::string>> ratios;
      for (const core::ResourceProbe& what : wanted) ratios.push_back(self->gauges.used(what));
      asio::post(self->loop,
                 [self, serial, ratios = std::move(ratios)] { self->measured(serial, ratios); });
    });
  }

  void measured(std::uint64_t serial, const std::vector<Result<double, std::string>>& ratios) {
    measuring = false;
    if (stopped) return;
    if (serial != policies) return measure();  // Of an older policy's list.
    arm();
    std::vector<core::ResourceLevelChanged> changes;
    for (std::size_t index = 0; index < entries.size(); ++index) {
      Entry& entry = entries[index];
      entry.gauge.known = ratios[index].has_value();
      if (!entry.gauge.known) continue;  // The level stays what it was.
      const std::uint8_t before = entry.level.value();
      entry.gauge.ratio = *ratios[index];
      entry.gauge.level = entry.level.update(entry.gauge.ratio, entry.gauge.bounds, now());
      if (entry.gauge.level == before && !entry.moved()) continue;
      entry.told = entry.gauge.ratio;
      changes.push_back({.symptom = entry.gauge.symptom,
                         .what = entry.gauge.what,
                         .ratio = entry.gauge.ratio,
                         .level = entry.gauge.level});
    }
    for (core::ResourceLevelChanged& change : changes) sink(std::move(change));
  }
  // NOLINTEND(misc-no-recursion)

  void arm() {
    timer.expires_after(interval);
    timer.async_wait([weak = weak_from_this()](boost::system::error_code error) {
      const auto self = weak.lock();
      if (!error && self) self->measure();
    });
  }

  asio::io_context& loop;
  asio::thread_pool& pool;
  Gauges& gauges;
  ports::Sink sink;
  std::function<Instant()> now;
  asio::steady_timer timer;
  std::vector<Entry> entries;
  Duration interval = std::chrono::seconds{30};
  std::uint64_t policies = 0;  // Counts watch().
  bool measuring = false;
  bool stopped = false;
};

ResourceMonitor::ResourceMonitor(asio::io_context& loop, asio::thread_pool& pool, Gauges& gauges,
                                 ports::Sink sink, std::function<Instant()> now)
    : shared_(std::make_shared<Shared>(loop, pool, gauges, std::move(sink), std::move(now))) {}

// NOLINTNEXTLINE(bugprone-exception-escape)
ResourceMonitor::~ResourceMonitor() {
  shared_->stopped = true;
  shared_->timer.cancel();
}

void ResourceMonitor::watch(const core::Policy& policy) {
  std::vector<Shared::Entry> entries;
  for (Gauge& gauge : gauges_of(policy.monitoring)) {
    Shared::Entry entry;
    for (const Shared::Entry& before : shared_->entries) {
      if (before.gauge.what == gauge.what) entry = before;
    }
    gauge.ratio = entry.gauge.ratio;
    gauge.level = entry.gauge.level;
    gauge.known = entry.gauge.known;
    entry.gauge = std::move(gauge);
    entries.push_back(std::move(entry));
  }
  shared_->entries = std::move(entries);
  shared_->interval = policy.monitoring.interval;
  ++shared_->policies;
  shared_->measure();
}

void ResourceMonitor::look(core::ServiceIndex /*service*/) {
  shared_->measure();
}

std::vector<Gauge> ResourceMonitor::snapshot() const {
  std::vector<Gauge> all;
  for (const Shared::Entry& entry : shared_->entries) all.push_back(entry.gauge);
  return all;
}

}  // namespace recover::adapters::resource
