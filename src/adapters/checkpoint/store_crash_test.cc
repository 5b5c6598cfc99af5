// A kill -9 at any point leaves the store usable, and a state that another restore completes.
#include <signal.h>
#include <sys/wait.h>

#include <recover/random.h>

#include "adapters/checkpoint/store_fixture_test.h"

namespace recover::adapters::checkpoint {
namespace {

int rounds() {
  const char* const wanted = std::getenv("RECOVER_CRASH_ROUNDS");
  return wanted == nullptr ? 5 : std::atoi(wanted);  // make soak: 200.
}

// Runs `work` in a child until it has said `signs` times that it got on, and a moment more.
template <class Work>
std::string kill_while(std::uint64_t signs, std::uint64_t spin, Work work) {
  int ends[2] = {-1, -1};
  EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    work([&](char sign) { return ::write(ends[1], &sign, 1) == 1; });
    ::_exit(1);
  }
  ::close(ends[1]);
  std::string said;
  char sign = 0;
  while (said.size() < signs && ::read(ends[0], &sign, 1) == 1) said.push_back(sign);
  for (volatile std::uint64_t i = 0; i < spin;) i = i + 1;
  ::kill(child, SIGKILL);
  while (::read(ends[0], &sign, 1) == 1) said.push_back(sign);
  ::close(ends[0]);
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status)) << "the child failed";
  return said;
}

TEST_F(CheckpointStoreTest, TakingSurvivesKill) {
  Random random(7);
  for (int round = 0; round < rounds(); ++round) {
    const std::string said =
        kill_while(random.next() % 4, random.next() % 3'000'000, [&](auto tell) {
          auto store = RepositoryStore::open(
              {.root = folder_ / "checkpoints", .worker = BACKUP_WORKER, .clock_step = {}});
          for (int i = 0; store && i < 100'000; ++i) {
            const char sign = static_cast<char>('a' + i % 26);
            write(state_ / "nginx.conf", std::string(50'000, sign));
            const std::string round_name = "r" + std::to_string(round);
            write(state_ / "sites/a.conf", round_name + std::to_string(i));
            if (!(*store)->take({.service = "web", .name = "latest", .paths = {state_}})) return;
            if (i % 5 == 4 && !(*store)->prune({.service = "web", .keep = 3})) return;
            if (!tell(sign)) return;
          }
        });
    reopen();
    const auto all = store_->list("web").value();
    for (const CheckpointInfo& info : all) {
      ASSERT_TRUE(store_->show("web", info.id)) << info.id;
      for (const std::string& name : info.names)
        ASSERT_TRUE(name == "latest" || name == ports::kBeforeRestore);
    }
    if (!said.empty()) {
      restore("latest");
      const char found = read(state_ / "nginx.conf").at(0);
      const char next = static_cast<char>('a' + (said.back() - 'a' + 1) % 26);
      ASSERT_TRUE(found == said.back() || found == next) << found << " after " << said;
      ASSERT_EQ(read(state_ / "nginx.conf"), std::string(50'000, found));
    }
    const bool begun = fs::exists(folder_ / "checkpoints/repository/config");
    ASSERT_TRUE(!begun || restic("check --read-data")) << "round " << round;
  }
}

TEST_F(CheckpointStoreTest, AnInterruptedRestoreConverges) {
  for (int i = 0; i < 20; ++i) {
    write(state_ / ("many/" + std::to_string(i)), std::string(20'000, static_cast<char>('a' + i)));
  }
  const auto good = picture(state_);
  take("good");
  for (int i = 0; i < 20; ++i) write(state_ / ("many/" + std::to_string(i)), "bad");
  fs::remove(state_ / "current");
  write(state_ / "current/x", "bad");
  const auto bad = picture(state_);
  take("bad");
  Random random(11);
  for (int round = 0; round < rounds(); ++round) {
    kill_while(random.next() % 3, random.next() % 3'000'000, [&](auto tell) {
      auto store = RepositoryStore::open(
          {.root = folder_ / "checkpoints", .worker = BACKUP_WORKER, .clock_step = {}});
      for (int i = 0; store && i < 100'000; ++i) {
        if (!(*store)->restore({.service = "web", .checkpoint = i % 2 == 0 ? "good" : "bad"})) {
          return;
        }
        if (!tell('.')) return;
      }
    });
    for (int i = 0; i < 20; ++i) {
      const std::string text = read(state_ / ("many/" + std::to_string(i)));
      ASSERT_TRUE(text == "bad" || text.size() == 20'000) << "half a file";
    }
    reopen();
    restore(round % 2 == 0 ? "bad" : "good");
    ASSERT_EQ(picture(state_), round % 2 == 0 ? bad : good) << "round " << round;
  }
}

}  // namespace
}  // namespace recover::adapters::checkpoint
