// The probes that remember from look to look: log and heartbeat.
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "adapters/probe/runners.h"
#include "test/servers/child.h"

namespace recover::adapters::probe {
namespace {

namespace fs = std::filesystem;
using core::FailureClass;
using core::ProbeOutcome;
using core::Symptom;
using std::chrono::hours;
using std::chrono::milliseconds;
using test::TempDir;

// One probe, looked at again and again.
class Looks {
 public:
  explicit Looks(const core::ProbeSpec& spec)
      : runner_(make_runner(
            spec, {.loop = loop_, .pool = pool_, .measure = nullptr, .running = nullptr})) {}
  Finding look() {
    std::vector<Finding> found;
    runner_->run([&](Finding finding) { found.push_back(std::move(finding)); });
    EXPECT_TRUE(found.empty());
    loop_.restart();
    loop_.run();
    return found.at(0);
  }
  bool beat() { return runner_->beat(); }

 private:
  boost::asio::io_context loop_;
  boost::asio::thread_pool pool_{1};
  std::unique_ptr<ProbeRunner> runner_;
};

void append(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::app | std::ios::binary) << text;
}

core::LogProbe log_of(const std::string& path) {
  core::LogProbe probe;
  probe.path = path;
  probe.pattern = "ERROR|panic:";
  probe.window = hours(1);
  return probe;
}

TEST(LogProbe, OnlyWhatIsWrittenAfterTheFirstLookCounts) {
  TempDir dir;
  const std::string path = dir.write("log", "ERROR of yesterday\n");
  Looks probe(log_of(path));
  EXPECT_EQ(probe.look().outcome, ProbeOutcome::Passed);
  append(path, "all is well\n");
  EXPECT_EQ(probe.look().outcome, ProbeOutcome::Passed);
  append(path, "ERR");  // Half a line is none.
  EXPECT_EQ(probe.look().outcome, ProbeOutcome::Passed);
  append(path, "OR now\x01\n");
  const Finding finding = probe.look();
  EXPECT_EQ(finding.outcome, ProbeOutcome::Failed);
  EXPECT_EQ(finding.symptom, Symptom::PatternMatched);
  EXPECT_NE(finding.detail.find("ERROR now "), std::string::npos) << finding.detail;
}

TEST(LogProbe, ManyLinesAreARateAndAWindowForgets) {
  TempDir dir;
  const std::string path = dir.write("log", "");
  core::LogProbe rate = log_of(path);
  rate.max = 2;
  Looks probe(rate);
  core::LogProbe brief = log_of(path);
  brief.window = milliseconds(1);
  Looks forgetful(brief);
  probe.look();
  forgetful.look();
  append(path, "ERROR 1\nERROR 2\n");
  EXPECT_EQ(probe.look().outcome, ProbeOutcome::Passed);
  append(path, "ERROR 3\n");
  const Finding finding = probe.look();
  EXPECT_EQ(finding.symptom, Symptom::HighErrorRate) << finding.detail;
  EXPECT_EQ(forgetful.look().outcome, ProbeOutcome::Failed);
  EXPECT_TRUE(test::eventually([&] { return forgetful.look().outcome == ProbeOutcome::Passed; }));
  EXPECT_EQ(probe.look().outcome, ProbeOutcome::Failed);  // It still is within the hour.
}

TEST(LogProbe, FollowsThroughRotationTruncationAndAbsence) {
  TempDir dir;
  const std::string path = dir.write("log", "old\n");
  core::LogProbe one = log_of(path);
  one.max = 1'000;
  Looks probe(one);
  probe.look();
  append(path, "ERROR before\n");
  fs::rename(path, dir / "log.1");
  append(dir / "log.1", "ERROR after the rename\n");
  const Finding gone = probe.look();  // Its last lines are read, then it is missing.
  EXPECT_EQ(gone.outcome, ProbeOutcome::Failed);
  EXPECT_EQ(gone.symptom, Symptom::ProbeFailed) << gone.detail;
  append(path, "ERROR in the new one\n");
  EXPECT_NE(probe.look().detail.find("3 matching"), std::string::npos);
  append(path, "ERROR again\n");
  fs::rename(path, dir / "log.2");  // Gone and back between two looks.
  append(path, "ERROR newest\n");
  EXPECT_NE(probe.look().detail.find("5 matching"), std::string::npos);
  fs::resize_file(path, 0);
  append(path, "ERROR\n");
  EXPECT_NE(probe.look().detail.find("6 matching"), std::string::npos);
  fs::remove(path);
  fs::create_directory(path);
  EXPECT_EQ(probe.look().outcome, ProbeOutcome::Unknown);
}

TEST(LogProbe, HugeLinesAndSilence) {
  TempDir dir;
  const std::string path = dir.write("log", "");
  core::LogProbe both = log_of(path);
  both.max_silence = hours(1);
  Looks probe(both);
  probe.look();
  append(path, std::string(300'000, 'x') + "ERROR\n" + "fine\n");  // Beyond what a line may have.
  EXPECT_EQ(probe.look().outcome, ProbeOutcome::Passed);
  append(path, "x ERROR " + std::string(300'000, 'x') + "\n");
  EXPECT_LE(probe.look().detail.size(), 400U);
  core::LogProbe quiet;
  quiet.path = path;
  quiet.max_silence = milliseconds(1);
  Looks watcher(quiet);
  EXPECT_TRUE(test::eventually([&] {
    const Finding finding = watcher.look();
    return finding.outcome == ProbeOutcome::Failed &&
           finding.symptom == Symptom::ServiceUnresponsive;
  }));
}

TEST(HeartbeatProbe, WantsToBeTouched) {
  TempDir dir;
  const std::string path = dir / "beat";
  Looks patient(core::HeartbeatProbe{.path = path, .every = hours(1)});
  EXPECT_EQ(patient.look().outcome, ProbeOutcome::Passed);  // None yet: it may still come.
  Looks strict(core::HeartbeatProbe{.path = path, .every = milliseconds(1)});
  EXPECT_TRUE(test::eventually([&] {
    const Finding finding = strict.look();
    return finding.outcome == ProbeOutcome::Failed && finding.symptom == Symptom::WatchdogTimeout;
  }));
  dir.write("beat", "");
  EXPECT_EQ(strict.look().outcome, ProbeOutcome::Passed);
  // A file from before we looked is as old as it says; one of the future is of now.
  fs::last_write_time(path, fs::file_time_type::clock::now() - hours(2));
  EXPECT_EQ(patient.look().outcome, ProbeOutcome::Passed);  // Changed, so somebody touched it.
  Looks newcomer(core::HeartbeatProbe{.path = path, .every = hours(1)});
  EXPECT_EQ(newcomer.look().outcome, ProbeOutcome::Failed);
  fs::last_write_time(path, fs::file_time_type::clock::now() + hours(48));
  Looks other(core::HeartbeatProbe{.path = path, .every = hours(1)});
  EXPECT_EQ(other.look().outcome, ProbeOutcome::Passed);
}

TEST(HeartbeatProbe, HearsTheApiWithAndWithoutAFile) {
  TempDir dir;
  for (const std::string& path : {std::string(), dir / "beat"}) {
    Looks strict(core::HeartbeatProbe{.path = path, .every = milliseconds(1)});
    Looks patient(core::HeartbeatProbe{.path = path, .every = hours(1)});
    strict.look();
    EXPECT_TRUE(test::eventually([&] { return strict.look().outcome == ProbeOutcome::Failed; }));
    EXPECT_TRUE(strict.beat());
    EXPECT_TRUE(patient.beat());
    EXPECT_EQ(patient.look().outcome, ProbeOutcome::Passed);
  }
  // Older than allowed by its file, but alive by what it said.
  const std::string old = dir.write("old", "");
  fs::last_write_time(old, fs::file_time_type::clock::now() - hours(2));
  Looks told(core::HeartbeatProbe{.path = old, .every = hours(1)});
  EXPECT_EQ(told.look().outcome, ProbeOutcome::Failed);
  EXPECT_TRUE(told.beat());
  EXPECT_EQ(told.look().outcome, ProbeOutcome::Passed);
  Looks deaf(log_of(dir / "log"));
  EXPECT_FALSE(deaf.beat());
}

}  // namespace
}  // namespace recover::adapters::probe
