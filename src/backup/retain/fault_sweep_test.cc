// Whatever call of a prune, a copy or a restore fails, and in whatever way: the repository is sound
// after it, nothing that somebody keeps is gone, and doing it again succeeds.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "backup/browse/copier.h"
#include "backup/restore/restorer.h"
#include "backup/retain/pruner.h"
#include "backup/store/local_store.h"
#include "test/backup/cycle.h"
#include "test/backup/faulty_store.h"

namespace recover::backup {
namespace {

namespace fs = std::filesystem;
using test::Fault;
using test::FaultyStore;

// A repository with an old snapshot, of which much goes, and a new one, in several packs.
class WorkSweep : public testing::TestWithParam<Fault> {
 protected:
  static constexpr unsigned kCallsMax = 1000;

  // RECOVER_FAULT_STRIDE: every how manieth call fails (7). Each kind of fault begins elsewhere, so
  // that together they meet most calls; with 1 each meets all.
  static unsigned stride() {
    const char* const wanted = std::getenv("RECOVER_FAULT_STRIDE");
    return wanted == nullptr ? 7 : std::max(1U, static_cast<unsigned>(std::atoi(wanted)));
  }
  static unsigned first_call() { return static_cast<unsigned>(GetParam()) % stride() + 1; }

  void SetUp() override {
    for (int i = 0; i < 6; ++i) test::spill(file(i), text(i));
    LocalStore store(base_);
    const auto made = test::make_repository(store);
    ASSERT_TRUE(made) << made.error().message;
    old_ = back_up(*made, 1);
    for (const int i : {0, 1, 3}) fs::remove(file(i));
    test::spill(file(7), text(7));
    new_ = back_up(*made, 2);
    drop_empty_folders(base_);
  }

  // Of 256; copying them is most of what a round costs. Writers make what is missing.
  static void drop_empty_folders(const std::string& repository) {
    for (const auto& folder : fs::directory_iterator(repository + "/data")) {
      if (fs::is_empty(folder)) fs::remove(folder);
    }
  }

  static std::string text(int i) { return std::string(60'000, static_cast<char>('a' + i)); }
  std::string file(int i) const { return folder_ / ("data/sub/" + std::to_string(i)); }
  // Small packs, so that some go, some stay and some are written anew.
  Digest back_up(const Repository& repository, std::int64_t time) const {
    const ArchiveOptions options{.paths = {folder_ / "data"},
                                 .excludes = {},
                                 .tags = {},
                                 .host = "here",
                                 .user = "root",
                                 .program_version = {},
                                 .now = {.seconds = 1'700'000'000 + time},
                                 .pack_bytes = 100};
    ArchiveProgress progress;
    const auto report = archive(repository, options, progress);
    EXPECT_TRUE(report) << report.error().message;
    return report ? report->id : Digest();
  }
  std::string fresh_copy(unsigned at) const {
    const std::string to = folder_ / ("repo" + std::to_string(at));
    fs::remove_all(to);
    fs::copy(base_, to, fs::copy_options::recursive);
    return to;
  }
  static Outcome<Repository> open(Store& store) {
    return Repository::open(store, test::kCyclePassword);
  }
  static bool has(Store& store, const Digest& snapshot) {
    return store.size({.kind = FileKind::Snapshot, .id = snapshot}).has_value();
  }
  static void expect_sound(Store& store, unsigned at) {
    auto repository = open(store);
    ASSERT_TRUE(repository) << at << ": " << repository.error().message;
    EXPECT_EQ(test::check_all(*repository), "") << at;
  }
  std::string restored(const Repository& repository, const Digest& id, const std::string& to) {
    const auto found = repository.find_snapshot(hex(id));
    if (!found) return found.error().message;
    RestoreProgress progress;
    const auto report = restore(repository, found->snapshot, {.to = to, .verify = true}, progress);
    if (!report) return report.error().message;
    return report->problems.empty() ? std::string() : report->problems.front();
  }

  test::TempFolder folder_{test::TempFolder::memory()};
  const std::string base_ = folder_ / "base";
  Digest old_;
  Digest new_;
};

TEST_P(WorkSweep, PruneAndForgetLoseNothingAndGoOn) {
  const auto work = [&](Store& store) -> Outcome<void> {
    auto repository = open(store);
    if (!repository) return Unexpected(repository.error());
    auto pruned = prune(*repository, {.unused_max = 0, .forget = {old_}});
    return pruned ? Outcome<void>() : Outcome<void>(Unexpected(pruned.error()));
  };
  unsigned at = first_call();
  for (bool struck = true; struck; at += stride()) {
    ASSERT_LT(at, kCallsMax);
    LocalStore inner(fresh_copy(at));
    FaultyStore faulty(inner, GetParam(), at);
    const auto worked = work(faulty);
    struck = faulty.has_struck();
    expect_sound(inner, at);
    EXPECT_TRUE(has(inner, new_)) << at;
    if (worked) {
      EXPECT_FALSE(has(inner, old_)) << at << ": it said that it was done";
    }
    auto repository = open(inner);
    const auto again = work(inner);
    ASSERT_TRUE(again) << at << ": " << again.error().message;
    EXPECT_FALSE(has(inner, old_)) << at;
    expect_sound(inner, at);
    EXPECT_EQ(restored(*repository, new_, folder_ / "out"), "") << at;
    fs::remove_all(folder_ / "out");
    fs::remove_all(inner.location());
  }
  EXPECT_GT(at, 30U) << "it met the calls of a whole prune";
}

TEST_P(WorkSweep, CopiesLoseNothingAndGoOn) {
  const auto work = [&](Store& from_store, Store& to_store) -> Outcome<void> {
    auto from = open(from_store);
    if (!from) return Unexpected(from.error());
    auto to = open(to_store);
    if (!to) return Unexpected(to.error());
    const auto all = from->snapshots();
    if (!all) return Unexpected(all.error());
    auto copied = copy_snapshots(*from, *to, *all);
    return copied ? Outcome<void>() : Outcome<void>(Unexpected(copied.error()));
  };
  const std::string empty = folder_ / "empty";
  LocalStore empty_store(empty);
  ASSERT_TRUE(test::make_repository(empty_store));
  drop_empty_folders(empty);
  for (const bool source : {true, false}) {
    unsigned at = first_call();
    for (bool struck = true; struck; at += stride()) {
      ASSERT_LT(at, kCallsMax);
      LocalStore from(base_);
      const std::string target = folder_ / "target";
      fs::remove_all(target);
      fs::copy(empty, target, fs::copy_options::recursive);
      LocalStore to(target);
      FaultyStore faulty(source ? from : to, GetParam(), at);
      const auto worked = source ? work(faulty, to) : work(from, faulty);
      struck = faulty.has_struck();
      expect_sound(to, at);
      expect_sound(from, at);
      auto repository = open(to);
      if (worked) {
        EXPECT_EQ(repository->snapshots()->size(), 2U) << at;
      }
      const auto again = work(from, to);
      ASSERT_TRUE(again) << at << ": " << again.error().message;
      EXPECT_EQ(repository->snapshots()->size(), 2U) << at << ": each once";
      expect_sound(to, at);
    }
    EXPECT_GT(at, 10U);
  }
}

TEST_P(WorkSweep, RestoresSayWhatFailedAndGoOn) {
  unsigned at = first_call();
  for (bool struck = true; struck; at += stride()) {
    ASSERT_LT(at, kCallsMax);
    const std::string out = folder_ / ("out" + std::to_string(at));
    LocalStore inner(base_);
    FaultyStore faulty(inner, GetParam(), at);
    auto repository = open(faulty);
    const std::string said =
        repository ? restored(*repository, new_, out) : repository.error().message;
    struck = faulty.has_struck();
    // Never a file that is not whole; nothing missing without saying so.
    for (const int i : {2, 4, 5, 7}) {
      const std::string path = out + file(i);
      if (fs::exists(path)) {
        EXPECT_EQ(test::slurp(path), text(i)) << at;
      }
      if (said.empty()) {
        EXPECT_TRUE(fs::exists(path)) << at;
      }
    }
    auto sound = open(inner);
    ASSERT_EQ(restored(*sound, new_, out), "") << at;
    for (const int i : {2, 4, 5, 7}) EXPECT_EQ(test::slurp(out + file(i)), text(i)) << at;
    fs::remove_all(out);
  }
  EXPECT_GT(at, 10U);
}

INSTANTIATE_TEST_SUITE_P(Faults, WorkSweep,
                         testing::Values(Fault::Fails, Fault::DiskFull, Fault::AnswerLost,
                                         Fault::CutShort, Fault::Gone));

}  // namespace
}  // namespace recover::backup
