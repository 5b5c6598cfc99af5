// kill -9 of a process that appends, at random points: nothing it acknowledged is lost and the
// chain is whole. RECOVER_CRASH_ROUNDS sets the number of kills (make soak: 1000).
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include <recover/random.h>

#include "journal/sqlite_journal.h"
#include "journal/staged_journal.h"
#include "test/temp_folder.h"

namespace recover::journal {
namespace {

using ports::Durability;
using ports::Entry;
using ports::EntryKind;

constexpr int kRounds = 40;  // make soak: 200.

int rounds() {
  const char* const wanted = std::getenv("RECOVER_CRASH_ROUNDS");
  return wanted == nullptr ? kRounds : std::atoi(wanted);
}

OpenOptions options_in(const test::TempFolder& folder) {
  return {.path = folder / "journal.db",
          .key = base::Secret(std::string(32, 'k')),
          .reserve_bytes = 1 << 16,
          .head_every = 16};
}

// Appends groups of 1 to 3 until killed; tells the last sequence of each after it returned.
[[noreturn]] void append_for_ever(const test::TempFolder& folder, int out) {
  auto journal = SqliteJournal::open(options_in(folder));
  if (!journal) ::_exit(1);
  for (std::uint64_t i = 0;; ++i) {
    std::vector<Entry> group(1 + i % 3);
    for (std::size_t n = 0; n < group.size(); ++n) {
      group[n].kind = i % 50 == 49 ? EntryKind::Snapshot : EntryKind::Event;
      group[n].body = std::to_string((*journal)->last_sequence() + n + 1);
    }
    const auto done =
        (*journal)->append(group, i % 8 == 0 ? Durability::PowerLoss : Durability::ProcessCrash);
    if (!done) ::_exit(2);
    if (::write(out, &*done, sizeof(*done)) != sizeof(*done)) ::_exit(3);
    if (i % 100 == 99 && !(*journal)->prune({.keep_entries = 200})) ::_exit(4);
  }
}

// The same with a stage, moved into the database now and then.
[[noreturn]] void stage_for_ever(const test::TempFolder& folder, int out) {
  auto database = SqliteJournal::open(options_in(folder));
  if (!database) ::_exit(1);
  auto journal = StagedJournal::open(std::move(*database), options_in(folder));
  if (!journal) ::_exit(1);
  std::uint64_t last = (*journal)->append({}, Durability::ProcessCrash).value_or(0);
  for (std::uint64_t i = 0;; ++i) {
    std::vector<Entry> group(1 + i % 3);
    for (std::size_t n = 0; n < group.size(); ++n) {
      group[n].kind = i % 50 == 49 ? EntryKind::Snapshot : EntryKind::Event;
      group[n].body = std::to_string(last + n + 1);
    }
    const auto done =
        (*journal)->append(group, i % 16 == 0 ? Durability::PowerLoss : Durability::ProcessCrash);
    if (!done) ::_exit(2);
    last = *done;
    if (::write(out, &*done, sizeof(*done)) != sizeof(*done)) ::_exit(3);
    if (i % 11 == 7 && !(*journal)->settle()) ::_exit(4);
    if (i % 100 == 99 && !(*journal)->database().prune({.keep_entries = 200})) ::_exit(5);
  }
}

// The last sequence acknowledged before the child died, killed after `acknowledgements` of them.
std::uint64_t kill_after(const test::TempFolder& folder, std::uint64_t acknowledgements,
                         std::uint64_t spin, bool staged = false) {
  int ends[2] = {-1, -1};
  EXPECT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0 && staged) stage_for_ever(folder, ends[1]);
  if (child == 0) append_for_ever(folder, ends[1]);
  ::close(ends[1]);
  std::uint64_t last = 0;
  std::uint64_t sequence = 0;
  for (std::uint64_t i = 0; i < acknowledgements; ++i) {
    if (::read(ends[0], &sequence, sizeof(sequence)) != sizeof(sequence)) break;
    last = sequence;
  }
  for (volatile std::uint64_t i = 0; i < spin;) i = i + 1;
  ::kill(child, SIGKILL);
  while (::read(ends[0], &sequence, sizeof(sequence)) == sizeof(sequence)) last = sequence;
  ::close(ends[0]);
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status)) << "the child failed with " << WEXITSTATUS(status);
  return last;
}

TEST(JournalCrash, NothingAcknowledgedIsLost) {
  const test::TempFolder folder(test::TempFolder::memory());
  Random random(4711);
  for (int round = 0; round < rounds(); ++round) {
    const std::uint64_t last = kill_after(folder, random.next() % 40, random.next() % 200'000);
    auto journal = SqliteJournal::open(options_in(folder));
    ASSERT_TRUE(journal) << journal.error().message;
    ASSERT_GE((*journal)->last_sequence(), last) << "round " << round;
    const auto verdict = (*journal)->verify().value();
    ASSERT_EQ(verdict.broken_at, 0U) << verdict.message << ", round " << round;
    ASSERT_TRUE((*journal)->find({.type = "journal:tampered"}).value().empty());
    bool in_place = true;
    ASSERT_TRUE((*journal)->replay(1, [&](const ports::StoredEntry& stored) {
      return in_place = stored.entry.body == std::to_string(stored.sequence);
    }));
    ASSERT_TRUE(in_place) << "round " << round;
  }
}

TEST(JournalCrash, NothingAcknowledgedByTheStageIsLost) {
  const test::TempFolder folder(test::TempFolder::memory());
  Random random(815);
  for (int round = 0; round < rounds(); ++round) {
    const std::uint64_t last =
        kill_after(folder, random.next() % 60, random.next() % 200'000, true);
    auto database = SqliteJournal::open(options_in(folder));
    ASSERT_TRUE(database) << database.error().message;
    auto journal = StagedJournal::open(std::move(*database), options_in(folder));
    ASSERT_TRUE(journal) << journal.error().message;
    ASSERT_TRUE((*journal)->settled());
    ASSERT_GE((*journal)->database().last_sequence(), last) << "round " << round;
    const auto verdict = (*journal)->verify().value();
    ASSERT_EQ(verdict.broken_at, 0U) << verdict.message << ", round " << round;
    ASSERT_TRUE((*journal)->find({.type = "journal:tampered"}).value().empty());
    bool in_place = true;
    ASSERT_TRUE((*journal)->replay(1, [&](const ports::StoredEntry& stored) {
      return in_place = stored.entry.body == std::to_string(stored.sequence);
    }));
    ASSERT_TRUE(in_place) << "round " << round;
  }
}

}  // namespace
}  // namespace recover::journal
