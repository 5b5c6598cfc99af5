// Wishes about room and locks: a prune beside others, on a full disk, and locks that nobody holds.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <optional>

#include "backup/repo/patient_lock.h"
#include "backup/retain/shared_prune.h"
#include "test/backup/aged_locks.h"
#include "test/backup/cycle.h"
#include "test/backup/full_disk.h"
#include "test/backup/peers.h"

namespace recover::backup {
namespace {

using test::noise;
using test::Peers;
namespace fs = std::filesystem;

// While a prune looks for what is used and adds, others back up; what they use stays.
TEST_F(Peers, PruneLetsOthersWork_restic1141_restic2547) {
  for (const std::string name : {"a", "b", "c"}) test::spill(data(name), noise(300'000, name));
  const Digest first = back_up().id;
  fs::remove(data("a"));
  back_up();
  const auto lock = TwoPhaseLock::begin(*repository_, std::chrono::seconds(0));
  ASSERT_TRUE(lock);
  bool came = false;
  PruneOptions options{.unused_max = 0, .forget = {first}};
  options.exclude = [&]() -> Outcome<void> {
    if (!std::exchange(came, true)) {
      EXPECT_TRUE(restic_.run("backup '" + data_ + "'")) << "in its long phase: " << restic_.output;
      test::spill(data("again"), noise(300'000, "a"));  // What was to go.
      back_up();
    }
    return (*lock)->exclude();
  };
  const auto disturbed = prune(*repository_, options);
  ASSERT_FALSE(disturbed);
  EXPECT_EQ(disturbed.error().kind, FailureKind::Locked) << disturbed.error().message;
  expect_sound(false);
  fs::remove(data("again"));
  const auto again = back_up().id;
  const auto report =
      prune_beside_others(*repository_, {.prune = {.unused_max = 0}, .patience = {}});
  EXPECT_FALSE(report) << "our own lock is still there";
  EXPECT_TRUE((*lock)->let_others_in());
  EXPECT_TRUE(store_.size({.kind = FileKind::Snapshot, .id = again}));
}

TEST_F(Peers, PruneBesideOthersFreesWhatIsUnused) {
  for (const std::string name : {"a", "b", "c"}) test::spill(data(name), noise(300'000, name));
  const Digest first = back_up().id;
  fs::remove(data("a"));
  back_up();
  PruneProgress progress;
  const auto report = prune_beside_others(*repository_, {.prune = {.unused_max = 0,
                                                                   .forget = {first},
                                                                   .rewrite_rate = 100U << 20U,
                                                                   .progress = &progress}});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_LT(stored_bytes(), 700'000U);
  EXPECT_GT(progress.packs_total, 0U);
  EXPECT_EQ(progress.packs_done, progress.packs_total);
  EXPECT_TRUE(store_.list(FileKind::Lock)->empty());
  expect_sound();
}

// Two phases: what comes back, goes or is lost between them.
class PrunePhases : public Peers {
 protected:
  // Of the file's one blob.
  std::string pack_path_of(const std::string& text) {
    const auto index = repository_->load_index();
    const auto place = index->find({.id = sha256(view_of(text)), .type = BlobType::Data});
    EXPECT_TRUE(place);
    return place ? path_of(place->pack) : std::string();
  }
  // Three files in packs of their own, of which the newer snapshot has one.
  Digest old_snapshot() {
    options_.pack_bytes = 100;
    for (const std::string name : {"a", "b", "c"}) test::spill(data(name), noise(3000, name));
    const Digest first = back_up().id;
    fs::remove(data("a"));
    fs::remove(data("b"));
    back_up();
    return first;
  }
};

TEST_F(PrunePhases, APackThatComesBackIsNotCountedOn) {
  const Digest first = old_snapshot();
  const std::string path = pack_path_of(noise(3000, "a"));
  fs::rename(path, folder_ / "hidden");
  PruneOptions options{.unused_max = 0, .forget = {first}};
  options.exclude = [&]() -> Outcome<void> {
    fs::rename(folder_ / "hidden", path);
    test::spill(data("again"), noise(3000, "a"));
    back_up();
    return {};
  };
  const auto disturbed = prune(*repository_, options);
  ASSERT_FALSE(disturbed) << "its index entry was to go";
  EXPECT_EQ(disturbed.error().kind, FailureKind::Locked) << disturbed.error().message;
  expect_sound(false);
}

TEST_F(PrunePhases, ItsOwnIndexFilesHaveToBeThereStill) {
  const Digest first = old_snapshot();
  const auto before = store_.list(FileKind::Index);
  ASSERT_TRUE(before);
  PruneOptions options{.unused_max = 0, .forget = {first}};
  options.exclude = [&]() -> Outcome<void> {
    const auto files = store_.list(FileKind::Index);
    EXPECT_GT(files->size(), before->size());
    for (const StoredFile& file : *files) {
      const bool is_old = std::any_of(before->begin(), before->end(),
                                      [&](const StoredFile& one) { return one.id == file.id; });
      if (is_old) continue;
      EXPECT_TRUE(store_.remove({.kind = FileKind::Index, .id = file.id}));
    }
    return {};
  };
  const auto disturbed = prune(*repository_, options);
  ASSERT_FALSE(disturbed);
  EXPECT_EQ(disturbed.error().kind, FailureKind::Locked) << disturbed.error().message;
  EXPECT_TRUE(store_.size({.kind = FileKind::Snapshot, .id = first}));
  expect_sound(false);
}

TEST_F(PrunePhases, WithoutItsLockNothingIsRemoved) {
  const Digest first = old_snapshot();
  PruneOptions options{.unused_max = 0, .forget = {first}};
  bool alone = false;
  options.exclude = [&]() -> Outcome<void> {
    alone = true;
    return {};
  };
  options.still_locked = [&] { return !alone; };
  const std::size_t packs = store_.list(FileKind::Pack)->size();
  const auto lost = prune(*repository_, options);
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().kind, FailureKind::Locked) << lost.error().message;
  EXPECT_TRUE(store_.size({.kind = FileKind::Snapshot, .id = first}));
  EXPECT_GE(store_.list(FileKind::Pack)->size(), packs);
  expect_sound(false);
}

class LocksOfOthers : public Peers {
 protected:
  // Where the locks that are there were written so many seconds ago; none: it is not known.
  bool may_exclude(std::optional<std::int64_t> age) {
    test::AgedLocks store(store_, age);
    auto repository = Repository::open(store, base::Secret("secret"));
    EXPECT_TRUE(repository);
    return repository && RepositoryLock::acquire(*repository, LockKind::Exclusive).has_value();
  }
};

// Nobody has to unlock by hand.
TEST_F(LocksOfOthers, StaleLocksAreNobodysBusiness_restic2736_restic1450_k8up456) {
  const pid_t gone = ::fork();
  if (gone == 0) {
    const auto lock = RepositoryLock::acquire(*repository_, LockKind::Exclusive);
    ::_exit(lock ? 0 : 1);
  }
  int status = 1;
  ::waitpid(gone, &status, 0);
  ASSERT_EQ(status, 0);
  ASSERT_EQ(store_.list(FileKind::Lock)->size(), 1U) << "it died with its lock";
  EXPECT_TRUE(RepositoryLock::acquire(*repository_, LockKind::Exclusive));
  Lock old{.time = {.seconds = std::time(nullptr) - 3600}};
  old.exclusive = true;
  old.host = "elsewhere";
  ASSERT_TRUE(repository_->save(FileKind::Lock, text_of(old)));
  test::spill(store_.location() + "/locks/" + std::string(64, 'a'), "");  // Of a crash.
  EXPECT_FALSE(RepositoryLock::acquire(*repository_, LockKind::Exclusive))
      << "the store says that it was written just now: one of the clocks is wrong";
  EXPECT_FALSE(may_exclude(60)) << "not old enough";
  ASSERT_EQ(store_.list(FileKind::Lock)->size(), 2U) << "nothing else is left behind";
  EXPECT_TRUE(may_exclude(3600));
}

// Two machines, or containers, of one name: a PID that is not here may be there.
TEST_F(LocksOfOthers, OfTheSameNameAreNotTakenForDead) {
  const pid_t gone = ::fork();
  if (gone == 0) ::_exit(0);
  ::waitpid(gone, nullptr, 0);
  Lock other{.time = {.seconds = std::time(nullptr)}};
  other.exclusive = true;
  other.host = host_name();
  other.pid = gone;
  other.pid_space = "another kernel";
  ASSERT_TRUE(repository_->save(FileKind::Lock, text_of(other)));
  EXPECT_FALSE(may_exclude(std::nullopt)) << "it may live";
  remove_locks(*repository_, true).value();
  other.time.seconds -= 400;
  ASSERT_TRUE(repository_->save(FileKind::Lock, text_of(other)));
  EXPECT_FALSE(may_exclude(0)) << "by the store it is fresh";
  EXPECT_TRUE(may_exclude(400)) << "who lives would have renewed it";
}

// `restic unlock` asks with a SIGHUP whether we live; who does not take it would die of it.
TEST_F(Peers, AnUnlockByResticKillsNobody_restic1450) {
  int ready[2];
  ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
  const pid_t holder = ::fork();
  if (holder == 0) {
    ::signal(SIGHUP, SIG_IGN);  // As recoverctl and the worker do before their first lock.
    const auto lock = RepositoryLock::acquire(*repository_, LockKind::Exclusive);
    if (::write(ready[1], lock ? "y" : "n", 1) == 1) ::pause();
    ::_exit(0);
  }
  char said = 'n';
  ASSERT_EQ(::read(ready[0], &said, 1), 1);
  EXPECT_EQ(said, 'y');
  EXPECT_TRUE(restic_.run("unlock")) << restic_.output;
  EXPECT_EQ(::waitpid(holder, nullptr, WNOHANG), 0) << "it lives";
  EXPECT_EQ(store_.list(FileKind::Lock)->size(), 1U) << "and so does its lock";
  ::kill(holder, SIGKILL);
  ::waitpid(holder, nullptr, 0);
  ::close(ready[0]);
  ::close(ready[1]);
}

void fill(const std::string& path) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  for (std::size_t piece = 1U << 20U; piece >= 512; piece /= 2) {
    const std::string bytes(piece, 'x');
    while (::write(file, bytes.data(), piece) == static_cast<ssize_t>(piece)) {
    }
  }
  ::close(file);
}

TEST_F(Peers, AFullDiskDoesNotBlockPrune_restic1153_restic3724) {
  const test::FullDisk disk("130M");
  if (!disk.is_mounted()) GTEST_SKIP() << test::FullDisk::kMissing;
  LocalStore store(disk / "repo");
  auto made = test::make_repository(store);
  ASSERT_TRUE(made) << made.error().message;
  const auto save = [&](std::int64_t time) {
    options_.now = {.seconds = time};
    ArchiveProgress progress;
    return archive(*made, options_, progress);
  };
  for (int i = 0; i < 10; ++i)
    test::spill(data(std::to_string(i)), noise(300'000, std::to_string(i)));
  const auto first = save(1);
  ASSERT_TRUE(first);
  for (int i = 0; i < 9; ++i) fs::remove(data(std::to_string(i)));
  const auto second = save(2);
  ASSERT_TRUE(second);
  store.keep_reserve();
  EXPECT_EQ(fs::file_size(disk / "repo/recoverd-reserve"), 8U << 20U);
  fill(disk / "ballast");
  EXPECT_FALSE(RepositoryLock::acquire(*made, LockKind::Shared)) << "there is no room for a lock";
  const auto report =
      prune_beside_others(*made, {.prune = {.unused_max = 0, .forget = {first->id}}});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_GT(report->bytes_freed, 2'000'000U);
  EXPECT_EQ(made->snapshots()->size(), 1U);
  EXPECT_EQ(test::check_all(*made), "");
  options_.now.seconds = 3;
  EXPECT_TRUE(save(3)) << "and there is room again";
}

}  // namespace
}  // namespace recover::backup
