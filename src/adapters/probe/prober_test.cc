// When probes look: at once, at their interval, never twice at a time, faster when asked.
#include "adapters/probe/prober.h"

#include <gtest/gtest.h>

#include <fstream>

#include "adapters/probe/test_looks.h"
#include "test/servers/child.h"

namespace recover::adapters::probe {
namespace {

using core::ProbeOutcome;
using std::chrono::hours;
using std::chrono::milliseconds;

core::ProbePolicy file_probe(const std::string& path, Duration interval) {
  core::FileProbe probe;
  probe.path = path;
  return {.spec = probe, .interval = interval};
}
core::ProbePolicy exec_probe(const std::string& script, Duration interval) {
  core::ExecProbe probe;
  probe.command = {"sh", "-c", script};
  return {.spec = probe, .interval = interval, .timeout = std::chrono::seconds(60)};
}

TEST(Prober, LooksAtOnceAndAgainAndRemembers) {
  TestProber probes;
  probes.watch({file_probe("/", milliseconds(1)), file_probe("/no/such", hours(1))});
  EXPECT_EQ(probes.prober().latest({0})[0].state, core::ProbeState::Unknown);
  while (probes.prober().latest({0})[1].state == core::ProbeState::Unknown) probes.next();
  for (int more = 0; more < 3; ++more) EXPECT_EQ(probes.next().probe, 0U);
  const auto looks = probes.prober().latest({0});
  ASSERT_EQ(looks.size(), 2U);
  EXPECT_EQ(looks[0].state, core::ProbeState::Passing);
  EXPECT_EQ(looks[1].state, core::ProbeState::Failing);
  EXPECT_EQ(looks[1].detail, "/no/such does not exist");
  EXPECT_EQ(looks[1].kind, core::ProbeKind::File);
  EXPECT_NE(looks[0].checked_at, std::chrono::system_clock::time_point());
  EXPECT_TRUE(probes.prober().latest({1}).empty());
}

TEST(Prober, ALookIsMadeAfterItWasAskedForEvenWhenOneIsUnderWay) {
  test::TempDir dir;
  TestProber probes;
  // Runs until "go" is there; says when it runs beside itself.
  const std::string script = "mkdir " + dir / "alone" + " || exit 9; touch " + dir / "begun" +
                             "; while ! [ -e " + dir / "go" + " ]; do sleep 0.01; done; rmdir " +
                             dir / "alone";
  probes.watch({exec_probe(script, hours(1))});
  while (!std::filesystem::exists(dir / "begun")) {
    probes.loop().run_one_for(milliseconds(10));
  }
  const Instant asked = std::chrono::steady_clock::now();
  probes.prober().look({0});
  probes.prober().look({0});
  dir.write("go", "");
  const auto first = probes.next();
  EXPECT_LT(first.started_at, asked);
  EXPECT_EQ(first.outcome, ProbeOutcome::Passed) << first.detail;
  const auto second = probes.next();
  EXPECT_GE(second.started_at, asked);
  EXPECT_EQ(second.outcome, ProbeOutcome::Passed) << second.detail;
}

TEST(Prober, HurriesUntilTheServicePasses) {
  test::TempDir dir;
  TestProber probes;
  probes.watch({file_probe(dir / "healthy", hours(1))});
  EXPECT_EQ(probes.next().outcome, ProbeOutcome::Failed);
  probes.prober().look({0});
  for (int more = 0; more < 3; ++more) EXPECT_EQ(probes.next().outcome, ProbeOutcome::Failed);
  dir.write("healthy", "");
  while (probes.next().outcome == ProbeOutcome::Failed) {
  }
  EXPECT_EQ(probes.next().outcome, ProbeOutcome::Passed);  // success_threshold of them.
  const std::size_t before = probes.events.size();
  probes.loop().run_for(Prober::kHurry * 3);
  EXPECT_EQ(probes.events.size(), before);
}

// Its interval is long: what it missed is seen again at once.
TEST(Prober, AHeartbeatEndsTheSilence) {
  TestProber probes;
  const core::HeartbeatProbe silent{.path = {}, .every = milliseconds(1)};
  probes.watch({{.spec = silent, .interval = milliseconds(5)}, file_probe("/", hours(1))});
  while (probes.prober().latest({0})[0].state != core::ProbeState::Failing) probes.next();
  EXPECT_EQ(probes.prober().beat({0}), 1U) << "the file probe does not listen";
  EXPECT_EQ(probes.prober().beat({1}), 0U);
  const Instant asked = std::chrono::steady_clock::now();
  auto event = probes.next();
  while (event.probe != 0 || event.started_at < asked) event = probes.next();
  EXPECT_EQ(probes.prober().latest({0})[0].started_at, event.started_at);
}

TEST(Prober, ANewPolicyDisturbsOnlyWhatChanged) {
  test::TempDir dir;
  TestProber probes;
  const std::string count =
      "echo x >> " + dir / "count" + "; while ! [ -e " + dir / "go" + " ]; do sleep 0.01; done";
  probes.watch({exec_probe(count, hours(1))});
  while (!std::filesystem::exists(dir / "count")) {
    probes.loop().run_one_for(milliseconds(10));
  }
  // The same probe, now second and under another service index; the look under way goes on.
  core::ServicePolicy other;
  other.name = "first";
  core::ServicePolicy web = probes.policy.services[0];
  web.probes.insert(web.probes.begin(), file_probe("/", hours(1)));
  probes.policy.services = {other, web};
  probes.prober().watch(probes.policy);
  dir.write("go", "");
  bool file_seen = false;
  bool exec_seen = false;
  while (!file_seen || !exec_seen) {
    const auto event = probes.next();
    EXPECT_EQ(event.service.value, 1U);
    (event.probe == 0 ? file_seen : exec_seen) = true;
  }
  std::ifstream file(dir / "count");
  EXPECT_EQ(std::string((std::istreambuf_iterator<char>(file)), {}), "x\n");
  probes.policy.services.clear();
  probes.prober().watch(probes.policy);
  EXPECT_TRUE(probes.prober().latest({1}).empty());
}

}  // namespace
}  // namespace recover::adapters::probe
