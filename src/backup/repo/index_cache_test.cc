// The sorted index on disk: as good as the one in memory, and never believed when it is not whole.
#include "backup/repo/index_cache.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "backup/repo/blob_marks.h"
#include "backup/repo/live_index.h"
#include "backup/repo/repository.h"
#include "backup/store/local_store.h"
#include "test/restic.h"
#include "test/temp_folder.h"

namespace recover::backup {
namespace {

namespace fs = std::filesystem;

Digest numbered(std::uint64_t number) {
  return sha256({reinterpret_cast<const std::uint8_t*>(&number), sizeof number});
}

IndexedPack made_pack(std::uint64_t number, std::uint32_t blobs) {
  IndexedPack pack{.id = numbered(number << 32U), .blobs = {}};
  std::uint32_t offset = 0;
  for (std::uint32_t i = 0; i < blobs; ++i) {
    const std::uint32_t length = 100 + i % 7;
    pack.blobs.push_back({.id = numbered(number << 32U | (i + 1)),
                          .type = number % 5 == 0 ? BlobType::Tree : BlobType::Data,
                          .offset = offset,
                          .length = length,
                          .uncompressed_length = i % 3});
    offset += length;
  }
  return pack;
}

void expect_pack(const BlobIndex& index, const IndexedPack& pack) {
  for (const BlobEntry& blob : pack.blobs) {
    const auto place = index.find({.id = blob.id, .type = blob.type});
    ASSERT_TRUE(place);
    EXPECT_EQ(place->pack, pack.id);
    EXPECT_EQ(place->entry, blob);
  }
}

class IndexCaches : public testing::Test {
 protected:
  static constexpr std::uint64_t kPacks = 12;
  static constexpr std::uint32_t kBlobs = 15;

  BlobIndex made_index() const {
    BlobIndex index(folder_.path());
    for (std::uint64_t pack = 0; pack < kPacks; ++pack) index.add(made_pack(pack, kBlobs));
    index.settle(true);
    index.set_files(files_);
    return index;
  }
  bool is_found() const {
    const auto found = cache_.load(files_);
    if (found) expect_pack(found->index, made_pack(3, kBlobs));
    return found.has_value();
  }

  test::TempFolder folder_{test::TempFolder::memory()};
  MasterKey key_ = MasterKey::random();
  IndexCache cache_{folder_.path(), "a repository", key_};
  std::vector<Digest> files_ = {numbered(1), numbered(2)};
};

TEST_F(IndexCaches, GiveBackWhatTheyWereGiven) {
  EXPECT_FALSE(is_found());
  cache_.save(made_index());
  const auto found = cache_.load({numbered(9), numbered(2), numbered(1)});
  ASSERT_TRUE(found);
  EXPECT_EQ(found->files, files_);
  EXPECT_EQ(found->index.blobs(), kPacks * kBlobs);
  for (std::uint64_t pack = 0; pack < kPacks; ++pack) {
    expect_pack(found->index, made_pack(pack, kBlobs));
    EXPECT_TRUE(found->index.has_pack(made_pack(pack, 0).id));
  }
  EXPECT_FALSE(found->index.contains({.id = numbered(0), .type = BlobType::Data}));
}

TEST_F(IndexCaches, AreNotBelievedWhenAByteIsChangedOrMissing) {
  cache_.save(made_index());
  const std::string whole = test::slurp(cache_.path());
  ASSERT_TRUE(is_found());
  for (std::size_t at = 0; at < whole.size(); at += at < 200 ? 1 : 23) {
    std::string bytes = whole;
    bytes[at] = static_cast<char>(bytes[at] ^ 4);
    test::spill(cache_.path(), bytes);
    ASSERT_FALSE(is_found()) << "byte " << at;
    test::spill(cache_.path(), whole.substr(0, at));
    ASSERT_FALSE(is_found()) << "cut at " << at;
  }
  test::spill(cache_.path(), whole + "x");
  EXPECT_FALSE(is_found());
  test::spill(cache_.path(), whole);
  EXPECT_TRUE(is_found());
}

TEST_F(IndexCaches, AreNotBelievedOfAnotherTimeKeyOrRepository) {
  cache_.save(made_index());
  EXPECT_FALSE(cache_.load({numbered(1)})) << "an index file is gone: there was a prune";
  EXPECT_FALSE(IndexCache(folder_.path(), "a repository", MasterKey::random()).load(files_));
  EXPECT_FALSE(IndexCache(folder_.path(), "another", key_).load(files_));
}

TEST_F(IndexCaches, AreWholeOrNotThereWhoeverIsKilled) {
  const BlobIndex index = made_index();
  for (int round = 0; round < 20; ++round) {
    const pid_t child = ::fork();
    if (child == 0) {
      while (true) cache_.save(index);
    }
    ASSERT_GT(child, 0);
    ::usleep(static_cast<useconds_t>(500 * round));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(fs::exists(cache_.path()), is_found());
  }
}

// restic #1988, #1723, #3844: more blobs than the sorter has in memory at once.
TEST(IndexMemory, DoesNotGrowWithTheRepository) {
  const test::TempFolder folder;
  BlobIndex spilled(folder.path());
  BlobIndex in_memory;
  constexpr std::uint64_t kPacks = 40;
  constexpr std::uint32_t kBlobs = 4000;
  for (std::uint64_t pack = 0; pack < kPacks; ++pack) {
    spilled.add(made_pack(pack, kBlobs));
    in_memory.add(made_pack(pack, kBlobs));
  }
  spilled.settle();
  in_memory.settle();
  EXPECT_TRUE(spilled.base().is_mapped());
  EXPECT_FALSE(in_memory.base().is_mapped());
  EXPECT_TRUE(fs::is_empty(folder.path())) << "its files have no name";
  ASSERT_EQ(spilled.blobs(), kPacks * kBlobs);
  for (std::size_t i = 1; i < spilled.blobs(); ++i) {
    ASSERT_FALSE(spilled.base()[i].id < spilled.base()[i - 1].id);
  }
  // What comes later is few, kept apart and found all the same.
  spilled.add(made_pack(kPacks, kBlobs));
  spilled.settle();
  for (const std::uint64_t pack : {std::uint64_t{0}, kPacks / 2, kPacks}) {
    expect_pack(spilled, made_pack(pack, kBlobs));
  }
  const PackList list(spilled);
  ASSERT_EQ(list.size(), kPacks + 1);
  for (std::uint64_t pack = 0; pack <= kPacks; ++pack) {
    ASSERT_EQ(list.pack(pack).blobs, made_pack(pack, kBlobs).blobs);
  }
}

TEST(BlobMarkSets, KnowBlobsOfTheIndexAndOthersAndMoveToAFreshOne) {
  BlobIndex index;
  for (std::uint64_t pack = 0; pack < 8; ++pack) index.add(made_pack(pack, 9));
  index.settle();
  BlobMarks marks(index);
  const BlobKey known{.id = made_pack(3, 9).blobs[4].id, .type = BlobType::Data};
  const BlobKey unknown{.id = numbered(99), .type = BlobType::Tree};
  for (const BlobKey& key : {known, unknown}) {
    EXPECT_FALSE(marks.contains(key));
    EXPECT_TRUE(marks.insert(key));
    EXPECT_FALSE(marks.insert(key));
  }
  BlobIndex fresh;
  for (std::uint64_t pack = 2; pack < 12; ++pack) fresh.add(made_pack(pack, 9));
  fresh.settle();
  marks.rebase(fresh);
  std::vector<BlobKey> all;
  EXPECT_TRUE(marks.all_of([&](const BlobKey& key) { return all.push_back(key), true; }));
  EXPECT_EQ(all, (std::vector<BlobKey>{known, unknown}));
  EXPECT_FALSE(marks.contains({.id = known.id, .type = BlobType::Tree}));
}

class CachedRepositories : public testing::Test {
 protected:
  void SetUp() override {
    repository_.emplace(Repository::create(store_, base::Secret("secret"),
                                           {.now = {.seconds = 1'700'000'000},
                                            .user = "root",
                                            .host = "here",
                                            .cost = {.n = 1024, .r = 8, .p = 1}})
                            .value());
    repository_->set_cache_folder(cache_);
  }
  // Of blobs that nobody has: only the index is asked.
  void write_index(std::uint64_t first, std::uint64_t packs) {
    IndexText text;
    for (std::uint64_t pack = first; pack < first + packs; ++pack) text.add(made_pack(pack, 500));
    ids_.push_back(repository_->save(FileKind::Index, text.finish()).value());
  }
  void expect_blobs(std::size_t packs) {
    const auto index = repository_->load_index();
    ASSERT_TRUE(index);
    EXPECT_EQ(index->blobs(), packs * 500);
  }
  std::size_t cached() const {
    return fs::exists(cache_) ? static_cast<std::size_t>(std::distance(
                                    fs::directory_iterator(cache_), fs::directory_iterator()))
                              : 0;
  }

  test::TempFolder folder_{test::TempFolder::memory()};
  LocalStore store_{folder_.path() + "/repo"};
  std::string cache_ = folder_.path() + "/cache";
  std::optional<Repository> repository_;
  std::vector<Digest> ids_;
};

TEST_F(CachedRepositories, FollowTheStoreThroughAdditionsAndPrunes) {
  write_index(0, 40);
  expect_blobs(40);
  EXPECT_EQ(cached(), 1U);
  expect_blobs(40);
  write_index(100, 3);
  expect_blobs(43);
  write_index(200, 40);
  expect_blobs(83);
  ASSERT_TRUE(store_.remove({.kind = FileKind::Index, .id = ids_.front()}));
  expect_blobs(43);
  const auto index = repository_->load_index();
  ASSERT_TRUE(index);
  expect_pack(*index, made_pack(101, 500));
  EXPECT_FALSE(index->has_pack(made_pack(0, 0).id));
  EXPECT_EQ(cached(), 1U);
}

// What a prune believes comes from the store alone.
// What is added to a cache later has to be of files that the cache knows.
TEST_F(CachedRepositories, ALiveIndexKnowsTheFilesItWasMadeFrom) {
  LiveIndex live(*repository_);
  ASSERT_TRUE(live.refresh());
  write_index(0, 2);
  ASSERT_TRUE(live.refresh());
  ASSERT_TRUE(live.refresh());
  ASSERT_TRUE(live.index().files());
  EXPECT_EQ(*live.index().files(), ids_);
  ASSERT_TRUE(store_.write({.kind = FileKind::Index, .id = numbered(1)}, view_of("no index")));
  EXPECT_FALSE(live.refresh());
}

TEST_F(CachedRepositories, AreNotAskedWhenPacksMayBeRemoved) {
  write_index(0, 40);
  expect_blobs(40);
  const auto sound = repository_->load_sound_index();
  ASSERT_TRUE(sound);
  EXPECT_EQ(sound->blobs(), 0U) << "no pack of it is there";
  const auto to_add_to = repository_->load_index_to_add_to();
  ASSERT_TRUE(to_add_to);
  EXPECT_EQ(to_add_to->blobs(), 0U) << "nor may a backup build on what is not there";
}

}  // namespace
}  // namespace recover::backup
