// The store on real files: what is taken comes back, damage is found before anything is touched, no
// link leads out, and a kill -9 at any point leaves it usable.
#include "adapters/checkpoint/file_checkpoint_store.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <recover/random.h>

#include "test/temp_folder.h"

namespace recover::adapters::checkpoint {
namespace {

namespace fs = std::filesystem;
using ports::CheckpointFault;
using ports::CheckpointInfo;
using ports::RestoreReport;
using ports::TakenCheckpoint;

void write(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
}
std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// Kind, mode, owner, target and content of everything below a folder.
std::map<std::string, std::string> picture(const fs::path& top) {
  std::map<std::string, std::string> seen;
  const auto add = [&](const fs::path& path) {
    struct stat status {};
    ASSERT_EQ(::lstat(path.c_str(), &status), 0) << path;
    std::string text = std::to_string(status.st_mode) + " " + std::to_string(status.st_uid) + ":" +
                       std::to_string(status.st_gid) + " ";
    if (S_ISLNK(status.st_mode)) text += fs::read_symlink(path).string();
    if (S_ISREG(status.st_mode)) text += read(path);
    seen[fs::relative(path.parent_path(), top).string() + "/" + path.filename().string()] = text;
  };
  add(top);
  for (const auto& entry : fs::recursive_directory_iterator(top)) add(entry.path());
  return seen;
}

class CheckpointStoreTest : public ::testing::Test {
 protected:
  CheckpointStoreTest() {
    reopen();
    write(state_ / "nginx.conf", "good");
    write(state_ / "sites/a.conf", "site a");
    write(state_ / "sites/empty", "");
    fs::create_directories(state_ / "void");
    fs::create_symlink("sites/a.conf", state_ / "current");
    fs::create_symlink("/nowhere/at/all", state_ / "dangling");
    ::chmod((state_ / "nginx.conf").c_str(), 04640);
    ::chmod((state_ / "void").c_str(), 01750);
    if (::geteuid() == 0) {
      EXPECT_EQ(::chown((state_ / "sites/a.conf").c_str(), 12, 34), 0);
    }
    const timespec times[2] = {{.tv_sec = 1'000, .tv_nsec = 5}, {.tv_sec = 1'000, .tv_nsec = 5}};
    ::utimensat(AT_FDCWD, (state_ / "nginx.conf").c_str(), times, 0);
  }

  void reopen() {
    store_.reset();
    auto opened = FileCheckpointStore::open(folder_ / "checkpoints");
    ASSERT_TRUE(opened) << opened.error().message;
    store_ = std::move(*opened);
  }
  TakenCheckpoint take(const std::string& name = "", std::vector<std::string> paths = {}) {
    if (paths.empty()) paths = {state_};
    auto taken = store_->take({.service = "web", .name = name, .paths = std::move(paths)});
    EXPECT_TRUE(taken) << taken.error().message;
    return taken ? *taken : TakenCheckpoint{};
  }
  RestoreReport restore(const std::string& checkpoint, std::vector<std::string> paths = {},
                        bool dry_run = false) {
    auto report = store_->restore({.service = "web",
                                   .checkpoint = checkpoint,
                                   .paths = std::move(paths),
                                   .dry_run = dry_run});
    EXPECT_TRUE(report) << report.error().message;
    return report ? *report : RestoreReport{};
  }
  fs::path object_of(const std::string& content) {
    Sha256 sha;
    sha.add(content);
    const std::string hex = sha.hex();
    return fs::path(folder_.path()) / "checkpoints/objects" / hex.substr(0, 2) / hex.substr(2);
  }

  test::TempFolder folder_{test::TempFolder::memory()};
  const fs::path state_ = fs::path(folder_.path()) / "srv/conf";
  std::unique_ptr<FileCheckpointStore> store_;
};

TEST_F(CheckpointStoreTest, BringsEverythingBack) {
  const auto before = picture(state_);
  const auto taken = take("last-good");
  EXPECT_TRUE(taken.new_state);
  EXPECT_EQ(taken.files, 3U);
  EXPECT_EQ(taken.bytes, 10U);

  write(state_ / "nginx.conf", "broken!");
  fs::remove(state_ / "sites/a.conf");
  fs::remove(state_ / "current");
  fs::create_symlink("elsewhere", state_ / "current");
  fs::remove(state_ / "dangling");
  fs::remove(state_ / "void");
  write(state_ / "void", "a file now");
  fs::remove(state_ / "sites/empty");
  fs::create_directories(state_ / "sites/empty/deep/er");
  write(state_ / "new/deep/file", "x");
  write(state_ / ".recoverd-restore-0123456789abcdef", "left by a crash");
  EXPECT_NE(picture(state_), before);

  const auto planned = restore("last-good", {}, true);
  EXPECT_NE(picture(state_), before) << "a dry run changes nothing";
  const auto report = restore("last-good");
  EXPECT_EQ(picture(state_), before);
  EXPECT_EQ(report.id, taken.id);
  EXPECT_FALSE(report.written.empty());
  EXPECT_EQ(planned.removed, report.removed);
  EXPECT_EQ(report.removed.back(), (state_ / "new").string());
  struct stat status {};
  ASSERT_EQ(::stat((state_ / "nginx.conf").c_str(), &status), 0);
  EXPECT_EQ(status.st_mtim.tv_sec, 1'000);
  EXPECT_EQ(status.st_mtim.tv_nsec, 5);

  const auto again = restore("last-good");
  EXPECT_TRUE(again.written.empty()) << again.written.front();
  EXPECT_TRUE(again.removed.empty());
}

TEST_F(CheckpointStoreTest, BringsAWholeFolderBack) {
  const auto before = picture(state_);
  const auto taken = take();
  fs::remove_all(state_.parent_path());
  restore(taken.id);
  EXPECT_EQ(picture(state_), before);
  fs::remove_all(state_);
  write(state_, "a file where the folder was");
  restore(taken.id.substr(0, kIdPrefixMin));
  EXPECT_EQ(picture(state_), before);
}

TEST_F(CheckpointStoreTest, OnlyThePathsAskedFor) {
  take("a");
  write(state_ / "nginx.conf", "broken");
  write(state_ / "sites/a.conf", "broken");
  write(state_ / "sites/b.conf", "new");
  write(state_ / "c.conf", "new");
  const auto report = restore("a", {state_ / "sites"});
  EXPECT_EQ(read(state_ / "sites/a.conf"), "site a");
  EXPECT_FALSE(fs::exists(state_ / "sites/b.conf"));
  EXPECT_EQ(read(state_ / "nginx.conf"), "broken");
  EXPECT_TRUE(fs::exists(state_ / "c.conf"));
  EXPECT_EQ(store_->restore({.service = "web", .checkpoint = "a", .paths = {"/etc"}}).error().fault,
            CheckpointFault::NotFound);
  EXPECT_EQ(store_->restore({.service = "web", .checkpoint = "b"}).error().fault,
            CheckpointFault::NotFound);
}

TEST_F(CheckpointStoreTest, TheSameStateIsTheSameCheckpoint) {
  const auto first = take("a");
  const auto second = take("b");
  EXPECT_FALSE(second.new_state);
  EXPECT_EQ(second.id, first.id);
  EXPECT_EQ(second.bytes_stored, 0U);
  ::chmod((state_ / "sites/a.conf").c_str(), 0600);
  EXPECT_NE(take().id, first.id) << "the mode is state";
  const auto all = store_->list("web").value();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[1].names, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(all[1].files, 3U);
  EXPECT_TRUE(store_->list("other").value().empty());
}

TEST_F(CheckpointStoreTest, ShowsFilesAndFacts) {
  auto taken = store_->take(
      {.service = "web", .name = "x", .paths = {state_}, .facts = {{"pid", "12"}, {"v", "ü\n"}}});
  const auto shown = store_->show("web", "x").value();
  EXPECT_EQ(shown.info.facts, (ports::CheckpointFacts{{"pid", "12"}, {"v", "ü\n"}}));
  EXPECT_EQ(shown.info.names, std::vector<std::string>{"x"});
  ASSERT_EQ(shown.files.size(), 8U);
  EXPECT_EQ(shown.files[0].path, state_);
  EXPECT_EQ(shown.files[0].kind, ports::FileKind::Directory);
}

TEST_F(CheckpointStoreTest, StrangeNamesAreKept) {
  const std::string odd = "odd \xff\n\"name";
  write(state_ / odd, "odd");
  ASSERT_TRUE(store_->take({.service = "../we/b", .name = "../../x%", .paths = {state_}}));
  write(state_ / odd, "changed");
  ASSERT_TRUE(store_->restore({.service = "../we/b", .checkpoint = "../../x%"}));
  EXPECT_EQ(read(state_ / odd), "odd");
  EXPECT_FALSE(fs::exists(fs::path(folder_.path()) / "x%"));
  EXPECT_FALSE(store_->take({.service = "", .paths = {state_}}));
  EXPECT_FALSE(store_->take({.service = "web", .paths = {"relative"}}));
  EXPECT_FALSE(store_->take({.service = "web", .paths = {"/"}}));
  EXPECT_FALSE(store_->take({.service = "web", .paths = {"/etc/.."}}));
}

TEST_F(CheckpointStoreTest, APathThatWasAbsentIsAbsentAgain) {
  const std::string single = state_.parent_path() / "override.conf";
  const auto taken = take("", {single, state_ / "nginx.conf"});
  write(single, "a deploy added this");
  write(state_ / "nginx.conf", "bad");
  EXPECT_EQ(restore(taken.id).removed, std::vector<std::string>{single});
  EXPECT_FALSE(fs::exists(single));
  EXPECT_EQ(read(state_ / "nginx.conf"), "good");
  fs::create_directory(single);
  write(fs::path(single) / "data", "not ours");
  EXPECT_EQ(restore(taken.id).left, std::vector<std::string>{single});
  EXPECT_TRUE(fs::exists(fs::path(single) / "data"));
}

TEST_F(CheckpointStoreTest, ADamagedObjectIsFoundBeforeAnythingIsTouched) {
  take("a");
  write(state_ / "nginx.conf", "broken");
  write(state_ / "sites/a.conf", "broken");
  write(object_of("site a"), "rotten");
  const auto before = picture(state_);
  const auto report = store_->restore({.service = "web", .checkpoint = "a"});
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().fault, CheckpointFault::Corrupt);
  EXPECT_EQ(report.error().path, state_ / "sites/a.conf");
  EXPECT_NE(report.error().message.find("a.conf"), std::string::npos);
  EXPECT_FALSE(report.error().touched);
  EXPECT_EQ(picture(state_), before);
  fs::remove(object_of("site a"));
  EXPECT_EQ(store_->restore({.service = "web", .checkpoint = "a"}).error().fault,
            CheckpointFault::Corrupt);
  EXPECT_TRUE(
      store_->restore({.service = "web", .checkpoint = "a", .paths = {state_ / "nginx.conf"}}));
  EXPECT_EQ(read(state_ / "nginx.conf"), "good");
}

TEST_F(CheckpointStoreTest, EachByteOfAManifestCounts) {
  const auto taken = take("a");
  const fs::path path =
      fs::path(folder_.path()) / "checkpoints/services/web" / (taken.id + ".json");
  const std::string whole = read(path);
  for (std::size_t i = 0; i < whole.size(); i += 7) {
    std::string bad = whole;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    write(path, bad);
    ASSERT_EQ(store_->show("web", "a").error().fault, CheckpointFault::Corrupt) << i;
    write(path, whole.substr(0, i));
    ASSERT_EQ(store_->show("web", "a").error().fault, CheckpointFault::Corrupt) << i;
  }
  EXPECT_TRUE(store_->list("web").value().empty());
  EXPECT_TRUE(take("a").new_state) << "taking it again mends it";
  EXPECT_TRUE(store_->show("web", "a"));
}

TEST_F(CheckpointStoreTest, ALinkInPlaceOfAFolderDoesNotLeadOut) {
  take("a");
  const fs::path outside = fs::path(folder_.path()) / "outside";
  write(outside / "a.conf", "not ours");
  write(outside / "other", "not ours");
  const auto before = picture(outside);
  fs::remove_all(state_ / "sites");
  fs::create_directory_symlink(outside, state_ / "sites");
  restore("a");
  EXPECT_EQ(picture(outside), before);
  EXPECT_FALSE(fs::is_symlink(state_ / "sites"));
  EXPECT_EQ(read(state_ / "sites/a.conf"), "site a");

  fs::remove_all(state_);
  fs::create_directory_symlink(outside, state_);
  restore("a");
  EXPECT_EQ(picture(outside), before);
  EXPECT_FALSE(fs::is_symlink(state_));
  EXPECT_EQ(read(state_ / "nginx.conf"), "good");

  fs::create_directory_symlink(outside, state_ / "extra");
  restore("a");
  EXPECT_EQ(picture(outside), before) << "a link that is too many is removed, not what it names";
}

TEST_F(CheckpointStoreTest, AFileSharedWithALinkElsewhereIsReplacedNotChanged) {
  take("a");
  const fs::path outside = fs::path(folder_.path()) / "outside";
  write(outside, "good");
  ::chmod(outside.c_str(), 0600);
  fs::remove(state_ / "nginx.conf");
  fs::create_hard_link(outside, state_ / "nginx.conf");
  restore("a");
  struct stat status {};
  ASSERT_EQ(::stat(outside.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0600U);
}

TEST_F(CheckpointStoreTest, SocketsAndItsOwnFolderAreLeftOut) {
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = state_ / "api.sock";
  ASSERT_LT(path.size(), sizeof(address.sun_path));
  std::copy(path.begin(), path.end(), address.sun_path);
  ASSERT_EQ(::bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ::close(socket);
  const auto taken = take("", {folder_.path()});
  const auto shown = store_->show("web", taken.id).value();
  EXPECT_EQ(shown.not_held, (std::vector<std::string>{folder_ / "checkpoints", path}));
  restore(taken.id);
  EXPECT_TRUE(fs::exists(path));
  EXPECT_TRUE(store_->show("web", taken.id)) << "and the store survived";
}

TEST_F(CheckpointStoreTest, PruningKeepsTheNewestTheNamedAndTheUsed) {
  std::vector<std::string> ids;
  for (int i = 0; i < 8; ++i) {
    write(state_ / "nginx.conf", "version " + std::to_string(i));
    const char* const names[] = {"last-good", "recovery-7", "mine", "", "", "", "", ""};
    ids.push_back(take(names[i]).id);
  }
  const auto removed = store_->prune({.service = "web", .keep = 2, .in_use = {ids[4]}}).value();
  EXPECT_EQ(removed, (std::vector<std::string>{ids[5], ids[3], ids[1]}));
  EXPECT_FALSE(fs::exists(object_of("version 5")));
  for (const int kept : {0, 2, 4, 6, 7}) {
    restore(ids.at(static_cast<std::size_t>(kept)));
    EXPECT_EQ(read(state_ / "nginx.conf"), "version " + std::to_string(kept));
  }
  EXPECT_FALSE(store_->show("web", "recovery-7"));
  EXPECT_TRUE(store_->prune({.service = "web", .keep = 2, .in_use = {ids[4]}}).value().empty());
  EXPECT_TRUE(store_->prune({.service = "none", .keep = 0}).value().empty());
}

TEST_F(CheckpointStoreTest, GivesUpWhenToldTo) {
  take("a");
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(
      store_->take({.service = "web", .paths = {state_}, .limits = {.stop = stop.get_token()}})
          .error()
          .fault,
      CheckpointFault::Cancelled);
  EXPECT_EQ(store_
                ->restore({.service = "web",
                           .checkpoint = "a",
                           .limits = {.deadline = SteadyClock::instance().now()}})
                .error()
                .fault,
            CheckpointFault::Cancelled);
}

// ---- kill -9 ---------------------------------------------------------------------------------

int rounds() {
  const char* const wanted = std::getenv("RECOVER_CRASH_ROUNDS");
  return wanted == nullptr ? 15 : std::atoi(wanted);  // make soak: 200.
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
          auto store = FileCheckpointStore::open(folder_ / "checkpoints");
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
      restore(info.id);
      for (const std::string& name : info.names) ASSERT_EQ(name, "latest");
    }
    if (!said.empty()) {
      restore("latest");
      const char found = read(state_ / "nginx.conf").at(0);
      const char next = static_cast<char>('a' + (said.back() - 'a' + 1) % 26);
      ASSERT_TRUE(found == said.back() || found == next) << found << " after " << said;
      ASSERT_EQ(read(state_ / "nginx.conf"), std::string(50'000, found));
    }
    ASSERT_TRUE(fs::is_empty(fs::path(folder_.path()) / "checkpoints/tmp"));
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
      auto store = FileCheckpointStore::open(folder_ / "checkpoints");
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
