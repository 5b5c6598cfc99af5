// The stage before the journal: what it holds after which end, what it never takes for new, and how
// it reads while the database refuses.
#include "journal/staged_journal.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "journal/file.h"
#include "journal/resilient_journal.h"
#include "test/faulty_vfs.h"
#include "test/temp_folder.h"

namespace recover::journal {
namespace {

using ports::Durability;
using ports::Entry;
using ports::EntryKind;
using ports::StoredEntry;

class Staged : public ::testing::Test {
 protected:
  std::unique_ptr<StagedJournal> open() {
    auto database = SqliteJournal::open(options_);
    EXPECT_TRUE(database) << database.error().message;
    auto staged = StagedJournal::open(std::move(*database), options_);
    EXPECT_TRUE(staged) << staged.error().message;
    return std::move(*staged);
  }
  // What a recoverd that dies now leaves: opened again, with nobody having closed it.
  void die_now() {
    const std::string copy = folder_ / ("copy" + std::to_string(++copies_));
    std::filesystem::create_directory(copy);
    for (const char* name : {"journal.db", "journal.db-wal", "journal.stage", "journal.head"}) {
      const std::string from = std::filesystem::path(options_.path).parent_path() / name;
      if (std::filesystem::exists(from)) std::filesystem::copy_file(from, copy + "/" + name);
    }
    options_.path = copy + "/journal.db";
  }
  static Entry tick(int number) {
    return {.wall_ns = number, .type = "tick", .service = "web", .body = std::to_string(number)};
  }
  static std::uint64_t add(StagedJournal& journal, int number,
                           Durability durability = Durability::ProcessCrash) {
    const Entry entry = tick(number);
    const auto done = journal.append({&entry, 1}, durability);
    EXPECT_TRUE(done) << done.error().message;
    return done.value_or(0);
  }
  static std::vector<std::string> bodies(ports::Journal& journal) {
    std::vector<std::string> found;
    EXPECT_TRUE(journal.replay(1, [&](const StoredEntry& stored) {
      EXPECT_EQ(stored.sequence, found.size() + 1);
      found.push_back(stored.entry.body);
      return true;
    }));
    return found;
  }

  const test::TempFolder folder_{test::TempFolder::memory()};
  OpenOptions options_{.path = folder_ / "journal.db", .reserve_bytes = 0};
  int copies_ = 0;
};

using Bodies = std::vector<std::string>;

TEST_F(Staged, WaitsForTheDatabaseAndIsThereAfterACrash) {
  auto journal = open();
  EXPECT_EQ(add(*journal, 1), 1U);
  EXPECT_EQ(add(*journal, 2), 2U);
  EXPECT_FALSE(journal->settled());
  EXPECT_EQ(journal->database().last_sequence(), 0U);
  die_now();
  auto next = open();
  EXPECT_TRUE(next->settled());
  EXPECT_EQ(next->database().last_sequence(), 2U);
  EXPECT_EQ(bodies(*next), (Bodies{"1", "2"}));
  EXPECT_EQ(next->verify()->broken_at, 0U);
}

TEST_F(Staged, WhatTheDatabaseHasIsNotTakenAgain) {
  auto journal = open();
  add(*journal, 1);
  add(*journal, 2);
  ASSERT_TRUE(journal->settle());
  die_now();  // The stage still holds both.
  EXPECT_EQ(bodies(*open()), (Bodies{"1", "2"}));
}

TEST_F(Staged, TheRestOfAnEarlierFillingIsNotTakenForNew) {
  auto journal = open();
  for (int number = 1; number <= 4; ++number) add(*journal, number);
  ASSERT_TRUE(journal->settle());
  add(*journal, 5);  // Overwrites the first; three of before stand behind it.
  die_now();
  EXPECT_EQ(bodies(*open()), (Bodies{"1", "2", "3", "4", "5"}));
}

TEST_F(Staged, AFrameOfAnotherPastIsNotTaken) {
  auto journal = open();
  add(*journal, 1);
  die_now();
  const std::string stage = beside(options_.path, "stage");
  std::filesystem::rename(stage, stage + ".old");
  open().reset();  // Without it: nothing is known of 1.
  {
    auto other = open();
    EXPECT_EQ(add(*other, 10, Durability::PowerLoss), 1U);
  }
  std::filesystem::rename(stage + ".old", stage);
  auto next = open();
  EXPECT_EQ(next->find({.type = "tick"})->size(), 1U);
  EXPECT_EQ(next->find({.type = "journal:tampered"})->size(), 1U);
  next.reset();
  EXPECT_EQ(open()->find({.type = "journal:tampered"})->size(), 1U);  // Said once.
}

TEST_F(Staged, ATornFrameEndsWhatIsTaken) {
  auto journal = open();
  add(*journal, 1);
  const std::string stage = beside(options_.path, "stage");
  const auto whole = std::filesystem::file_size(stage);
  add(*journal, 2);
  die_now();
  std::filesystem::resize_file(beside(options_.path, "stage"), whole + 20);
  EXPECT_EQ(bodies(*open()), (Bodies{"1"}));
}

TEST_F(Staged, APowerLossEntryTakesTheOthersAlong) {
  auto journal = open();
  add(*journal, 1);
  EXPECT_EQ(add(*journal, 2, Durability::PowerLoss), 2U);
  EXPECT_TRUE(journal->settled());
  EXPECT_EQ(journal->database().last_sequence(), 2U);
}

TEST_F(Staged, ReadsWhatWaitsWhileTheDatabaseRefuses) {
  test::FaultyVfs disk;
  options_.vfs = test::FaultyVfs::kName;
  auto journal = open();
  add(*journal, 1);
  disk.fail_at(1, test::DiskFault::Full, true);
  EXPECT_EQ(bodies(*journal), (Bodies{"1"}));
  EXPECT_FALSE(journal->settled());
  EXPECT_EQ(journal->latest(EntryKind::Event).value()->entry.body, "1");
  EXPECT_EQ(journal->find({.service = "web"})->size(), 1U);
  EXPECT_TRUE(journal->find({.service = "other"})->empty());
  const Entry entry = tick(2);
  EXPECT_EQ(journal->append({&entry, 1}, Durability::ProcessCrash).error().fault,
            ports::JournalFault::Full);
  disk.heal();
  EXPECT_EQ(add(*journal, 2), 2U);
  EXPECT_EQ(bodies(*journal), (Bodies{"1", "2"}));
  EXPECT_TRUE(journal->settled());
}

TEST_F(Staged, ManyAndLargeOnesReachTheDatabase) {
  auto journal = open();
  const std::vector<Entry> many(kStagedEntriesMax + 1, tick(1));
  EXPECT_EQ(journal->append(many, Durability::ProcessCrash).value(), many.size());
  EXPECT_TRUE(journal->settled());
  for (std::size_t count = 0; count <= kStagedEntriesMax; ++count) add(*journal, 1);
  EXPECT_EQ(journal->database().last_sequence(), many.size() + kStagedEntriesMax);
  EXPECT_FALSE(journal->settled());
}

TEST_F(Staged, WithAKeyNothingIsReadableAndAForgeryIsSaid) {
  options_.key = base::Secret(std::string(32, 'k'));
  auto journal = open();
  add(*journal, 1);
  die_now();
  const std::string stage = beside(options_.path, "stage");
  std::string text(std::filesystem::file_size(stage), '\0');
  std::ifstream(stage, std::ios::binary).read(text.data(), static_cast<long>(text.size()));
  EXPECT_EQ(text.find("tick"), std::string::npos);
  // Somebody without the key builds a frame that follows.
  std::string forged;
  Hasher hasher;
  write_frame(forged, hasher, Digest{}, 1, encode_entries(std::vector{tick(7)}));
  std::ofstream(stage, std::ios::binary) << forged;
  auto next = open();
  EXPECT_EQ(next->find({.type = "tick"})->size(), 0U);
  EXPECT_EQ(next->find({.type = "journal:tampered"})->size(), 1U);
}

TEST_F(Staged, APlainJournalCanBeGivenAKey) {
  for (const bool dies : {false, true}) {
    const test::TempFolder folder(test::TempFolder::memory());
    options_ = {.path = folder / "journal.db", .reserve_bytes = 0};
    auto journal = open();
    add(*journal, 1);
    add(*journal, 2, Durability::PowerLoss);
    add(*journal, 3);
    if (dies) {
      die_now();
    } else {
      journal.reset();
    }
    options_.key = base::Secret(std::string(32, 'k'));
    auto keyed = open();
    EXPECT_EQ(bodies(*keyed), (Bodies{"1", "2", "3"})) << dies;
    add(*keyed, 4);
    die_now();
    EXPECT_EQ(bodies(*open()), (Bodies{"1", "2", "3", "4"})) << dies;
  }
}

TEST_F(Staged, GivenAKeyItFindsPlainWhatItMovedBeforeItDied) {
  auto journal = open();
  add(*journal, 1);
  add(*journal, 2);
  ASSERT_TRUE(journal->settle());
  die_now();  // The database and the stage both have them.
  options_.key = base::Secret(std::string(32, 'k'));
  EXPECT_EQ(bodies(*open()), (Bodies{"1", "2"}));
  // And a journal that was empty but for what waited.
  const test::TempFolder folder(test::TempFolder::memory());
  options_ = {.path = folder / "journal.db", .reserve_bytes = 0};
  auto other = open();
  add(*other, 1);
  die_now();
  options_.key = base::Secret(std::string(32, 'k'));
  EXPECT_EQ(bodies(*open()), Bodies{"1"});
}

TEST_F(Staged, APlainFrameBehindASealedRowIsAForgery) {
  options_.key = base::Secret(std::string(32, 'k'));
  Digest head{};
  {
    auto journal = open();
    add(*journal, 1, Durability::PowerLoss);
    head = journal->database().head().hash;
  }
  std::string forged;
  Hasher hasher;
  write_frame(forged, hasher, head, 2, encode_entries(std::vector{tick(7)}));
  std::ofstream(beside(options_.path, "stage"), std::ios::binary) << forged;
  auto next = open();
  EXPECT_EQ(next->find({.type = "tick"})->size(), 1U);
  EXPECT_EQ(next->find({.type = "journal:tampered"})->size(), 1U);
}

TEST_F(Staged, TheTailOfAFrameThatTheDatabaseHasInPartIsTaken) {
  { add(*open(), 1, Durability::PowerLoss); }
  std::string frame;
  Hasher hasher;
  write_frame(frame, hasher, Digest{}, 1, encode_entries(std::vector{tick(1), tick(2)}));
  std::ofstream(beside(options_.path, "stage"), std::ios::binary) << frame;
  EXPECT_EQ(bodies(*open()), (Bodies{"1", "2"}));
}

TEST_F(Staged, AStageThatIsThereButCannotBeOpenedIsAnError) {
  { add(*open(), 1); }
  const std::string stage = beside(options_.path, "stage");
  std::filesystem::remove(stage);
  std::filesystem::create_directory(stage);
  auto database = SqliteJournal::open(options_);
  ASSERT_TRUE(database);
  EXPECT_FALSE(StagedJournal::open(std::move(*database), options_));
}

TEST_F(Staged, ACleanEndLeavesNothingInTheStage) {
  { add(*open(), 1); }
  EXPECT_EQ(std::filesystem::file_size(beside(options_.path, "stage")), 0U);
}

// The commit that failed may be there after a crash; a frame in its place would be lost then.
TEST_F(Staged, AfterARefusalNothingIsStagedUntilTheDatabaseTakesSomething) {
  test::FaultyVfs disk;
  options_.vfs = test::FaultyVfs::kName;
  auto journal = open();
  disk.fail_at(1, test::DiskFault::Fails, true);
  const Entry entry = tick(1);
  EXPECT_FALSE(journal->append({&entry, 1}, Durability::PowerLoss));
  disk.heal();
  add(*journal, 2);
  EXPECT_TRUE(journal->settled());
  add(*journal, 3);
  EXPECT_FALSE(journal->settled());
}

TEST_F(Staged, WhatCannotBeSettledDegradesUntilItCan) {
  test::FaultyVfs disk;
  options_.vfs = test::FaultyVfs::kName;
  auto journal = open();
  StagedJournal& staged = *journal;
  ResilientJournal resilient(std::move(journal));
  add(staged, 1);
  disk.fail_at(1, test::DiskFault::Full, true);
  auto done = staged.settle();
  ASSERT_FALSE(done);
  resilient.refused(std::move(done).error());
  EXPECT_TRUE(resilient.degraded());
  EXPECT_FALSE(resilient.catch_up());
  EXPECT_TRUE(resilient.degraded());
  disk.heal();
  EXPECT_TRUE(resilient.catch_up());
  EXPECT_FALSE(resilient.degraded());
  EXPECT_TRUE(staged.settled());
}

TEST(StageFrame, EveryByteCounts) {
  Hasher hasher;
  std::string whole;
  const std::vector entries{Entry{.kind = EntryKind::Notice,
                                  .wall_ns = -3,
                                  .at = Instant{Duration{7}},
                                  .type = "a",
                                  .service = "b",
                                  .incident = 1,
                                  .recovery = 2,
                                  .body = std::string("\0c", 2)}};
  write_frame(whole, hasher, Digest{}, 12, encode_entries(entries));
  const auto frame = read_frame(whole, hasher, Digest{});
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->first, 12U);
  EXPECT_EQ(frame->bytes, whole.size());
  const auto again = decode_entries(frame->payload);
  ASSERT_TRUE(again);
  EXPECT_EQ(encode_entries(*again), encode_entries(entries));
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    EXPECT_FALSE(read_frame(changed, hasher, Digest{})) << at;
    EXPECT_FALSE(read_frame(whole.substr(0, at), hasher, Digest{})) << at;
  }
  Digest other{};
  other[0] = 1;
  EXPECT_FALSE(read_frame(whole, hasher, other));
}

}  // namespace
}  // namespace recover::journal
