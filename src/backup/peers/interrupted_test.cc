// Wishes about what was broken off, and about snapshots that somebody forged.
#include "backup/restore/restorer.h"
#include "backup/retain/retention.h"
#include "test/backup/peers.h"
#include "test/backup/stopping_store.h"

namespace recover::backup {
namespace {

using test::noise;
using test::Peers;
namespace fs = std::filesystem;

TEST_F(Peers, AnInterruptedFirstBackupGoesOn_restic2960_restic2280) {
  constexpr int kMany = 2000;
  for (int i = 0; i < kMany; ++i) {
    test::spill(data(std::to_string(i / 50) + "/" + std::to_string(i)),
                noise(2000, std::to_string(i)));
  }
  options_.pack_bytes = 32U << 10U;
  test::StoppingStore stopping(store_, test::StoppingStore::At::Write, 10);
  const auto repository = Repository::open(stopping, base::Secret("secret"));
  ASSERT_TRUE(repository);
  ArchiveProgress progress;
  const auto broken = archive(*repository, options_, progress, stopping.token());
  ASSERT_FALSE(broken);
  EXPECT_NE(broken.error().message.find("goes on from"), std::string::npos)
      << broken.error().message;
  const auto snapshots = repository_->snapshots();
  ASSERT_TRUE(snapshots && snapshots->size() == 1);
  EXPECT_TRUE(snapshots->front().snapshot.is_partial());
  EXPECT_EQ(repository_->find_snapshot("latest").error().kind, FailureKind::NotFound)
      << "nobody restores it by mistake";
  expect_sound();
  const std::uint64_t had = stored_bytes();
  const ArchiveReport whole = back_up();
  EXPECT_EQ(whole.problem_count, 0U);
  EXPECT_GE(whole.snapshot.summary->files_unmodified, 90U) << "they are not read again";
  EXPECT_EQ(whole.snapshot.summary->files_processed, std::uint64_t{kMany});
  EXPECT_GT(had, 100'000U);
  EXPECT_EQ(repository_->snapshots()->size(), 1U) << "the whole one replaced it";
  EXPECT_EQ(repository_->find_snapshot("latest")->id, whole.id);
  expect_sound();
  EXPECT_TRUE(restic_.run("restore latest --target '" + folder_ / "out" + "'"));
  EXPECT_TRUE(are_alike(data_, folder_ / "out" + data_));
}

TEST_F(Peers, AStoppedLaterBackupLeavesNoPartialSnapshot) {
  for (int i = 0; i < 10; ++i) test::spill(data(std::to_string(i)), noise(2000, std::to_string(i)));
  back_up();
  std::stop_source stop;
  stop.request_stop();
  ArchiveProgress progress;
  EXPECT_FALSE(archive(*repository_, options_, progress, stop.get_token()));
  EXPECT_EQ(repository_->snapshots()->size(), 1U);
}

// One that reads everything anew has no parent, yet there is a whole one.
TEST_F(Peers, AStoppedFullBackupLeavesNoPartialSnapshotBesideAWholeOne) {
  for (int i = 0; i < 200; ++i) {
    test::spill(data(std::to_string(i)), noise(2000, std::to_string(i)));
  }
  const ArchiveReport whole = back_up();
  for (int i = 0; i < 200; ++i) {
    test::spill(data(std::to_string(i)), noise(2000, "new" + std::to_string(i)));
  }
  options_.pack_bytes = 32U << 10U;
  options_.ignore_parent = true;
  options_.now.seconds += 1;
  test::StoppingStore stopping(store_, test::StoppingStore::At::Write, 3);
  const auto repository = Repository::open(stopping, base::Secret("secret"));
  ASSERT_TRUE(repository);
  ArchiveProgress progress;
  EXPECT_FALSE(archive(*repository, options_, progress, stopping.token()));
  const auto snapshots = repository_->snapshots();
  ASSERT_TRUE(snapshots && snapshots->size() == 1);
  EXPECT_EQ(snapshots->front().id, whole.id);
}

// Who breaks into the machine may add snapshots to an append-only store, with any time. Retention,
// run where one may remove, goes by the time at which the store was given them.
TEST_F(Peers, ForgedSnapshotsPushOutNoGoodOnes_restic3195_kopia1067) {
  test::spill(data("a"), "good");
  const ArchiveReport good = back_up();
  for (int i = 1; i <= 20; ++i) {
    Snapshot forged = good.snapshot;
    forged.time.seconds += std::int64_t{i} * 86'400 * 30;
    ASSERT_TRUE(repository_->save(FileKind::Snapshot, text_of(forged)));
  }
  const auto kept = [&](const Retention& retention) {
    std::set<Digest> ids;
    auto snapshots = repository_->snapshots();
    for (const auto& verdict : judge(std::move(*snapshots), retention)) {
      if (!verdict.kept_by.empty()) ids.insert(verdict.snapshot.id);
    }
    return ids;
  };
  const std::vector<Retention> rules = {
      {.last = 3}, {.daily = 7}, {.monthly = 12}, {.within_seconds = 7LL * 86'400}};
  for (const Retention& retention : rules) {
    EXPECT_TRUE(kept(retention).contains(good.id));
    EXPECT_EQ(kept(retention).size(), 21U) << "the forged ones stay for somebody to look at";
  }
  Retention blind{.last = 3};
  blind.ahead_max_seconds = std::int64_t{1} << 40U;
  EXPECT_FALSE(kept(blind).contains(good.id)) << "as it is elsewhere";
}

// The next one of other excludes, or with a file that cannot be read, may lack what it has.
TEST_F(Peers, APartialSnapshotGoesOnlyForAWholeOne) {
  test::spill(data("a"), "a");
  options_.paths.push_back(folder_ / "missing");
  Snapshot partial = back_up().snapshot;
  partial.tags.emplace_back(kPartialTag);
  const auto same = repository_->save(FileKind::Snapshot, text_of(partial));
  partial.excludes = {"*.o"};
  const auto other = repository_->save(FileKind::Snapshot, text_of(partial));
  ASSERT_TRUE(same && other);
  const auto is_there = [&](const Digest& id) {
    return store_.size({.kind = FileKind::Snapshot, .id = id}).has_value();
  };
  EXPECT_GT(back_up().problem_count, 0U);
  EXPECT_TRUE(is_there(*same));
  test::spill(folder_ / "missing", "found");
  EXPECT_EQ(back_up().problem_count, 0U);
  EXPECT_FALSE(is_there(*same));
  EXPECT_TRUE(is_there(*other));
}

TEST_F(Peers, PartialSnapshotsTakeNoPlace_restic2960) {
  const auto at = [](std::int64_t hour, bool partial) {
    Repository::FoundSnapshot found;
    found.id = sha256(view_of(std::to_string(hour)));
    found.snapshot.time.seconds = hour * 3600;
    if (partial) found.snapshot.tags.emplace_back(kPartialTag);
    return found;
  };
  const auto verdicts = judge({at(1, false), at(2, true), at(3, false), at(4, true)}, {.last = 2});
  std::vector<bool> kept;
  for (const auto& verdict : verdicts) kept.push_back(!verdict.kept_by.empty());
  EXPECT_EQ(kept, (std::vector<bool>{true, true, false, true})) << "newest first";
}

TEST_F(Peers, ARestoreThatWasBrokenOffGoesOn_restic407) {
  for (int i = 0; i < 500; ++i) {
    test::spill(data(std::to_string(i / 50) + "/" + std::to_string(i)),
                noise(3000, std::to_string(i)));
  }
  const ArchiveReport report = back_up();
  const RestoreOptions options{.to = folder_ / "out"};
  test::StoppingStore stopping(store_, test::StoppingStore::At::ReadPart, 100);
  const auto repository = Repository::open(stopping, base::Secret("secret"));
  ASSERT_TRUE(repository);
  RestoreProgress first;
  ASSERT_FALSE(restore(*repository, report.snapshot, options, first, stopping.token()));
  RestoreProgress second;
  ASSERT_TRUE(restore(*repository_, report.snapshot, options, second));
  EXPECT_GE(second.skipped, 40U) << "what was there was not written again";
  EXPECT_TRUE(are_alike(data_, folder_ / "out" + data_));
}

// One page changed of a database costs one block.
TEST_F(Peers, ASmallChangeIsASmallDelta_restic1071_restic5055) {
  std::string pages = noise(8U << 20U);
  pages.replace(0, 16, std::string("SQLite format 3\0", 16));
  test::spill(data("app.db"), pages);
  back_up();
  for (const std::size_t at : {1'000'000U, 3'000'000U, 7'000'000U}) pages[at] ^= 1;
  test::spill(data("app.db"), pages);
  const ArchiveReport second = back_up();
  EXPECT_EQ(second.snapshot.summary->data_blobs, 3U);
  EXPECT_LT(second.snapshot.summary->data_added, 4U * 65'536U);
  expect_sound();
}

}  // namespace
}  // namespace recover::backup
