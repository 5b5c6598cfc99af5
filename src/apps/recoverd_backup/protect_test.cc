// A worker that follows its paths: what changed is in the repository, whatever others do to it.
#include "apps/recoverd_backup/protect.h"

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <streambuf>
#include <string>
#include <thread>
#include <vector>

#include "apps/recoverd_backup/thinning.h"
#include "test/restic_archive.h"

namespace recover::apps {
namespace {

namespace json = boost::json;
namespace fs = std::filesystem;

// Lines that one thread writes and another waits for.
class LineBuffer : public std::streambuf {
 public:
  // The next message of the type; fails the test when none comes.
  json::object next(std::string_view type) {
    std::unique_lock lock(mutex_);
    json::object found;
    const bool came = changed_.wait_for(lock, std::chrono::seconds(60), [&] {
      while (read_ < lines_.size()) {
        found = json::parse(lines_[read_++]).as_object();
        if (found.at("message_type").as_string() == type) return true;
      }
      return false;
    });
    EXPECT_TRUE(came) << "no " << type;
    return found;
  }

 private:
  std::streamsize xsputn(const char* text, std::streamsize size) override {
    for (std::streamsize i = 0; i < size; ++i) overflow(traits_type::to_int_type(text[i]));
    return size;
  }
  int_type overflow(int_type next) override {
    const std::lock_guard lock(mutex_);
    if (traits_type::to_char_type(next) != '\n') {
      line_ += traits_type::to_char_type(next);
    } else {
      lines_.push_back(std::exchange(line_, {}));
      changed_.notify_all();
    }
    return next;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::string line_;
  std::vector<std::string> lines_;
  std::size_t read_ = 0;
};

class Protections : public test::ResticArchive,
                    public testing::WithParamInterface<backup::FeedWish> {
 protected:
  void TearDown() override { stop(); }
  void start(std::chrono::milliseconds rpo = std::chrono::milliseconds(600)) {
    job_.task = Task::Protect;
    job_.type = "etc";
    job_.location = restic_.repository;
    job_.password = base::Secret("secret");
    JobSource source;
    source.paths = {data_};
    job_.sources = {source};
    job_.protection.rpo = rpo;
    job_.protection.feed = GetParam();
    worker_ = std::jthread([this](const std::stop_token& stop) {
      std::ostream out(&lines_);
      const auto ended = protect(job_, out, stop);
      EXPECT_TRUE(ended) << ended.error().message;
    });
  }
  void stop() {
    if (!worker_.joinable()) return;
    worker_.request_stop();
    worker_.join();
  }
  std::string latest(const std::string& name) {
    return restic_.run("dump latest '" + data(name) + "'") ? restic_.output : std::string();
  }
  void expect_sound() { EXPECT_TRUE(restic_.run("check --read-data")) << restic_.output; }

  Job job_;
  LineBuffer lines_;
  std::jthread worker_;
};

INSTANTIATE_TEST_SUITE_P(Feeds, Protections,
                         testing::Values(backup::FeedWish::Any, backup::FeedWish::Inotify,
                                         backup::FeedWish::None));

TEST_P(Protections, WhatChangedIsThere) {
  test::spill(data("a/one"), "1");
  start();
  EXPECT_TRUE(lines_.next("snapshot").at("everything").as_bool());
  test::spill(data("a/two"), "2");
  json::object made = lines_.next("snapshot");
  while (!made.at("written").as_bool()) made = lines_.next("snapshot");
  EXPECT_EQ(made.at("everything").as_bool(), GetParam() == backup::FeedWish::None);
  EXPECT_EQ(latest("a/two"), "2");
  stop();
  expect_sound();
}

TEST_P(Protections, SomebodyForgetsAndPrunesWhatItGoesOnFrom) {
  if (GetParam() == backup::FeedWish::None) GTEST_SKIP() << "it walks everything anyway";
  for (int i = 0; i < 20; ++i) {
    test::spill(data("d" + std::to_string(i) + "/f"), test::noise(5000, std::to_string(i)));
  }
  start();
  lines_.next("snapshot");
  // No lock of ours is in the way between two snapshots.
  ASSERT_TRUE(restic_.run("forget latest --prune")) << restic_.output;
  test::spill(data("d3/new"), "new");
  const json::object made = lines_.next("snapshot");
  EXPECT_TRUE(made.at("everything").as_bool()) << made;
  stop();
  expect_sound();
  EXPECT_EQ(latest("d3/new"), "new");
  EXPECT_EQ(latest("d7/f"), test::noise(5000, "7"));
}

TEST_P(Protections, AnOutageIsMadeUpFor) {
  if (GetParam() == backup::FeedWish::None) GTEST_SKIP() << "nothing to remember";
  test::spill(data("one"), "1");
  start();
  lines_.next("snapshot");
  fs::rename(restic_.repository, folder_ / "away");
  test::spill(data("one"), "2");
  EXPECT_GE(lines_.next("waiting").at("changes_waiting").as_int64(), 1);
  lines_.next("waiting");
  fs::rename(folder_ / "away", restic_.repository);
  const json::object made = lines_.next("snapshot");
  EXPECT_FALSE(made.at("everything").as_bool()) << "what waited was remembered";
  EXPECT_FALSE(made.at("rpo_met").as_bool());
  EXPECT_EQ(latest("one"), "2");
  stop();
  expect_sound();
}

TEST_P(Protections, ItGoesOnFromWhatIsThere) {
  test::spill(data("one"), "1");
  start();
  lines_.next("snapshot");
  stop();
  test::spill(data("one"), "while nobody looked");
  start();
  const json::object made = lines_.next("snapshot");
  EXPECT_EQ(made.at("files_changed").as_int64(), 1);
  EXPECT_EQ(latest("one"), "while nobody looked");
}

TEST(Thinning, ADayOfSnapshotsIsFew) {
  constexpr std::int64_t kDay = 86'400;
  constexpr std::int64_t kFirst = 20'000 * kDay;
  std::vector<backup::Repository::FoundSnapshot> snapshots;
  for (std::int64_t at = 0; at < 10 * kDay; at += 300) {
    backup::Repository::FoundSnapshot one{.id = {}, .snapshot = {}};
    one.id.bytes[0] = static_cast<std::uint8_t>(snapshots.size());
    one.id.bytes[1] = static_cast<std::uint8_t>(snapshots.size() >> 8U);
    one.snapshot.time.seconds = kFirst + at;
    one.snapshot.paths = {"/data"};
    snapshots.push_back(one);
  }
  // 12 of the last hour, 24 hours of which one is that, 7 days of which one is today.
  EXPECT_EQ(snapshots.size() - too_many(snapshots, {}).size(), 12U + 23U + 6U);
  EXPECT_EQ(snapshots.size() - too_many(snapshots, {.last = 1000, .daily = 9}).size(),
            12U + 23U + 8U);
}

}  // namespace
}  // namespace recover::apps
