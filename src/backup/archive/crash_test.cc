// kill -9 of a backup at any moment: restic finds the repository sound, the next run goes on from
// what was stored. RECOVER_CRASH_ROUNDS says how often (20).
#include <signal.h>
#include <sys/wait.h>

#include <chrono>
#include <cstdlib>
#include <random>
#include <thread>

#include "backup/repo/lock.h"
#include "test/restic_archive.h"

namespace recover::backup {
namespace {

using std::chrono::microseconds;
using Clock = std::chrono::steady_clock;

class Crashes : public test::ResticArchive {
 protected:
  static constexpr std::size_t kFiles = 1200;
  static constexpr std::size_t kFileBytes = 16'000;

  void SetUp() override {
    ResticArchive::SetUp();
    if (IsSkipped()) return;
    for (std::size_t i = 0; i < kFiles; ++i) {
      test::spill(data("d" + std::to_string(i / 40) + "/f" + std::to_string(i)),
                  test::noise(kFileBytes, std::to_string(i)));
    }
    options_.pack_bytes = 128U << 10U;
  }

  // A backup as a process of its own, which holds a lock as the program does.
  pid_t begin_child() {
    const pid_t child = ::fork();
    if (child != 0) return child;
    const auto lock = RepositoryLock::acquire(*repository_, LockKind::Shared);
    ArchiveProgress progress;
    ::_exit(lock && archive(*repository_, options_, progress) ? 0 : 1);
  }
  static int wait_for(pid_t child) {
    int status = 0;
    ::waitpid(child, &status, 0);
    return status;
  }
  void begin_anew() {
    std::filesystem::remove_all(restic_.repository);
    repository_.emplace(
        Repository::create(
            store_, base::Secret("secret"),
            {.now = {}, .user = "u", .host = "h", .cost = {.n = 1024, .r = 8, .p = 1}})
            .value());
  }
  std::uint64_t stored_bytes() {
    std::uint64_t bytes = 0;
    const auto packs = store_.list(FileKind::Pack);
    EXPECT_TRUE(packs);
    for (const StoredFile& file : *packs) bytes += file.bytes;
    return bytes;
  }
  static unsigned rounds() {
    const char* const wanted = std::getenv("RECOVER_CRASH_ROUNDS");
    return wanted == nullptr ? 20 : static_cast<unsigned>(std::atoi(wanted));
  }
};

TEST_F(Crashes, KillAtAnyMomentAndTheNextRunGoesOn) {
  const auto begin = Clock::now();
  ASSERT_EQ(wait_for(begin_child()), 0);
  const auto whole = std::chrono::duration_cast<microseconds>(Clock::now() - begin);
  const std::uint64_t wanted = stored_bytes();
  std::minstd_rand random(7);
  for (unsigned round = 0; round < rounds(); ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    begin_anew();
    const pid_t child = begin_child();
    // Not a wait for something: the moment of the crash is what is drawn.
    std::this_thread::sleep_for(microseconds(static_cast<std::int64_t>(random()) % whole.count()));
    ::kill(child, SIGKILL);
    wait_for(child);
    ASSERT_EQ(remove_locks(*repository_, true).has_value(), true);
    ASSERT_TRUE(restic_.run("check --read-data")) << restic_.output;
    const ArchiveReport report = back_up();
    EXPECT_EQ(report.problem_count, 0U);
    EXPECT_LE(stored_bytes(), wanted + wanted / 20) << "more than 5 % was stored again";
    if (round % 5 == 0) {
      ASSERT_TRUE(restic_.run("check --read-data")) << restic_.output;
      std::filesystem::remove_all(folder_ / "out");
      ASSERT_TRUE(restic_.run("restore latest --target '" + folder_ / "out" + "'"))
          << restic_.output;
      ASSERT_TRUE(are_alike(data_, folder_ / "out" + data_));
    }
  }
}

}  // namespace
}  // namespace recover::backup
