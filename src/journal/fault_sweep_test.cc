// The disk fails at the N-th call, for every N until a run needs fewer: transient and persistent,
// with an error, a short write, a full disk. Afterwards the journal is opened again on a healthy
// disk: whole, and with every entry that was acknowledged. And a disk that is really full.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "journal/sqlite_journal.h"
#include "journal/staged_journal.h"
#include "test/faulty_vfs.h"
#include "test/temp_folder.h"

namespace recover::journal {
namespace {

using ports::Durability;
using ports::Entry;
using ports::EntryKind;
using ports::StoredEntry;
using test::DiskFault;

constexpr std::uint64_t kSweepMax = 2'000;  // A run makes far fewer calls.

Entry numbered(int number) {
  return {.kind = number % 7 == 6 ? EntryKind::Snapshot : EntryKind::Event,
          .wall_ns = number,
          .at = {},
          .type = "tick",
          .service = {},
          .incident = 0,
          .recovery = 0,
          .body = std::to_string(number) + std::string(3'000, '.')};
}

// What a run was promised, by the number in the body.
struct Promise {
  std::uint64_t sequence;
  std::string body;
};

struct Sweep {
  DiskFault fault;
  bool persistent;
  bool staged = false;
};

// Either the journal itself or with a stage before it.
struct Opened {
  std::unique_ptr<ports::Journal> journal = {};
  SqliteJournal* database = nullptr;
  StagedJournal* staged = nullptr;
};

Result<Opened, ports::JournalError> open_as(const OpenOptions& options, bool staged) {
  auto database = SqliteJournal::open(options);
  if (!database) return Unexpected(database.error());
  Opened opened{.database = database->get()};
  if (!staged) {
    opened.journal = std::move(*database);
    return opened;
  }
  auto whole = StagedJournal::open(std::move(*database), options);
  if (!whole) return Unexpected(whole.error());
  opened.staged = whole->get();
  opened.journal = std::move(*whole);
  return opened;
}

class FaultSweep : public ::testing::TestWithParam<Sweep> {
 protected:
  // Opens, appends with both durabilities, prunes, closes; never stops at an error.
  std::vector<Promise> run() {
    std::vector<Promise> promises;
    auto opened = open_as(options_, GetParam().staged);
    if (!opened) return promises;
    for (int number = 0; number < 24; ++number) {
      const Entry entry = numbered(number);
      const auto durability = number % 3 == 0 ? Durability::PowerLoss : Durability::ProcessCrash;
      const auto done = opened->journal->append({&entry, 1}, durability);
      if (done) promises.push_back({*done, entry.body});
      if (opened->staged != nullptr && number % 5 == 4) (void)opened->staged->settle();
      if (number == 16) (void)opened->database->prune({.keep_entries = 4});
    }
    return promises;
  }

  void check(const std::vector<Promise>& promises) {
    auto opened = open_as(options_, GetParam().staged);
    ASSERT_TRUE(opened) << opened.error().message;
    const auto verdict = opened->journal->verify();
    ASSERT_TRUE(verdict) << verdict.error().message;
    ASSERT_EQ(verdict->broken_at, 0U) << verdict->message;
    ASSERT_TRUE(opened->journal->find({.type = "journal:tampered"}).value().empty());
    std::map<std::uint64_t, std::string> stored;
    ASSERT_TRUE(opened->journal->replay(1, [&](const StoredEntry& entry) {
      stored[entry.sequence] = entry.entry.body;
      return true;
    }));
    const std::uint64_t oldest = stored.empty() ? 1 : stored.begin()->first;
    for (const Promise& promise : promises) {
      if (promise.sequence < oldest) continue;
      ASSERT_EQ(stored[promise.sequence], promise.body) << promise.sequence;
    }
    const Entry more = numbered(99);
    ASSERT_TRUE(opened->journal->append({&more, 1}, Durability::PowerLoss));
  }

  OpenOptions options_;
};

TEST_P(FaultSweep, LosesNothingAcknowledged) {
  test::FaultyVfs disk;
  std::uint64_t call = 1;
  std::uint64_t struck = 0;
  for (; call < kSweepMax; ++call) {
    const test::TempFolder folder(test::TempFolder::memory());
    options_ = {.path = folder / "journal.db",
                .reserve_bytes = 0,
                .head_every = 5,
                .vfs = test::FaultyVfs::kName};
    const std::uint64_t before = disk.failures();
    disk.fail_at(call, GetParam().fault, GetParam().persistent);
    const auto promises = run();
    disk.heal();
    ASSERT_NO_FATAL_FAILURE(check(promises)) << "at call " << call;
    if (disk.failures() == before) {
      EXPECT_EQ(promises.size(), 24U);
      break;
    }
    ++struck;
  }
  EXPECT_LT(call, kSweepMax);
  EXPECT_GT(struck, 100U);
}

INSTANTIATE_TEST_SUITE_P(
    Faults, FaultSweep,
    ::testing::Values(Sweep{DiskFault::Fails, false}, Sweep{DiskFault::Fails, true},
                      Sweep{DiskFault::ShortWrite, false}, Sweep{DiskFault::ShortWrite, true},
                      Sweep{DiskFault::Full, false}, Sweep{DiskFault::Full, true},
                      Sweep{DiskFault::Fails, false, true},
                      Sweep{DiskFault::ShortWrite, true, true},
                      Sweep{DiskFault::Full, false, true}));

// In a process of its own: on a file system of 1 MiB, until nothing fits any more. Exit codes name
// what went wrong.
int fill_the_disk(const std::string& mount) {
  if (::unshare(CLONE_NEWNS) != 0) return 77;
  if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return 77;
  if (::mount("tmpfs", mount.c_str(), "tmpfs", 0, "size=2m,mode=700") != 0) return 77;
  const OpenOptions options{.path = mount + "/journal.db", .reserve_bytes = 256 << 10};
  auto journal = SqliteJournal::open(options);
  if (!journal) return 1;
  if (!(*journal)->reserve_held()) return 2;
  { std::ofstream(mount + "/filler", std::ios::binary) << std::string(4 << 20, 'f'); }
  std::uint64_t acknowledged = 0;
  int after_release = 0;
  for (int number = 0; number < 10'000; ++number) {
    const Entry entry = numbered(0);
    const auto done = (*journal)->append({&entry, 1}, Durability::ProcessCrash);
    if (!done) {
      if (done.error().fault != ports::JournalFault::Full) return 3;
      break;
    }
    acknowledged = *done;
    after_release += (*journal)->reserve_held() ? 0 : 1;
  }
  if ((*journal)->reserve_held() || after_release < 10) return 4;
  if ((*journal)->verify().value().entries != acknowledged) return 5;
  ::unlink((mount + "/filler").c_str());
  const Entry entry = numbered(1);
  if (!(*journal)->append({&entry, 1}, Durability::PowerLoss)) return 6;
  for (int number = 0; number < 300; ++number) {
    const Entry small{.body = "x"};
    if (!(*journal)->append({&small, 1}, Durability::ProcessCrash)) return 7;
  }
  if (!(*journal)->reserve_held()) return 8;
  journal->reset();
  auto again = SqliteJournal::open(options);
  return again && (*again)->verify().value().broken_at == 0 ? 0 : 9;
}

TEST(FullDisk, TheReserveCarriesTheJournalOn) {
  if (::geteuid() != 0) GTEST_SKIP() << "mounting a small disk needs root";
  const test::TempFolder folder;
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) ::_exit(fill_the_disk(folder.path()));
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "no mount namespaces here";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace recover::journal
