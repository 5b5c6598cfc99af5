// What lies below the checkpoints: a repository that restic reads, that may be damaged or full, and
// what an earlier recoverd kept in its place.
#include <thread>

#include <recover/random.h>

#include "adapters/checkpoint/store_fixture_test.h"
#include "test/backup/full_disk.h"

namespace recover::adapters::checkpoint {
namespace {

TEST_F(CheckpointStoreTest, ADamagedPackIsFoundBeforeAnythingIsTouched) {
  take("good");
  const std::vector<fs::path> old_packs = packs();
  for (const char* const name : {"nginx.conf", "sites/a.conf", "sites/empty"}) {
    write(state_ / name, std::string("later ") + name);
  }
  take("later");
  for (const char* const name : {"nginx.conf", "sites/a.conf", "sites/empty"}) {
    write(state_ / name, "broken");
  }
  const auto before = picture(state_);
  std::string named;
  for (const fs::path& pack : packs()) {
    if (std::find(old_packs.begin(), old_packs.end(), pack) != old_packs.end()) continue;
    fs::permissions(pack, fs::perms::owner_all);
    std::string bytes = read(pack);
    bytes.at(20) = static_cast<char>(bytes.at(20) ^ 1);
    write(pack, bytes);
    const auto report = store_->restore({.service = "web", .checkpoint = "later"});
    ASSERT_FALSE(report);
    EXPECT_EQ(report.error().fault, CheckpointFault::Corrupt) << report.error().message;
    EXPECT_FALSE(report.error().touched);
    EXPECT_EQ(picture(state_), before);
    named += report.error().path;
    bytes.at(20) = static_cast<char>(bytes.at(20) ^ 1);
    write(pack, bytes);
  }
  EXPECT_TRUE(named.starts_with(state_.string())) << "the file that cannot be restored: " << named;
  for (const fs::path& pack : packs()) {
    if (std::find(old_packs.begin(), old_packs.end(), pack) == old_packs.end()) fs::remove(pack);
  }
  EXPECT_EQ(store_->restore({.service = "web", .checkpoint = "later"}).error().fault,
            CheckpointFault::Corrupt);
  EXPECT_EQ(picture(state_), before) << "nothing else is restored in its place unasked";
  restore("good");
  EXPECT_EQ(read(state_ / "nginx.conf"), "good");
}

TEST_F(CheckpointStoreTest, AnUnchangedStateIsKnownByItsTimesOfChange) {
  const auto first = take("a");
  auto blind = RepositoryStore::open(
      {.root = folder_ / "checkpoints", .worker = "/bin/false", .clock_step = {}});
  const auto again = (*blind)->take({.service = "web", .name = "b", .paths = {state_}});
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->id, first.id);
  EXPECT_FALSE(again->new_state);
  EXPECT_EQ(again->files, 3U);
  write(state_ / "nginx.conf", "goad");  // As long as before.
  const auto changed = (*blind)->take({.service = "web", .paths = {state_}});
  ASSERT_FALSE(changed) << "that needs the worker";
  EXPECT_EQ(changed.error().fault, CheckpointFault::Io);
}

TEST_F(CheckpointStoreTest, ResticReadsIt) {
  const auto taken = take("a");
  write(state_ / "nginx.conf", std::string(3'000'000, 'x') + "y");
  take("b");
  EXPECT_TRUE(restic("check --read-data"));
  EXPECT_TRUE(restic("restore --tag service:web latest --target " + (folder_ / "out")));
  EXPECT_EQ(picture(folder_ / "out" + state_.string()), picture(state_));
  EXPECT_EQ(store_->show("web", taken.id).value().files.size(), 8U);
  struct stat status {};
  ASSERT_EQ(::stat((folder_ / "checkpoints/password").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
}

TEST_F(CheckpointStoreTest, TheFirstTwoAtOnceShareOneRepository) {
  std::vector<std::thread> threads;
  for (const char* const service : {"web", "db", "cache"}) {
    threads.emplace_back([this, service] {
      const auto taken = store_->take({.service = service, .name = "x", .paths = {state_}});
      EXPECT_TRUE(taken) << taken.error().message;
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const char* const service : {"web", "db", "cache"}) EXPECT_TRUE(store_->show(service, "x"));
  EXPECT_TRUE(restic("check --read-data"));
}

TEST_F(CheckpointStoreTest, VersionsAreOnePerChange) {
  std::vector<std::string> ids;
  for (const char* const text : {"one", "two", "two", "one"}) {
    write(state_ / "nginx.conf", text);
    auto taken = store_->take({.service = "@configuration", .paths = {state_}, .versioned = true});
    ASSERT_TRUE(taken) << taken.error().message;
    ids.push_back(taken->id);
  }
  EXPECT_EQ(ids[1], ids[2]);
  EXPECT_NE(ids[0], ids[3]);
  EXPECT_EQ(store_->list("@configuration").value().size(), 3U);
  const auto text = store_->difference("@configuration", ids[0], ids[1]);
  ASSERT_TRUE(text) << text.error().message;
  EXPECT_NE(text->find("-one\n\\ No newline at end of file\n+two\n"), std::string::npos) << *text;
}

TEST_F(CheckpointStoreTest, WhatAnEarlierRecoverdKeptIsTakenOver) {
  const auto sha = [](const std::string& text) {
    Sha256 digest;
    digest.add(text);
    return digest.hex();
  };
  const fs::path root = fs::path(folder_.path()) / "checkpoints";
  const std::string content = sha("kept");
  write(root / "objects" / content.substr(0, 2) / content.substr(2), "kept");
  const std::string id(32, 'a');
  const auto manifest = [&](const std::string& name, const std::string& digest) {
    const std::string folder = R"({"path":")" + state_.string() +
                               R"(","kind":"directory","mode":493,"uid":0,"gid":0,"mtime_ns":5})";
    const std::string file =
        R"({"path":")" + (state_ / "nginx.conf").string() +
        R"(","kind":"file","mode":416,"uid":0,"gid":0,"mtime_ns":7,"size":4,)" + R"("sha256":")" +
        digest + R"("})";
    const std::string text = R"({"format":1,"id":")" + name +
                             R"(","service":"web","wall_ns":1234567890,"paths":[")" +
                             state_.string() + R"("],"facts":[["pid","7"]],"files":[)" + folder +
                             "," + file + R"(],"not_held":[]})";
    write(root / "services/web" / (name + ".json"), text + "\nsha256:" + sha(text) + "\n");
  };
  manifest(id, content);
  manifest(std::string(32, 'b'), sha("lost"));
  write(root / "services/web/names/last-good", id);
  fs::rename(root / "services", root / "aside");
  write(root / "services", "no folder");
  reopen();
  static_cast<void>(store_->list("web"));
  EXPECT_TRUE(fs::exists(root / "objects")) << "what cannot be listed may need them";
  fs::remove(root / "services");
  fs::rename(root / "aside", root / "services");
  reopen();
  const auto report = restore("last-good");
  EXPECT_EQ(report.id, id);
  EXPECT_EQ(read(state_ / "nginx.conf"), "kept");
  EXPECT_FALSE(fs::exists(state_ / "sites"));
  const auto shown = store_->show("web", id).value();
  EXPECT_EQ(shown.info.wall_ns, 1'234'567'890);
  EXPECT_EQ(shown.info.facts.at(0).second, "7");
  EXPECT_FALSE(fs::exists(root / "objects"));
  EXPECT_TRUE(fs::exists(root / "objects.damaged")) << "what is damaged is not thrown away";
  EXPECT_TRUE(fs::exists(root / "services/web" / (std::string(32, 'b') + ".json.damaged")));
  EXPECT_TRUE(restic("check --read-data"));
}

TEST_F(CheckpointStoreTest, AFullDiskLeavesOldCheckpointsGood) {
  const test::FullDisk disk("1m");
  if (!disk.is_mounted()) GTEST_SKIP() << test::FullDisk::kMissing;
  store_ = std::move(*RepositoryStore::open(
      {.root = disk / "checkpoints", .worker = BACKUP_WORKER, .clock_step = {}}));
  take("good");
  std::string noise;
  Random random(3);
  while (noise.size() < (3U << 20U)) noise.push_back(static_cast<char>(random.next()));
  write(state_ / "nginx.conf", noise);
  const auto failed = store_->take({.service = "web", .paths = {state_}});
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().fault, CheckpointFault::Io);
  EXPECT_NE(failed.error().message.find("No space left"), std::string::npos)
      << failed.error().message;
  const auto report = restore("good");
  EXPECT_EQ(read(state_ / "nginx.conf"), "good");
  EXPECT_NE(report.no_undo.find("No space left"), std::string::npos) << report.no_undo;
}

}  // namespace
}  // namespace recover::adapters::checkpoint
