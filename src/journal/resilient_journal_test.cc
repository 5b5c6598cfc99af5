// The journal in memory while the disk refuses.
#include "journal/resilient_journal.h"

#include <gtest/gtest.h>

#include "journal/sqlite_journal.h"
#include "test/faulty_vfs.h"
#include "test/temp_folder.h"

namespace recover::journal {
namespace {

using ports::Durability;
using ports::Entry;
using ports::EntryKind;
using ports::JournalError;
using ports::JournalFault;
using ports::StoredEntry;

Entry entry(EntryKind kind, int number) {
  return {.kind = kind,
          .wall_ns = 1,
          .at = {},
          .type = "n",
          .service = {},
          .incident = 0,
          .recovery = 0,
          .body = std::to_string(number)};
}

class ResilientJournalTest : public ::testing::Test {
 protected:
  ResilientJournalTest() {
    auto opened = SqliteJournal::open(options_);
    EXPECT_TRUE(opened) << opened.error().message;
    journal_ = std::make_unique<ResilientJournal>(
        std::move(*opened),
        ResilientOptions{.on_degraded = [this](bool on) { changes_.push_back(on); },
                         .clock = &clock_});
  }

  Result<std::uint64_t, JournalError> put(EntryKind kind, int number,
                                          Durability durability = Durability::ProcessCrash) {
    const Entry one = entry(kind, number);
    return journal_->append({&one, 1}, durability);
  }
  std::vector<std::string> bodies() {
    std::vector<std::string> found;
    EXPECT_TRUE(journal_->replay(1, [&](const StoredEntry& stored) {
      EXPECT_EQ(stored.sequence, found.size() + 1);
      found.push_back(stored.entry.body);
      return true;
    }));
    return found;
  }
  void break_disk() { disk_.fail_at(1, test::DiskFault::Full, true); }

  test::FaultyVfs disk_;
  test::TempFolder folder_;
  ManualClock clock_;
  OpenOptions options_{
      .path = folder_ / "journal.db", .reserve_bytes = 0, .vfs = test::FaultyVfs::kName};
  std::vector<bool> changes_;
  std::unique_ptr<ResilientJournal> journal_;
};

TEST_F(ResilientJournalTest, GoesOnInMemoryAndCatchesUpInOrder) {
  EXPECT_EQ(put(EntryKind::Event, 1).value(), 1U);
  break_disk();
  EXPECT_EQ(put(EntryKind::Event, 2).value(), 2U);
  EXPECT_EQ(put(EntryKind::Notice, 3).value(), 3U);
  EXPECT_TRUE(journal_->degraded());
  EXPECT_EQ(journal_->last_error().fault, JournalFault::Full);
  EXPECT_EQ(bodies(), (std::vector<std::string>{"1", "2", "3"}));
  EXPECT_EQ(journal_->latest(EntryKind::Notice).value()->sequence, 3U);
  EXPECT_EQ(journal_->latest(EntryKind::Event).value()->sequence, 2U);
  EXPECT_EQ(journal_->find({.limit = 2}).value().at(0).sequence, 2U);

  disk_.heal();
  EXPECT_EQ(put(EntryKind::Event, 4).value(), 4U) << "an attempt is not due yet";
  EXPECT_EQ(journal_->waiting(), 3U);
  clock_.advance(kCatchUpInterval);
  EXPECT_EQ(put(EntryKind::Event, 5).value(), 5U);
  EXPECT_FALSE(journal_->degraded());
  EXPECT_EQ(journal_->waiting(), 0U);
  EXPECT_EQ(changes_, (std::vector<bool>{true, false}));
  EXPECT_EQ(bodies(), (std::vector<std::string>{"1", "2", "3", "4", "5"}));
  EXPECT_EQ(journal_->verify().value().entries, 5U);
}

TEST_F(ResilientJournalTest, NothingIsPromisedThroughPowerLossMeanwhile) {
  break_disk();
  EXPECT_FALSE(put(EntryKind::Command, 1, Durability::PowerLoss));
  EXPECT_TRUE(journal_->degraded());
  EXPECT_EQ(journal_->waiting(), 0U) << "a refused entry is not kept";
  EXPECT_TRUE(put(EntryKind::Event, 2));
  disk_.heal();
  EXPECT_EQ(put(EntryKind::Command, 3, Durability::PowerLoss).value(), 2U) << "tries at once";
  EXPECT_EQ(bodies(), (std::vector<std::string>{"2", "3"}));
}

TEST_F(ResilientJournalTest, DropsTheOldestNoticesAndCountsThem) {
  break_disk();
  const auto max = static_cast<int>(kMemoryEntriesMax);
  for (int i = 0; i < max; ++i) {
    ASSERT_TRUE(put(i % 2 == 0 ? EntryKind::Event : EntryKind::Notice, i));
  }
  EXPECT_EQ(journal_->dropped(), 0U);
  ASSERT_TRUE(put(EntryKind::Event, max));
  EXPECT_EQ(journal_->dropped(), 1U);
  EXPECT_EQ(journal_->waiting(), kMemoryEntriesMax);
  disk_.heal();
  EXPECT_TRUE(journal_->catch_up());
  const auto stored = bodies();
  ASSERT_EQ(stored.size(), kMemoryEntriesMax + 1);
  EXPECT_EQ(stored[0], "0");
  EXPECT_EQ(stored[1], "2") << "notice 1 is the oldest";
  EXPECT_EQ(stored[2], "3");
  EXPECT_NE(stored.back().find("\"dropped\":1"), std::string::npos);
}

TEST_F(ResilientJournalTest, RefusesWhenOnlyEventsWait) {
  break_disk();
  for (std::size_t i = 0; i < kMemoryEntriesMax; ++i) ASSERT_TRUE(put(EntryKind::Event, 1));
  EXPECT_FALSE(put(EntryKind::Event, 2));
  EXPECT_EQ(journal_->waiting(), kMemoryEntriesMax);
}

TEST_F(ResilientJournalTest, AnInvalidEntryIsNoReasonToDegrade) {
  Entry large = entry(EntryKind::Event, 1);
  large.type.assign(kNameBytesMax + 1, 'x');
  EXPECT_EQ(journal_->append({&large, 1}, Durability::ProcessCrash).error().fault,
            JournalFault::Invalid);
  EXPECT_FALSE(journal_->degraded());
}

TEST(ResilientJournalWithoutJournal, OpensOneLater) {
  const test::TempFolder folder;
  ManualClock clock;
  bool there = false;
  ResilientJournal journal(nullptr,
                           {.open = [&]() -> Result<std::unique_ptr<ports::Journal>, JournalError> {
                              if (!there) return Unexpected(JournalError{.message = "not yet"});
                              auto opened = SqliteJournal::open({.path = folder / "journal.db"});
                              if (!opened) return Unexpected(opened.error());
                              return std::unique_ptr<ports::Journal>(std::move(*opened));
                            },
                            .clock = &clock});
  EXPECT_TRUE(journal.degraded());
  const Entry one = entry(EntryKind::Event, 1);
  EXPECT_EQ(journal.append({&one, 1}, Durability::ProcessCrash).value(), 1U);
  EXPECT_FALSE(journal.verify());
  EXPECT_EQ(journal.find({}).value().size(), 1U);
  there = true;
  EXPECT_TRUE(journal.catch_up());
  EXPECT_FALSE(journal.degraded());
  EXPECT_EQ(journal.verify().value().entries, 1U);
}

}  // namespace
}  // namespace recover::journal
