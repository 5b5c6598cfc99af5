// When a job waits for others, and that it does not wait for ever.
#include "apps/recoverd_backup/load.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace recover::apps {
namespace {

using namespace std::chrono_literals;

constexpr const char* kBusy =
    "some avg10=62.50 avg60=10.00 avg300=1.00 total=1\nfull avg10=1.00 avg60=0.00 total=1\n";
constexpr const char* kIdle = "some avg10=0.00 avg60=0.00 avg300=0.00 total=1\n";

TEST(JobPressure, ReadsWhatTheKernelSays) {
  EXPECT_EQ(pressure_in(kBusy), 0.625);
  EXPECT_EQ(pressure_in(kIdle), 0);
  EXPECT_FALSE(pressure_in(""));
  EXPECT_FALSE(pressure_in("some avg10=x"));
}

TEST(JobPressure, ADoorIsClosedWhileOthersWaitAndOpensAgain) {
  std::atomic<int> looks{0};
  Door* self = nullptr;
  std::string told;
  Door door({.pause_on = {.cpu = {}, .memory = {}, .io = 0.5}},
            [&](const std::string& name) -> std::string {
              EXPECT_EQ(name, "io") << "nobody asked for another";
              return ++looks <= 1 ? kBusy : kIdle;
            },
            {});
  self = &door;
  std::jthread watcher([&] {
    while (looks == 0) std::this_thread::yield();
    told = self->why_closed();
  });
  door.pass();
  watcher.join();
  EXPECT_EQ(told, "io: 63 % of the time something waited, from 50 %");
  EXPECT_EQ(door.why_closed(), "");
  EXPECT_GT(door.paused(), 0ms);
  EXPECT_EQ(looks, 2);
}

TEST(JobPressure, APauseEndsWithItsBoundWhateverThePressure) {
  JobLoad load{.pause_on = {.cpu = 0.1, .memory = {}, .io = {}}};
  load.pause_max = 500ms;
  Door door(load, [](const std::string&) { return std::string(kBusy); }, {});
  door.pass();
  EXPECT_GE(door.paused(), 500ms);
  const auto before = door.paused();
  door.pass();
  EXPECT_EQ(door.paused(), before) << "it has paused for as long as it may";
}

TEST(JobPressure, WhoIsToldToStopWaitsNoLonger) {
  std::stop_source stop;
  Door door(
      {.pause_on = {.cpu = 0.1, .memory = {}, .io = {}}},
      [&](const std::string&) {
        stop.request_stop();
        return std::string(kBusy);
      },
      stop.get_token());
  door.pass();
  EXPECT_EQ(door.paused(), 0ms);
}

}  // namespace
}  // namespace recover::apps
