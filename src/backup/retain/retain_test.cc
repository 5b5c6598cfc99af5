// What to keep, and that pruning frees the rest and nothing else.
#include "backup/archive/archiver.h"
#include "backup/check/checker.h"
#include "backup/repo/lock.h"
#include "backup/repo/pack_builder.h"
#include "backup/retain/pruner.h"
#include "backup/retain/retention.h"
#include "test/backup/aged_locks.h"
#include "test/restic_archive.h"

namespace recover::backup {
namespace {

using test::noise;
namespace fs = std::filesystem;

Repository::FoundSnapshot at(std::int64_t hours, std::string host = "h",
                             std::vector<std::string> tags = {}) {
  Repository::FoundSnapshot found;
  found.id = sha256(view_of(host + std::to_string(hours)));
  found.snapshot.time.seconds = hours * 3600;
  found.snapshot.host = std::move(host);
  found.snapshot.tags = std::move(tags);
  found.snapshot.paths = {"/data"};
  return found;
}

std::vector<std::int64_t> kept_hours(const std::vector<Repository::FoundSnapshot>& all,
                                     const Retention& retention) {
  std::vector<std::int64_t> hours;
  for (const RetentionVerdict& verdict : judge(all, retention)) {
    if (!verdict.kept_by.empty()) hours.push_back(verdict.snapshot.snapshot.time.seconds / 3600);
  }
  return hours;
}

TEST(Retention, KeepsTheNewestOfEachPeriod) {
  std::vector<Repository::FoundSnapshot> all;
  for (std::int64_t hour = 0; hour < 100; hour += 5) all.push_back(at(hour));
  using Hours = std::vector<std::int64_t>;
  EXPECT_EQ(kept_hours(all, {.last = 2}), (Hours{95, 90}));
  EXPECT_EQ(kept_hours(all, {.daily = 3}), (Hours{95, 70, 45}));
  EXPECT_EQ(kept_hours(all, {.last = 1, .daily = 2}), (Hours{95, 70}));
  EXPECT_EQ(kept_hours(all, {.monthly = 5}), (Hours{95}));
  EXPECT_EQ(kept_hours(all, {.within_seconds = 11 * 3600}), (Hours{95, 90, 85}));
  EXPECT_EQ(kept_hours(all, {}).size(), all.size()) << "no rule is no order to forget";
}

TEST(Retention, GroupsByHostAndKeepsTags) {
  const std::vector<Repository::FoundSnapshot> all = {at(1, "a"), at(2, "a"), at(3, "b"),
                                                      at(0, "a", {"keep"})};
  EXPECT_EQ(kept_hours(all, {.last = 1, .tags = {"keep"}}), (std::vector<std::int64_t>{2, 0, 3}));
}

TEST(Retention, WhatWasMadeAtAnyTimeDisplacesNothingPlanned) {
  const std::vector<Repository::FoundSnapshot> all = {at(1), at(2), at(3, "h", {"before-restore"}),
                                                      at(4, "h", {"continuous"}),
                                                      at(5, "h", {"etc", "continuous"})};
  auto kept = kept_hours(all, {.daily = 1});
  std::sort(kept.begin(), kept.end());
  EXPECT_EQ(kept, (std::vector<std::int64_t>{2, 3, 5}));
}

class Prunes : public test::ResticArchive {
 protected:
  std::uint64_t stored_bytes() {
    std::uint64_t bytes = 0;
    const auto files = store_.list(FileKind::Pack);
    for (const StoredFile& file : *files) bytes += file.bytes;
    return bytes;
  }
  void forget(const Digest& id) {
    ASSERT_TRUE(store_.remove({.kind = FileKind::Snapshot, .id = id}));
  }
  PruneReport prune_all(double unused_max = 0.0) {
    auto report = prune(*repository_, {.unused_max = unused_max});
    EXPECT_TRUE(report) << report.error().message;
    return report ? *report : PruneReport();
  }
  void expect_sound() {
    CheckProgress progress;
    const auto report = check(*repository_, {.read_data = true}, progress);
    ASSERT_TRUE(report);
    EXPECT_TRUE(report->is_sound()) << report->errors.at(0);
    EXPECT_TRUE(report->hints.empty()) << report->hints.at(0);
    EXPECT_TRUE(restic_.run("check --read-data")) << restic_.output;
  }
};

TEST_F(Prunes, FreesWhatNothingUsesAndKeepsTheRest) {
  for (int i = 0; i < 20; ++i)
    test::spill(data("old" + std::to_string(i)), noise(400'000, std::to_string(i)));
  test::spill(data("kept"), noise(400'000, "kept"));
  const Digest first = back_up().id;
  for (int i = 0; i < 20; ++i) fs::remove(data("old" + std::to_string(i)));
  back_up();
  ASSERT_TRUE(restic_.run("backup '" + data_ + "'")) << restic_.output;
  EXPECT_EQ(prune_all().bytes_freed, 0U);
  const std::uint64_t before = stored_bytes();
  forget(first);
  EXPECT_GT(prune(*repository_, {.unused_max = 0, .dry_run = true})->bytes_freed, 7'000'000U);
  EXPECT_EQ(stored_bytes(), before) << "a dry run";
  EXPECT_GT(prune_all().bytes_freed, 7'000'000U);
  EXPECT_LT(stored_bytes(), before / 10);
  expect_sound();
}

TEST_F(Prunes, AfterAPruneResticGoesOn) {
  test::spill(data("a"), noise(400'000, "a"));
  test::spill(data("b"), noise(400'000, "b"));
  const Digest first = back_up().id;
  fs::remove(data("a"));
  back_up();
  forget(first);
  prune_all();
  test::spill(data("c"), "c");
  ASSERT_TRUE(restic_.run("backup '" + data_ + "'")) << restic_.output;
  ASSERT_TRUE(restic_.run("forget --keep-last 1 --prune")) << restic_.output;
  expect_sound();
}

TEST_F(Prunes, ADamagedRepositoryIsLeftAlone) {
  test::spill(data("a"), noise(400'000, "a"));
  back_up();
  const std::uint64_t before = stored_bytes();
  const auto files = store_.list(FileKind::Index);
  for (const StoredFile& file : *files) {
    ASSERT_TRUE(store_.remove({.kind = FileKind::Index, .id = file.id}));
  }
  EXPECT_FALSE(prune(*repository_, {}));
  EXPECT_EQ(stored_bytes(), before);
}

TEST_F(Prunes, TheCopyThatOpensIsKept) {
  test::spill(data("a"), noise(400'000, "a"));
  back_up();
  // The same data once more, as two writers at once leave it: a second pack of the same blobs.
  const auto index = repository_->load_index();
  ASSERT_TRUE(index);
  BlobCodec codec(repository_->key(), kDefaultLevel);
  IndexText text;
  std::vector<Digest> packs;
  const PackList list(*index);
  for (std::size_t number = 0; number < list.size(); ++number) {
    const IndexedPack pack = list.pack(number);
    PackBuilder builder;
    for (const BlobEntry& blob : pack.blobs) {
      const auto plain = repository_->load_blob(*index, {.id = blob.id, .type = blob.type}, codec);
      ASSERT_TRUE(plain && builder.add(codec, blob.type, blob.id, *plain));
    }
    const FinishedPack copy = builder.finish(codec.cipher());
    ASSERT_TRUE(store_.write({.kind = FileKind::Pack, .id = copy.index.id}, copy.bytes));
    text.add(copy.index);
    packs.push_back(pack.id);
  }
  ASSERT_TRUE(repository_->save(FileKind::Index, text.finish()));
  for (const Digest& id : packs) {
    const std::string path = restic_.repository + "/data/" + hex(id).substr(0, 2) + "/" + hex(id);
    fs::permissions(path, fs::perms::owner_all);
    std::string bytes = test::slurp(path);
    bytes[100] = static_cast<char>(~bytes[100]);
    test::spill(path, bytes);
  }
  prune_all();
  expect_sound();
}

// Of a pack that stays only the list that was judged is named again.
TEST_F(Prunes, AWrongListOfAPackIsNotKept) {
  test::spill(data("a"), noise(400'000, "a"));
  test::spill(data("b"), noise(400'000, "b"));
  back_up();
  const auto index = repository_->load_index();
  ASSERT_TRUE(index);
  const PackList list(*index);
  for (int i = 0; i < 8; ++i) {  // Which file comes first is chance.
    IndexText wrong;
    for (std::size_t number = 0; number < list.size(); ++number) {
      IndexedPack pack = list.pack(number);
      pack.blobs.pop_back();
      wrong.add(pack);
    }
    ASSERT_TRUE(repository_->save(FileKind::Index, wrong.finish()));
  }
  test::spill(data("gone"), noise(4'000'000, "gone"));
  const Digest second = back_up().id;
  forget(second);
  EXPECT_GT(prune_all().packs_removed, 0U);
  EXPECT_EQ(repository_->load_index()->blobs(), index->blobs());
  expect_sound();
}

// The damaged copy lies in a pack that stays, the good one in a pack that is emptied.
TEST_F(Prunes, TheCopyThatOpensIsMovedOutOfWhatGoes) {
  const std::string first = noise(400'000, "a");
  test::spill(data("a"), first);
  test::spill(data("b"), noise(3'000'000, "b"));
  back_up();
  const auto index = repository_->load_index();
  ASSERT_TRUE(index);
  BlobCodec codec(repository_->key(), kDefaultLevel);
  PackBuilder builder;
  ASSERT_TRUE(builder.add(codec, BlobType::Data, sha256(view_of(first)), view_of(first)));
  const std::string junk = noise(2'000'000, "junk");
  ASSERT_TRUE(builder.add(codec, BlobType::Data, sha256(view_of(junk)), view_of(junk)));
  const FinishedPack copy = builder.finish(codec.cipher());
  ASSERT_TRUE(store_.write({.kind = FileKind::Pack, .id = copy.index.id}, copy.bytes));
  IndexText text;
  text.add(copy.index);
  ASSERT_TRUE(repository_->save(FileKind::Index, text.finish()));
  const auto places = index->find_all({.id = sha256(view_of(first)), .type = BlobType::Data});
  ASSERT_EQ(places.size(), 1U);
  const std::string id = hex(places.front().pack);
  const std::string path = restic_.repository + "/data/" + id.substr(0, 2) + "/" + id;
  fs::permissions(path, fs::perms::owner_all);
  std::string bytes = test::slurp(path);
  bytes[places.front().entry.offset + 100] ^= 1;
  test::spill(path, bytes);

  const PruneReport report = prune_all(0.3);
  EXPECT_EQ(report.packs_removed, 1U);
  EXPECT_TRUE(fs::exists(path)) << "most of it is used";
  const auto after = repository_->load_index();
  ASSERT_TRUE(after);
  const auto plain =
      repository_->load_blob(*after, {.id = sha256(view_of(first)), .type = BlobType::Data}, codec);
  ASSERT_TRUE(plain) << plain.error().message;
  EXPECT_EQ(sha256(*plain), sha256(view_of(first)));
}

TEST_F(Prunes, AMissingPackRemovesNothingAndForgetsNothing) {
  test::spill(data("a"), noise(400'000, "a"));
  const Digest first = back_up().id;
  test::spill(data("b"), noise(400'000, "b"));
  back_up();
  const auto files = store_.list(FileKind::Pack);
  ASSERT_TRUE(files);
  // The largest holds data, which the newer snapshot needs as well.
  const auto data_pack = std::max_element(
      files->begin(), files->end(),
      [](const StoredFile& one, const StoredFile& other) { return one.bytes < other.bytes; });
  ASSERT_TRUE(store_.remove({.kind = FileKind::Pack, .id = data_pack->id}));
  const auto pruned = prune(*repository_, {.forget = {first}});
  EXPECT_FALSE(pruned);
  EXPECT_TRUE(store_.size({.kind = FileKind::Snapshot, .id = first}));
}

class Locks : public test::ResticArchive {};

TEST_F(Locks, AreLostWhenTheirFileIsGone) {
  const auto lock = RepositoryLock::acquire(*repository_, LockKind::Shared);
  ASSERT_TRUE(lock);
  EXPECT_TRUE((*lock)->is_held());
  ASSERT_TRUE(remove_locks(*repository_, true));
  EXPECT_FALSE((*lock)->is_held());
}

TEST_F(Locks, SharedOnesShareAndAnExclusiveOneExcludes) {
  const auto one = RepositoryLock::acquire(*repository_, LockKind::Shared);
  ASSERT_TRUE(one) << one.error().message;
  const auto two = RepositoryLock::acquire(*repository_, LockKind::Shared);
  EXPECT_TRUE(two);
  EXPECT_EQ(RepositoryLock::acquire(*repository_, LockKind::Exclusive).error().kind,
            FailureKind::Locked);
  EXPECT_FALSE(restic_.run("prune")) << "restic sees our locks";
  EXPECT_NE(restic_.output.find("already locked"), std::string::npos) << restic_.output;
}

TEST_F(Locks, AreGoneWithTheirHolder) {
  {
    const auto lock = RepositoryLock::acquire(*repository_, LockKind::Exclusive);
    ASSERT_TRUE(lock);
  }
  EXPECT_TRUE(store_.list(FileKind::Lock)->empty());
  EXPECT_TRUE(RepositoryLock::acquire(*repository_, LockKind::Exclusive));
}

TEST_F(Locks, StaleOnesAreRemoved) {
  Lock dead{.time = {.seconds = 0}};
  dead.exclusive = true;
  dead.host = "elsewhere";
  dead.pid = 1;
  ASSERT_TRUE(repository_->save(FileKind::Lock, text_of(dead)));
  test::AgedLocks store(store_, 3600);
  const auto later = Repository::open(store, base::Secret("secret"));
  ASSERT_TRUE(later);
  const auto lock = RepositoryLock::acquire(*later, LockKind::Exclusive);
  EXPECT_TRUE(lock) << "it is older than half an hour";
}

}  // namespace
}  // namespace recover::backup
