// kill -9 of a prune, a copy or a restore at any moment: the repositories stay sound, and the next
// run ends what was begun. RECOVER_CRASH_ROUNDS says how often each (8).
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <random>
#include <thread>

#include "backup/browse/copier.h"
#include "backup/restore/restorer.h"
#include "backup/retain/pruner.h"
#include "test/backup/peers.h"

namespace recover::backup {
namespace {

namespace fs = std::filesystem;
using std::chrono::microseconds;

class Kills : public test::Peers {
 protected:
  void SetUp() override {
    Peers::SetUp();
    if (IsSkipped()) return;
    options_.pack_bytes = 64U << 10U;
    for (int i = 0; i < 200; ++i) {
      test::spill(data(std::to_string(i)), test::noise(8000, std::to_string(i)));
    }
    old_ = back_up().id;
    for (int i = 0; i < 200; i += 3) fs::remove(data(std::to_string(i)));
    new_ = back_up().id;
    fs::rename(restic_.repository, base_);
    bring_back();
  }
  void bring_back() const {
    fs::remove_all(restic_.repository);
    fs::copy(base_, restic_.repository, fs::copy_options::recursive);
  }
  static unsigned rounds() {
    const char* const wanted = std::getenv("RECOVER_CRASH_ROUNDS");
    return wanted == nullptr ? 8 : static_cast<unsigned>(std::atoi(wanted));
  }
  // Kills `work` at a moment of its whole time; true: it had ended.
  bool kill_within(const std::function<bool()>& work) {
    const auto begin = std::chrono::steady_clock::now();
    const pid_t child = ::fork();
    if (child == 0) ::_exit(work() ? 0 : 1);
    if (whole_.count() > 0) {
      // Not a wait for something: the moment of the crash is what is drawn.
      std::this_thread::sleep_for(
          microseconds(static_cast<std::int64_t>(random_()) % whole_.count()));
      ::kill(child, SIGKILL);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    if (whole_.count() == 0) {
      whole_ = std::chrono::duration_cast<microseconds>(std::chrono::steady_clock::now() - begin);
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }
  void expect_restored(const Repository& repository, const std::string& to) {
    const auto latest = repository.find_snapshot("latest");
    ASSERT_TRUE(latest) << latest.error().message;
    RestoreProgress progress;
    const auto report = restore(repository, latest->snapshot, {.to = to}, progress);
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_EQ(report->problem_count, 0U);
    EXPECT_TRUE(are_alike(data_, to + data_));
  }

  const std::string base_ = folder_ / "base";
  Digest old_;
  Digest new_;
  std::minstd_rand random_{11};
  microseconds whole_{0};
};

TEST_F(Kills, APruneWithForgetLosesNothing) {
  const auto work = [&] {
    return prune(*repository_, {.unused_max = 0, .forget = {old_}}).has_value();
  };
  for (unsigned round = 0; round <= rounds(); ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    bring_back();
    kill_within(work);
    expect_sound(round % 4 == 0);
    ASSERT_TRUE(store_.size({.kind = FileKind::Snapshot, .id = new_}));
    ASSERT_TRUE(work());
    EXPECT_FALSE(store_.size({.kind = FileKind::Snapshot, .id = old_}));
    expect_sound(false);
  }
  expect_restored(*repository_, folder_ / "out");
}

TEST_F(Kills, ACopyGoesOn) {
  const std::string other = folder_ / "other";
  LocalStore to_store(other);
  auto to = Repository::create(
      to_store, base::Secret("secret"),
      {.now = {}, .user = "u", .host = "h", .cost = {.n = 1024, .r = 8, .p = 1}});
  ASSERT_TRUE(to);
  fs::copy(other, other + "-empty", fs::copy_options::recursive);
  const auto work = [&] {
    return copy_snapshots(*repository_, *to, *repository_->snapshots()).has_value();
  };
  for (unsigned round = 0; round <= rounds(); ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    fs::remove_all(other);
    fs::copy(other + "-empty", other, fs::copy_options::recursive);
    kill_within(work);
    CheckProgress progress;
    const auto report = check(*to, {.read_data = true}, progress);
    ASSERT_TRUE(report && report->is_sound());
    ASSERT_TRUE(work());
    EXPECT_EQ(to->snapshots()->size(), 2U) << "each once";
  }
  expect_restored(*to, folder_ / "out");
}

TEST_F(Kills, ARestoreGoesOn) {
  const std::string out = folder_ / "out";
  const auto latest = repository_->find_snapshot("latest");
  ASSERT_TRUE(latest);
  const auto work = [&] {
    RestoreProgress progress;
    return restore(*repository_, latest->snapshot, {.to = out}, progress).has_value();
  };
  for (unsigned round = 0; round <= rounds(); ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    fs::remove_all(out);
    kill_within(work);
    // Whole files only, under their names.
    const std::string below = out + data_;
    if (fs::exists(below)) {
      for (const auto& entry : fs::directory_iterator(below)) {
        const std::string name = entry.path().filename();
        if (!fs::exists(data(name))) continue;
        EXPECT_EQ(entry.file_size(), 8000U) << name;
      }
    }
    expect_restored(*repository_, out);
  }
}

}  // namespace
}  // namespace recover::backup
