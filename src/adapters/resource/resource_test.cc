#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <gtest/gtest.h>

#include <algorithm>

#include "adapters/resource/gauges.h"
#include "adapters/resource/level.h"
#include "adapters/resource/monitor.h"

namespace recover::adapters::resource {
namespace {

using core::Resource;
using std::chrono::seconds;

constexpr Instant kStart{};

TEST(Level, BoundsAndHysteresis) {
  Level level;
  const Bounds bounds;
  EXPECT_EQ(level.update(0.69, bounds, kStart), 0);
  EXPECT_EQ(level.update(0.70, bounds, kStart), 1);
  EXPECT_EQ(level.update(0.69, bounds, kStart), 1);  // Not far enough below.
  EXPECT_EQ(level.update(0.67, bounds, kStart), 0);
  EXPECT_EQ(level.update(0.96, bounds, kStart), 3);
  EXPECT_EQ(level.update(0.94, bounds, kStart), 3);
  EXPECT_EQ(level.update(0.90, bounds, kStart), 2);
  EXPECT_EQ(level.update(0.10, bounds, kStart), 0);
}

TEST(Level, CriticalOnlyAfterItLasted) {
  Level level;
  const Bounds bounds{.over = seconds(60)};
  EXPECT_EQ(level.update(0.99, bounds, kStart), 1);
  EXPECT_EQ(level.update(0.99, bounds, kStart + seconds(59)), 1);
  EXPECT_EQ(level.update(0.99, bounds, kStart + seconds(60)), 3);
  EXPECT_EQ(level.update(0.10, bounds, kStart + seconds(61)), 0);
  EXPECT_EQ(level.update(0.99, bounds, kStart + seconds(62)), 1);  // From the beginning.
}

TEST(Gauges, EveryResourceIsARatio) {
  Gauges gauges;
  for (const Resource resource :
       {Resource::Cpu, Resource::Memory, Resource::Disk, Resource::Inodes, Resource::Files}) {
    const auto used = gauges.used({.resource = resource, .path = "/"});
    ASSERT_TRUE(used) << used.error();
    EXPECT_GE(*used, 0.0);
    EXPECT_LE(*used, 1.0);
  }
  const auto none = gauges.used({.resource = Resource::Disk, .path = "/no/such/place"});
  ASSERT_FALSE(none);
  EXPECT_NE(none.error().find("/no/such/place"), std::string::npos);
}

TEST(ResourceMonitor, TellsALevelOnceAndShowsWhatItMeasured) {
  boost::asio::io_context loop;
  boost::asio::thread_pool pool(1);
  Gauges gauges;
  std::vector<core::ResourceLevelChanged> told;
  ResourceMonitor monitor(
      loop, pool, gauges,
      [&](core::Event event) { told.push_back(std::get<core::ResourceLevelChanged>(event)); },
      [] { return std::chrono::steady_clock::now(); });
  core::Policy policy;
  policy.monitoring.disk = {"/"};
  policy.monitoring.disk_usage = 0.000001;
  policy.monitoring.level_emergency = 1.1;
  policy.monitoring.interval = std::chrono::milliseconds(1);
  monitor.watch(policy);
  const auto level_of = [&](const std::string& what) {
    const auto all = monitor.snapshot();
    const auto found = std::ranges::find(all, what, &Gauge::what);
    return found == all.end() ? -1 : static_cast<int>(found->level);
  };
  while (level_of("/") != 2) loop.run_one();
  for (int turn = 0; turn < 20; ++turn) loop.run_one();
  const auto disk = std::ranges::count(told, "/", &core::ResourceLevelChanged::what);
  EXPECT_EQ(disk, 1);
  // A policy that says otherwise: the level falls, and that is told too.
  policy.monitoring.disk_usage = 1.1;
  policy.monitoring.level_warning = 1.1;
  monitor.watch(policy);
  while (level_of("/") != 0) loop.run_one();
  EXPECT_EQ(std::ranges::count(told, "/", &core::ResourceLevelChanged::what), 2);
  policy.monitoring.disk.clear();
  monitor.watch(policy);
  EXPECT_EQ(level_of("/"), -1);
  pool.join();
}

}  // namespace
}  // namespace recover::adapters::resource
