// Wishes about damage: found whatever it is, mended from where the data came from, and a
// verification that comes round to everything.
#include "backup/check/ledger.h"
#include "backup/check/repair.h"
#include "backup/format/tree.h"
#include "backup/repo/pack_builder.h"
#include "test/backup/peers.h"

namespace recover::backup {
namespace {

using test::noise;
using test::Peers;
namespace fs = std::filesystem;

TEST_F(Peers, DamageIsMendedFromTheSource_restic256_restic804_restic828) {
  for (const std::string name : {"a", "b", "c", "deep/d"}) {
    test::spill(data(name), noise(300'000, name));
  }
  back_up();
  const Digest pack = largest_pack();
  change_byte(pack, 1000);     // In the first blob,
  change_byte(pack, 700'000);  // and in another one.
  CheckProgress progress;
  const auto said = repair(*repository_, {.sources = {"/"}, .dry_run = true}, progress);
  ASSERT_TRUE(said) << said.error().message;
  EXPECT_EQ(said->packs_damaged, 1U);
  EXPECT_TRUE(fs::exists(path_of(pack))) << "a dry run";
  const auto done = repair(*repository_, {.sources = {"/elsewhere", "/"}}, progress);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->blobs_moved, 2U);
  EXPECT_EQ(done->blobs_read_again, 2U);
  EXPECT_EQ(done->blobs_lost, 0U);
  EXPECT_FALSE(fs::exists(path_of(pack)));
  expect_sound();
  const auto again = repair(*repository_, {}, progress);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->packs_damaged, 0U);
}

TEST_F(Peers, DamageOfWhatWasGivenByARelativePathIsMendedToo_restic828) {
  test::spill(data("a"), noise(300'000, "a"));
  options_.paths = {fs::relative(data_).string()};
  back_up();
  change_byte(largest_pack(), 1000);
  CheckProgress progress;
  const auto done = repair(*repository_, {.sources = {"/"}}, progress);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->blobs_lost, 0U);
  expect_sound();
}

// Where the source has changed meanwhile nothing wrong is put in its place, and what is whole
// stays.
TEST_F(Peers, DamageWithoutASourceCostsOnlyWhatWasDamaged_restic828) {
  for (const std::string name : {"a", "b"}) test::spill(data(name), noise(300'000, name));
  back_up();
  change_byte(largest_pack(), 1000);
  test::spill(data("a"), noise(300'000, "other"));
  test::spill(data("b"), noise(300'000, "others"));
  CheckProgress progress;
  const auto done = repair(*repository_, {.sources = {"/"}}, progress);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->blobs_lost, 1U);
  EXPECT_EQ(done->blobs_moved, 1U);
  CheckProgress reading;
  const auto report = check(*repository_, {.read_data = true}, reading);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->damaged_files.size(), 1U) << "named, and the rest is whole";
}

// The pack is what it was: it is the index that is wrong.
TEST_F(Peers, AWrongIndexCostsNoPack) {
  for (const std::string name : {"a", "b"}) test::spill(data(name), noise(300'000, name));
  back_up();
  const Digest pack = largest_pack();
  const auto index = repository_->load_index();
  ASSERT_TRUE(index);
  IndexText wrong;
  const PackList list(*index);
  for (std::size_t number = 0; number < list.size(); ++number) {
    IndexedPack one = list.pack(number);
    if (one.id == pack) one.blobs.pop_back();
    wrong.add(one);
  }
  const auto files = store_.list(FileKind::Index);
  ASSERT_TRUE(files);
  for (const StoredFile& file : *files) {
    ASSERT_TRUE(store_.remove({.kind = FileKind::Index, .id = file.id}));
  }
  ASSERT_TRUE(repository_->save(FileKind::Index, wrong.finish()));
  CheckProgress progress;
  const auto done = repair(*repository_, {}, progress);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->blobs_moved + done->blobs_lost, 0U);
  EXPECT_TRUE(fs::exists(path_of(pack)));
  expect_sound();
}

// And so many blobs that they fill an index file: it is not taken for one of the wrong ones.
TEST_F(Peers, AWrongIndexOfManyBlobsCostsNoPack) {
  constexpr std::size_t kBlobs = 12'000;
  BlobCodec codec(repository_->key(), kDefaultLevel);
  const auto sealed = codec.seal(BlobType::Data, sha256(view_of("x")), view_of("x"));
  ASSERT_TRUE(sealed);
  IndexText wrong;
  for (const std::string name : {"a", "b"}) {
    PackBuilder builder;
    for (std::size_t i = 0; i < kBlobs; ++i) {
      BlobEntry entry = sealed->entry;
      entry.id = sha256(view_of(name + std::to_string(i)));
      builder.take(entry, sealed->bytes);
    }
    FinishedPack pack = builder.finish(codec.cipher());
    ASSERT_TRUE(store_.write({.kind = FileKind::Pack, .id = pack.index.id}, pack.bytes));
    pack.index.blobs.pop_back();
    wrong.add(pack.index);
  }
  ASSERT_TRUE(repository_->save(FileKind::Index, wrong.finish()));
  CheckProgress progress;
  const auto done = repair(*repository_, {}, progress);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->blobs_moved + done->blobs_lost, 0U);
  EXPECT_EQ(repository_->load_index()->blobs(), 2 * kBlobs);
}

// Only what a disk has lost is lost.
TEST_F(Peers, WhatCannotBeReadForNowIsLeftAlone) {
  test::spill(data("a"), noise(300'000, "a"));
  back_up();
  const std::string path = path_of(largest_pack());
  fs::rename(path, folder_ / "hidden");
  fs::create_symlink(path, path);  // Neither there nor missing.
  CheckProgress progress;
  const auto done = repair(*repository_, {}, progress);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->packs_unread, 1U);
  EXPECT_EQ(done->packs_damaged + done->blobs_lost, 0U);
  fs::remove(path);
  fs::rename(folder_ / "hidden", path);
  expect_sound();
}

// The next backup stores again what is missing: of data, and of trees.
TEST_F(Peers, TheNextBackupBringsBackWhatIsMissing_restic828) {
  for (const std::string name : {"a", "deep/b"}) test::spill(data(name), noise(300'000, name));
  back_up();
  const auto packs = store_.list(FileKind::Pack);
  ASSERT_TRUE(packs);
  for (const StoredFile& pack : *packs) {
    SCOPED_TRACE(pack.bytes);
    change_byte(pack.id, 50);
    CheckProgress progress;
    const auto done = repair(*repository_, {}, progress);
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_GE(done->blobs_lost, 1U);
    back_up();
    expect_sound();
  }
}

TEST_F(Peers, VerificationRemembersWhatItRead_restic1497_restic2186) {
  options_.pack_bytes = 100;
  for (int i = 0; i < 8; ++i) test::spill(data(std::to_string(i)), noise(1000, std::to_string(i)));
  back_up();
  const std::size_t packs = store_.list(FileKind::Pack)->size();
  ASSERT_GT(packs, 8U);
  const std::string path = folder_ / "state/ledger";
  std::int64_t now = 1000;
  const auto verify = [&](CheckOptions options) {
    ReadLedger ledger(path);  // Each time as another process has it.
    options.read_data = true;
    options.ledger = &ledger;
    options.now = now;
    CheckProgress progress;
    const auto report = check(*repository_, options, progress);
    EXPECT_TRUE(report && report->is_sound());
    return progress.packs.load();
  };
  // One pack at a time, and in as many times as there are packs all were read.
  for (std::size_t i = 0; i < packs; ++i) {
    ++now;
    EXPECT_EQ(verify({.bytes_max = 1}), 1U);
  }
  {
    const ReadLedger ledger(path);
    std::set<std::int64_t> times;
    const auto files = store_.list(FileKind::Pack);
    for (const StoredFile& pack : *files) times.insert(ledger.last_read(pack.id));
    EXPECT_EQ(times.size(), packs) << "each at a time of its own";
    EXPECT_FALSE(times.contains(0));
  }
  // One that was broken off goes on: what was read lately is passed over.
  EXPECT_EQ(verify({.unread_for = static_cast<std::int64_t>(packs) / 2}), packs - packs / 2);
  EXPECT_EQ(verify({.unread_for = 100}), 0U);
  // What is damaged is not remembered as read: the next sample looks at it again.
  const Digest damaged = largest_pack();
  change_byte(damaged, 20);
  for (int i = 0; i < 2; ++i) {
    ReadLedger ledger(path);
    CheckProgress progress;
    ++now;
    const auto report =
        check(*repository_,
              {.read_data = true, .ledger = &ledger, .now = now, .bytes_max = i == 0 ? 0U : 1U},
              progress);
    ASSERT_TRUE(report);
    EXPECT_FALSE(report->is_sound());
  }
}

// restic's check passes both of these, and its restore exits with 0 (0.14, 0.18).
class CraftedLengths : public Peers {
 protected:
  // A repository with one file of two blobs; `lie` changes what is said of the first.
  void craft(const std::function<void(BlobEntry&)>& lie, std::uint64_t size) {
    BlobCodec codec(repository_->key(), kDefaultLevel);
    IndexText index;
    std::vector<Digest> ids;
    PackBuilder builder;
    for (const std::string& text : {std::string(5000, 'a'), std::string(3000, 'b')}) {
      const Digest id = sha256(view_of(text));
      auto sealed = codec.seal(BlobType::Data, id, view_of(text));
      ASSERT_TRUE(sealed);
      BlobEntry entry = sealed->entry;
      if (ids.empty()) lie(entry);
      builder.take(entry, sealed->bytes);
      ids.push_back(id);
    }
    add(builder.finish(codec.cipher()), index);
    Node file;
    file.name = "file";
    file.type = NodeType::File;
    file.mode = 0644;
    file.size = size;
    file.content = ids;
    TreeText tree;
    tree.add(file);
    const std::string text = tree.finish();
    const Digest root = sha256(view_of(text));
    PackBuilder trees;
    ASSERT_TRUE(trees.add(codec, BlobType::Tree, root, view_of(text)));
    add(trees.finish(codec.cipher()), index);
    ASSERT_TRUE(repository_->save(FileKind::Index, index.finish()));
    Snapshot snapshot;
    snapshot.time = {.seconds = 1};
    snapshot.tree = root;
    snapshot.paths = {"/file"};
    snapshot.host = "h";
    ASSERT_TRUE(repository_->save(FileKind::Snapshot, text_of(snapshot)));
  }
  void add(const FinishedPack& pack, IndexText& index) {
    ASSERT_TRUE(store_.write({.kind = FileKind::Pack, .id = pack.index.id}, pack.bytes));
    index.add(pack.index);
  }
  CheckReport checked() {
    CheckProgress progress;
    auto report = check(*repository_, {.read_data = true}, progress);
    EXPECT_TRUE(report);
    return report ? *report : CheckReport();
  }
};

TEST_F(CraftedLengths, TrueOnesAreSound) {
  craft([](BlobEntry&) {}, 8000);
  expect_sound();
}

TEST_F(CraftedLengths, AWrongUncompressedLengthIsFound) {
  craft([](BlobEntry& entry) { entry.uncompressed_length += 7; }, 8007);
  EXPECT_TRUE(restic_.run("check --read-data")) << "it is not noticed there";
  const CheckReport report = checked();
  EXPECT_FALSE(report.is_sound());
  ASSERT_FALSE(report.damaged_files.empty());
  EXPECT_NE(report.damaged_files.front().find("/file"), std::string::npos);
}

TEST_F(CraftedLengths, AWrongSizeOfANodeIsFound) {
  craft([](BlobEntry&) {}, 8001);
  EXPECT_TRUE(restic_.run("check --read-data")) << "it is not noticed there";
  EXPECT_FALSE(checked().is_sound());
}

}  // namespace
}  // namespace recover::backup
