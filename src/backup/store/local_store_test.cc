// What a folder does beyond what every store does: odd entries, modes, full disks, crashes.
#include "backup/store/local_store.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backup/store/append_only_store.h"
#include "backup/store/steady_store.h"
#include "test/backup/cycle.h"
#include "test/backup/faulty_store.h"
#include "test/backup/full_disk.h"

namespace recover::backup {
namespace {

Bytes store_bytes(std::size_t size, std::uint8_t value = 7) {
  return Bytes(size, value);
}

FileName pack_of(View bytes) {
  return {.kind = FileKind::Pack, .id = sha256(bytes)};
}

class LocalStores : public testing::Test {
 protected:
  std::string path_of(const FileName& name) {
    const std::string id = hex(name.id);
    return folder_ / ("repo/data/" + id.substr(0, 2) + "/" + id);
  }
  mode_t mode_of(const std::string& path) {
    struct stat info {};
    return ::stat(path.c_str(), &info) == 0 ? info.st_mode & 07777U : 0;
  }

  test::TempFolder folder_{test::TempFolder::memory()};
  LocalStore store_{folder_ / "repo"};
};

TEST_F(LocalStores, NeitherWaitForAFifoNorReadWhatIsNoFile) {
  ASSERT_TRUE(store_.prepare());
  const FileName name = pack_of(store_bytes(10));
  ASSERT_EQ(::mkfifo(path_of(name).c_str(), 0600), 0);
  EXPECT_EQ(store_.read(name).error().kind, FailureKind::Damaged);
  EXPECT_EQ(store_.read_part(name, 0, 1).error().kind, FailureKind::Damaged);
  EXPECT_EQ(store_.size(name).error().kind, FailureKind::Damaged);
  EXPECT_TRUE(store_.list(FileKind::Pack)->empty());
  EXPECT_EQ(store_.write(name, store_bytes(10)).error().kind, FailureKind::Exists);
}

TEST_F(LocalStores, RefuseAFileTooLargeForItsKindBeforeThereIsRoomForIt) {
  ASSERT_TRUE(store_.prepare());
  const FileName key{.kind = FileKind::Key, .id = sha256(store_bytes(1))};
  const std::string path = folder_ / ("repo/keys/" + hex(key.id));
  test::spill(path, "");
  ASSERT_EQ(::truncate(path.c_str(), off_t{1} << 42U), 0);
  EXPECT_EQ(store_.read(key).error().kind, FailureKind::Damaged);
  EXPECT_EQ(store_.read_part(key, 0, std::uint64_t{1} << 60U).error().kind, FailureKind::Damaged);
}

TEST_F(LocalStores, HaveTheModesOfResticWhateverTheUmask) {
  const mode_t before = ::umask(0077);
  const Bytes bytes = store_bytes(10);
  ASSERT_TRUE(store_.prepare());
  ASSERT_TRUE(store_.write(FileName(), bytes));
  ASSERT_TRUE(store_.write(pack_of(bytes), bytes));
  EXPECT_EQ(mode_of(folder_ / "repo/keys"), 0700U);
  EXPECT_EQ(mode_of(folder_ / "repo/config"), 0400U);
  EXPECT_EQ(mode_of(path_of(pack_of(bytes))), 0400U);
  // Where the group may read the config, it may read what is written from then on.
  ASSERT_EQ(::chmod((folder_ / "repo/config").c_str(), 0440), 0);
  const Bytes more = store_bytes(11);
  std::filesystem::remove_all(folder_ / ("repo/data/" + hex(sha256(more)).substr(0, 2)));
  ASSERT_TRUE(store_.write(pack_of(more), more)) << "a folder that is missing is made";
  EXPECT_EQ(mode_of(path_of(pack_of(more))), 0440U);
  EXPECT_EQ(mode_of(std::filesystem::path(path_of(pack_of(more))).parent_path()), 0750U);
  ::umask(before);
}

TEST_F(LocalStores, MakeNothingWhereTheRepositoryIsNotMounted) {
  const Bytes bytes = store_bytes(10);
  EXPECT_FALSE(store_.write(pack_of(bytes), bytes));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "repo"));
}

TEST_F(LocalStores, SweepWhatDeadWritersLeft) {
  ASSERT_TRUE(store_.prepare());
  const Bytes bytes = store_bytes(10);
  ASSERT_TRUE(store_.write(pack_of(bytes), bytes));
  const std::string left = path_of(pack_of(bytes)) + "-tmp-123-4";
  test::spill(left, "half");
  test::spill(folder_ / "repo/config-tmp-99", "half");
  test::spill(folder_ / "repo/data/notes.txt", "a person's");
  EXPECT_EQ(store_.list(FileKind::Pack)->size(), 1U);
  ASSERT_TRUE(store_.sweep());
  EXPECT_FALSE(std::filesystem::exists(left));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "repo/config-tmp-99"));
  EXPECT_TRUE(std::filesystem::exists(folder_ / "repo/data/notes.txt"));
  EXPECT_TRUE(store_.size(pack_of(bytes)));
}

TEST(FullDisks, LeaveNothingHalfWrittenInAFolder) {
  const test::FullDisk disk("4m");
  if (!disk.is_mounted()) GTEST_SKIP() << test::FullDisk::kMissing;
  LocalStore store(disk / "repo");
  ASSERT_TRUE(store.prepare());
  const Bytes large = store_bytes(8U << 20U);
  const auto written = store.write(pack_of(large), large);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().kind, FailureKind::Full) << written.error().message;
  EXPECT_TRUE(store.list(FileKind::Pack)->empty());
  for (const auto& entry : std::filesystem::recursive_directory_iterator(disk / "repo")) {
    EXPECT_FALSE(entry.is_regular_file()) << entry.path();
  }
  const Bytes little = store_bytes(1U << 20U);
  EXPECT_TRUE(store.write(pack_of(little), little)) << "what it had taken is free again";
}

// Killed at any moment, a writer leaves whole files and temporary names, nothing else.
TEST(KilledWriters, LeaveWholeFilesOnly) {
  const test::TempFolder folder(test::TempFolder::memory());
  LocalStore store(folder / "repo");
  ASSERT_TRUE(store.prepare());
  for (unsigned round = 0; round < 20; ++round) {
    const pid_t writer = ::fork();
    if (writer == 0) {
      for (unsigned i = 0;; ++i) {
        const Bytes bytes(200'000, static_cast<std::uint8_t>(i));
        (void)store.write(
            {.kind = FileKind::Pack, .id = sha256(view_of(std::to_string(round * 1'000'000 + i)))},
            bytes);
      }
    }
    const std::size_t before = store.list(FileKind::Pack)->size();
    while (store.list(FileKind::Pack)->size() < before + 1 + round % 3) {
    }
    ::kill(writer, SIGKILL);
    ::waitpid(writer, nullptr, 0);
    const auto left = store.list(FileKind::Pack);
    ASSERT_TRUE(left);
    for (const StoredFile& file : *left) {
      ASSERT_EQ(file.bytes, 200'000U);
    }
  }
  ASSERT_TRUE(store.sweep());
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder / "repo")) {
    EXPECT_EQ(entry.path().string().find("-tmp-"), std::string::npos);
  }
}

TEST(AppendOnlyStores, GiveUpNothingButLocks) {
  const test::TempFolder folder(test::TempFolder::memory());
  AppendOnlyStore store(std::make_unique<LocalStore>(folder / "repo"));
  ASSERT_TRUE(store.prepare());
  const Bytes bytes = store_bytes(10);
  for (const FileKind kind : {FileKind::Config, FileKind::Key, FileKind::Lock, FileKind::Index,
                              FileKind::Snapshot, FileKind::Pack}) {
    const FileName name{.kind = kind, .id = sha256(bytes)};
    ASSERT_TRUE(store.write(name, bytes));
    const auto removed = store.remove(name);
    EXPECT_EQ(removed.has_value(), kind == FileKind::Lock);
    EXPECT_EQ(store.read(name).has_value(), kind != FileKind::Lock);
    if (!removed) {
      EXPECT_EQ(removed.error().kind, FailureKind::NotPermitted);
    }
  }
}

// Whatever call fails, and in whatever way: what a repository said it has kept is there, and the
// next try succeeds.
class FaultSweep : public testing::TestWithParam<test::Fault> {
 protected:
  void SetUp() override {
    for (int i = 0; i < 5; ++i) {
      test::spill(folder_ / ("data/" + std::to_string(i)), std::string(100'000, char('a' + i)));
    }
  }
  // What the life of a repository is; its first failure ends it.
  Outcome<void> live(Store& store) {
    auto repository = Repository::open(store, test::kCyclePassword);
    if (!repository && repository.error().kind == FailureKind::NotFound) {
      repository = test::make_repository(store);
    }
    if (!repository) return Unexpected(repository.error());
    const auto report = test::back_up(*repository, folder_ / "data");
    if (!report) return Unexpected(report.error());
    return {};
  }
  test::TempFolder folder_{test::TempFolder::memory()};
};

TEST_P(FaultSweep, LosesNothingAndGoesOn) {
  bool struck = true;
  unsigned at = 1;
  for (; struck; ++at) {
    ASSERT_LT(at, 1000U);
    const std::string root = folder_ / ("repo" + std::to_string(at));
    LocalStore inner(root);
    test::FaultyStore faulty(inner, GetParam(), at);
    const auto lived = live(faulty);
    struck = faulty.has_struck();
    // A fault before the config was written leaves a key of a repository that never was.
    if (!lived && !inner.size(FileName())) continue;
    auto repository = Repository::open(inner, test::kCyclePassword);
    ASSERT_TRUE(repository) << at << ": " << repository.error().message;
    ASSERT_EQ(test::check_all(*repository), "") << at;
    const std::size_t kept = repository->snapshots()->size();
    if (lived) {
      EXPECT_EQ(kept, 1U) << at << ": it said that it was done";
    }
    const auto again = live(inner);
    ASSERT_TRUE(again) << at << ": " << again.error().message;
    EXPECT_EQ(test::check_all(*repository), "") << at;
    EXPECT_EQ(repository->snapshots()->size(), kept + 1) << at;
  }
  EXPECT_GT(at, 8U) << "it met the calls of a whole life";
}

INSTANTIATE_TEST_SUITE_P(Faults, FaultSweep,
                         testing::Values(test::Fault::Fails, test::Fault::DiskFull,
                                         test::Fault::AnswerLost, test::Fault::CutShort,
                                         test::Fault::Gone));

SteadyOptions hasty() {
  SteadyOptions options;
  options.first_wait = std::chrono::milliseconds(1);
  options.longest_wait = std::chrono::milliseconds(2);
  return options;
}

// Hands out one that fails at call `at`, around `inner`.
std::unique_ptr<Store> faulty(Store& inner, test::Fault fault, std::uint64_t at) {
  return std::make_unique<test::FaultyStore>(inner, fault, at);
}

// A lost answer is no failure, whichever call it was the answer to.
TEST(SteadyStores, MakeUpForEveryLostAnswer) {
  for (std::uint64_t at = 1; at <= 8; ++at) {
    const test::TempFolder folder(test::TempFolder::memory());
    LocalStore inner(folder / "repo");
    SteadyStore store(faulty(inner, test::Fault::AnswerLost, at), hasty());
    const Bytes bytes = store_bytes(100);
    EXPECT_TRUE(store.prepare()) << at;
    EXPECT_TRUE(store.write(FileName(), bytes)) << at;
    EXPECT_TRUE(store.write(pack_of(bytes), bytes)) << at;
    EXPECT_EQ(store.read(pack_of(bytes)).value_or(Bytes()), bytes) << at;
    EXPECT_EQ(store.list(FileKind::Pack)->size(), 1U) << at;
    EXPECT_TRUE(store.remove(pack_of(bytes))) << at;
  }
}

TEST(SteadyStores, TellWhatWasThereFromWhatALostAnswerLeft) {
  const test::TempFolder folder(test::TempFolder::memory());
  LocalStore inner(folder / "repo");
  ASSERT_TRUE(inner.prepare());
  const Bytes bytes = store_bytes(100);
  ASSERT_TRUE(inner.write(FileName(), bytes));
  SteadyStore store(faulty(inner, test::Fault::AnswerLost, 1), hasty());
  EXPECT_EQ(store.write(FileName(), store_bytes(100, 8)).error().kind, FailureKind::Exists)
      << "somebody else's config is not ours";
  EXPECT_EQ(store.write(FileName(), bytes).error().kind, FailureKind::Exists);
}

TEST(SteadyStores, LeaveAStoreThatIsGoneAlone) {
  const test::TempFolder folder(test::TempFolder::memory());
  LocalStore inner(folder / "repo");
  ASSERT_TRUE(inner.prepare());
  auto gone = std::make_unique<test::FaultyStore>(inner, test::Fault::Gone, 1);
  const test::FaultyStore& counted = *gone;
  SteadyOptions options = hasty();
  options.attempts = 3;
  options.failures_to_open = 6;
  SteadyStore store(std::move(gone), options);
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(store.list(FileKind::Pack).error().kind, FailureKind::Unreachable);
  }
  EXPECT_EQ(counted.calls(), 6U) << "asked no more after six failures in a row";
}

}  // namespace
}  // namespace recover::backup
