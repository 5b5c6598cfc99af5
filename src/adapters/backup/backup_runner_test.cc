// A runner with scripts in the place of workers, on real processes and a real folder.
#include "adapters/backup/backup_runner.h"

#include <boost/asio/io_context.hpp>
#include <boost/json.hpp>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "adapters/backup/book_text.h"
#include "adapters/backup/job_text.h"
#include "adapters/backup/whole_file.h"

namespace recover::adapters::backup {
namespace {

using namespace std::chrono_literals;

core::BackupPolicy one_type() {
  core::BackupPolicy policy;
  policy.repositories.resize(1);
  policy.repositories[0].name = "main";
  policy.repositories[0].location = "/srv/b";
  policy.repositories[0].password = base::Secret("sesame");
  core::BackupType type;
  type.name = "db";
  type.sources.push_back({.paths = {"/etc"},
                          .excludes = {"*.tmp"},
                          .command = {},
                          .name = {},
                          .native = {},
                          .query = {},
                          .expect = {}});
  type.schedule.incremental = *core::Cron::parse("@yearly");
  type.retry_delay = 0s;
  policy.types.push_back(type);
  return policy;
}

class Runner : public testing::Test {
 protected:
  Runner() {
    char pattern[] = "/tmp/recover-runner-XXXXXX";
    folder_ = ::mkdtemp(pattern);
  }
  ~Runner() override { std::filesystem::remove_all(folder_); }

  std::unique_ptr<BackupRunner> make(const std::string& script,
                                     core::BackupPolicy policy = one_type()) {
    auto runner = std::make_unique<BackupRunner>(
        loop_,
        RunnerOptions{.state_dir = folder_,
                      .worker = {"sh", "-c", script},
                      .sink =
                          [this](core::Event event) {
                            const auto& told = std::get<core::BackupReported>(event);
                            told_.push_back(std::string(core::to_string(told.stage)) + " " +
                                            told.message);
                          },
                      .wall_ns = [] { return 1'800'000'000LL * 1'000'000'000; },
                      .kill_all = [this](const std::string& token) { killed_.push_back(token); },
                      .redact = [](std::string text) { return text; },
                      .problem = [this](const std::string& text) { problems_.push_back(text); }},
        std::move(policy));
    core::Policy services;
    services.services.resize(1);
    services.services[0].name = "backup:db";
    services.services[0].spec = core::BackupSpec{"db"};
    runner->watch(services);
    return runner;
  }
  // Turns the loop until the run has ended.
  boost::json::object result(BackupRunner& runner, std::uint64_t run) {
    for (int turns = 0; turns < 2000; ++turns) {
      const auto view = runner.run(run);
      if (view && view->ended) return boost::json::parse(view->body).as_object();
      loop_.run_one_for(50ms);
      loop_.restart();
    }
    ADD_FAILURE() << "the run did not end";
    return {};
  }

  std::string folder_;
  boost::asio::io_context loop_;
  std::vector<std::string> told_;
  std::vector<std::string> killed_;
  std::vector<std::string> problems_;
};

const std::string kGoodLine =
    R"(echo '{"message_type":"result","ok":true,"files":2,"bytes":10,"bytes_added":5}')";

TEST_F(Runner, WhatIsAskedForIsDoneAndKept) {
  auto runner = make("cat > " + folder_ + "/job; " + kGoodLine);
  const auto run = runner->request("db", core::BackupTask::Incremental, "me");
  ASSERT_TRUE(run);
  const auto report = result(*runner, *run);
  EXPECT_EQ(report.at("state").as_string(), "succeeded");
  EXPECT_EQ(report.at("asked_by").as_string(), "me");
  const auto job = boost::json::parse(*read_whole(folder_ + "/job")).as_object();
  EXPECT_EQ(job.at("task").as_string(), "backup");
  EXPECT_EQ(job.at("full").as_bool(), false);
  EXPECT_EQ(job.at("repository").at("password").as_string(), "sesame");
  ASSERT_EQ(told_.size(), 2U);
  EXPECT_EQ(told_[0], "started incremental backup of db to main began (run 1)");
  EXPECT_EQ(
      told_[1],
      "succeeded incremental backup of db: 2 files, 10B, of which 5B were new, in 0s (run 1)");
  EXPECT_EQ(runner->types().at(0).succeeded_from, 1'800'000'000);
  EXPECT_FALSE(runner->request("none", core::BackupTask::Full, "me"));
}

TEST_F(Runner, AWorkerThatFailsSaysWhy) {
  const struct {
    std::string script;
    std::string code;
    std::string error;
  } kCases[] = {
      {R"(echo '{"message_type":"result","ok":false,"code":"LOCKED","error":"by x"}'; exit 1)",
       "LOCKED", "by x"},
      {"echo broken >&2; exit 7", "WORKER", "its process ended without a result: exit 7: broken"},
      {"kill -9 $$", "WORKER", "its process ended without a result: killed by signal 9"},
      {"exit 2", "BAD_JOB", "its process ended without a result: exit 2"},
      {kGoodLine + "; exit 4", "WORKER", "its process said it was done, then: exit 4"},
  };
  for (const auto& [script, code, error] : kCases) {
    auto runner = make(script);
    const auto run = runner->request("db", core::BackupTask::Full, "me");
    const auto report = result(*runner, *run);
    EXPECT_EQ(report.at("state").as_string(), "failed") << script;
    EXPECT_EQ(report.at("code").as_string(), code) << script;
    EXPECT_EQ(report.at("error").as_string(), error) << script;
    EXPECT_EQ(runner->verdict(core::ServiceIndex{0}, {}).health, core::BackupHealth::Bad);
  }
}

TEST_F(Runner, OneThatHangsIsKilledInTime) {
  core::BackupPolicy policy = one_type();
  policy.types[0].timeout = 50ms;
  auto runner = make("exec sleep 1000", policy);
  const auto run = runner->request("db", core::BackupTask::Full, "me");
  EXPECT_EQ(result(*runner, *run).at("code").as_string(), "TIMEOUT");
  ASSERT_EQ(killed_.size(), 1U);
  EXPECT_TRUE(killed_[0].starts_with("backup-1-1-"));
}

TEST_F(Runner, WhatACrashCutShortIsEndedAndTriedAgain) {
  std::uint64_t run = 0;
  {
    auto runner = make("exec sleep 1000");
    run = *runner->request("db", core::BackupTask::Incremental, "");
    for (int turns = 0; turns < 100 && told_.empty(); ++turns) loop_.run_one_for(50ms);
    ASSERT_EQ(told_.size(), 1U);
  }
  loop_.restart();
  const auto book = parse_book(*read_whole(folder_ + "/backups/state.json"));
  ASSERT_TRUE(book) << book.error();
  EXPECT_NE(book->records.at({core::BackupTask::Incremental, "db"}).owed->started_at, 0);
  auto runner = make(kGoodLine);
  ASSERT_EQ(killed_.size(), 1U);
  EXPECT_TRUE(killed_[0].starts_with("backup-1-1-"));
  EXPECT_EQ(result(*runner, run).at("state").as_string(), "succeeded");
  EXPECT_TRUE(told_[1].starts_with("interrupted ")) << told_[1];
}

TEST_F(Runner, AStopEndsWhatRunsAndKeepsItDue) {
  auto runner = make("trap 'exit 1' TERM; while :; do sleep 0.01; done");
  const auto run = runner->request("db", core::BackupTask::Incremental, "");
  for (int turns = 0; turns < 100 && told_.empty(); ++turns) loop_.run_one_for(50ms);
  bool stopped = false;
  runner->stop([&] { stopped = true; });
  for (int turns = 0; turns < 1000 && !stopped; ++turns) loop_.run_one_for(50ms);
  EXPECT_TRUE(stopped);
  EXPECT_FALSE(runner->run(*run)->ended);
  const auto book = parse_book(*read_whole(folder_ + "/backups/state.json"));
  const auto& record = book->records.at({core::BackupTask::Incremental, "db"});
  EXPECT_EQ(record.owed->started_at, 0);
  EXPECT_EQ(record.owed->attempts, 0U);
}

TEST_F(Runner, AStateFileThatIsNoneIsToldAndKeptAside) {
  std::filesystem::create_directories(folder_ + "/backups");
  ASSERT_TRUE(write_whole(folder_ + "/backups/state.json", "{\"version\": 1"));
  auto runner = make(kGoodLine);
  EXPECT_EQ(problems_.size(), 1U);
  EXPECT_TRUE(std::filesystem::exists(folder_ + "/backups/state.json.bad"));
  EXPECT_EQ(result(*runner, *runner->request("db", core::BackupTask::Full, "")).at("state"),
            "succeeded");
}

TEST(BackupReports, TheOldestAreForgotten) {
  char pattern[] = "/tmp/recover-reports-XXXXXX";
  const std::string folder = ::mkdtemp(pattern);
  const Reports reports(folder);
  for (std::uint64_t run = 1; run <= Reports::kReportsMax + 3; ++run) {
    ASSERT_TRUE(reports.write(run, std::to_string(run)));
  }
  EXPECT_FALSE(reports.read(3));
  EXPECT_EQ(reports.read(4), "4");
  EXPECT_EQ(reports.read(Reports::kReportsMax + 3), std::to_string(Reports::kReportsMax + 3));
  std::filesystem::remove_all(folder);
}

TEST(BackupBook, ReadsWhatItWrote) {
  core::BackupBook book;
  book.next_run = 9;
  core::BackupRecord& record = book.records[{core::BackupTask::RestoreTest, "db"}];
  record.since = 5;
  record.schedule = "@daily";
  record.cursor = 6;
  record.owed = core::BackupOwed{.run = 7, .due = 8, .attempts = 2, .actor = "me", .token = "t"};
  record.then = core::BackupOwed{.run = 8, .scheduled = false};
  record.fault = core::BackupFault{.at = 1, .code = "IO", .error = "no", .run = 3};
  record.rto_seconds = 2.5;
  record.given_up = true;
  const auto read = parse_book(book_text(book));
  ASSERT_TRUE(read) << read.error();
  EXPECT_EQ(read->records, book.records);
  EXPECT_EQ(read->next_run, 9U);
  for (const char* wrong : {"", "[]", "{}", R"({"version":2})", R"({"version":1,"next_run":1})"}) {
    EXPECT_FALSE(parse_book(wrong)) << wrong;
  }
}

TEST(BackupJobText, HoldsWhatTheTaskNeeds) {
  core::BackupPolicy policy = one_type();
  policy.types[0].load.download = 1024;
  for (const core::BackupSlot& slot : core::backup_slots(policy)) {
    const auto job =
        boost::json::parse(job_text(policy, slot, {.scratch = "/s", .parent = 7, .folder = "/b"}))
            .as_object();
    EXPECT_EQ(job.at("parent"), 7);
    // Without it nobody knows what was read how long ago.
    const bool is_limited = job.at("repository").at("download_kib") == 1;
    EXPECT_EQ(is_limited,
              !core::is_of_repository(slot.key.task) && slot.key.task != core::BackupTask::Drill);
    const bool reads_all = slot.key.task == core::BackupTask::Verify;
    EXPECT_EQ(job.contains("ledgers") && job.at("ledgers") == "/b/ledgers", reads_all);
    // A restore test starts what the sources are of, and SQLite is copied to scratch.
    for (const char* const key : {"sources", "type", "scratch"}) {
      EXPECT_EQ(job.contains(key), slot.key.task != core::BackupTask::Verify) << key;
    }
  }
}

TEST_F(Runner, ADrillIsJudgedByWhatIsWantedAndItsReportStays) {
  core::BackupPolicy policy = one_type();
  policy.types[0].rto = 10s;
  policy.scratch = folder_ + "/elsewhere";
  std::filesystem::create_directory(policy.scratch);
  auto runner = make("cat > " + folder_ +
                         R"(/job; echo '{"message_type":"result","ok":true,"files":2,)"
                         R"("rto_seconds":11.5,"rpo_seconds":60}')",
                     policy);
  const auto run = runner->request("db", core::BackupTask::Drill, "me");
  ASSERT_TRUE(run);
  const auto report = result(*runner, *run);
  EXPECT_EQ(report.at("state").as_string(), "failed");
  EXPECT_EQ(report.at("code").as_string(), "RTO_MISSED");
  EXPECT_EQ(report.at("rto_met").as_bool(), false);
  EXPECT_EQ(report.at("rto_wanted_seconds").as_double(), 10);
  EXPECT_EQ(report.at("rpo_seconds").as_double(), 60);
  EXPECT_FALSE(report.contains("rpo_met")) << "nothing is wanted";
  const auto job = boost::json::parse(*read_whole(folder_ + "/job")).as_object();
  EXPECT_TRUE(job.at("scratch").as_string().starts_with(policy.scratch + "/recoverd-scratch-"));
  EXPECT_TRUE(std::filesystem::is_empty(policy.scratch));
  EXPECT_TRUE(std::filesystem::is_empty(folder_ + "/backups/scratch"));
  EXPECT_EQ(runner->types().at(0).proven.code, "RTO_MISSED");
  const Reports reports(folder_ + "/backups/reports");
  for (std::uint64_t other = 100; other < 100 + Reports::kReportsMax + 3; ++other) {
    ASSERT_TRUE(reports.write(other, "{}"));
  }
  EXPECT_FALSE(reports.read(100));
  EXPECT_TRUE(reports.read(*run)) << "pushed out by none of the others";
  EXPECT_EQ(runner->drills(10).size(), 1U);
}

TEST_F(Runner, WhatADeadOneLeftInScratchIsRemoved) {
  const std::string elsewhere = folder_ + "/elsewhere";
  const std::string left = elsewhere + "/recoverd-scratch-abcdef";
  const std::string other = elsewhere + "/somebody-elses";
  for (const std::string& each : {left, other, folder_ + "/backups/scratch/1"}) {
    std::filesystem::create_directories(each + "/below");
  }
  ASSERT_TRUE(write_whole(folder_ + "/backups/scratch/a.place", left));
  ASSERT_TRUE(write_whole(folder_ + "/backups/scratch/b.place", other));
  // Its disk is not mounted now.
  ASSERT_TRUE(
      write_whole(folder_ + "/backups/scratch/c.place", elsewhere + "/recoverd-scratch-far"));
  auto runner = make(kGoodLine);
  const auto noted = [&] {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_ + "/backups/scratch")) {
      names.push_back(entry.path().filename().string());
    }
    return names;
  };
  for (int turns = 0; turns < 2000 && noted().size() > 1; ++turns) {
    loop_.run_one_for(50ms);
    loop_.restart();
  }
  EXPECT_EQ(noted(), std::vector<std::string>{"c.place"}) << "it may come back";
  EXPECT_FALSE(std::filesystem::exists(left));
  EXPECT_TRUE(std::filesystem::exists(other)) << "a note is no leave to remove anything";
}

}  // namespace
}  // namespace recover::adapters::backup
