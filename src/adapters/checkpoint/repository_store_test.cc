// The store on real files: what is taken comes back, damage is found before anything is touched, no
// link leads out, and a kill -9 at any point leaves it usable.
#include "adapters/checkpoint/repository_store.h"

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

#include "test/backup/full_disk.h"
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
    auto opened = RepositoryStore::open(
        {.root = folder_ / "checkpoints", .worker = BACKUP_WORKER, .clock_step = {}});
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
  // Every pack of the repository is overwritten in its middle: files' contents, not what is known
  // of them, for trees are in packs of their own.
  std::vector<fs::path> packs() {
    std::vector<fs::path> found;
    for (const auto& file :
         fs::recursive_directory_iterator(folder_ / "checkpoints/repository/data")) {
      if (file.is_regular_file()) found.push_back(file.path());
    }
    return found;
  }
  bool restic(const std::string& arguments) {
    const std::string root = folder_ / "checkpoints";
    const std::string command = "restic --no-cache -r " + root + "/repository --password-file " +
                                root + "/password " + arguments + " >" + (folder_ / "restic.log") +
                                " 2>&1";
    const bool good = std::system(command.c_str()) == 0;
    if (!good) std::system(("cat " + (folder_ / "restic.log")).c_str());
    return good;
  }

  test::TempFolder folder_{test::TempFolder::memory()};
  const fs::path state_ = fs::path(folder_.path()) / "srv/conf";
  std::unique_ptr<RepositoryStore> store_;
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

TEST_F(CheckpointStoreTest, ADamagedPackIsFoundBeforeAnythingIsTouched) {
  take("good");
  const std::vector<fs::path> old_packs = packs();
  for (const char* const name : {"nginx.conf", "sites/a.conf", "sites/empty"}) {
    write(state_ / name, std::string("later ") + name);
  }
  take("later");
  for (const char* const name : {"nginx.conf", "sites/a.conf", "sites/empty"}) {
    write(state_ / name, "broken");
  }
  const auto before = picture(state_);
  std::string named;
  for (const fs::path& pack : packs()) {
    if (std::find(old_packs.begin(), old_packs.end(), pack) != old_packs.end()) continue;
    fs::permissions(pack, fs::perms::owner_all);
    std::string bytes = read(pack);
    bytes.at(20) = static_cast<char>(bytes.at(20) ^ 1);
    write(pack, bytes);
    const auto report = store_->restore({.service = "web", .checkpoint = "later"});
    ASSERT_FALSE(report);
    EXPECT_EQ(report.error().fault, CheckpointFault::Corrupt) << report.error().message;
    EXPECT_FALSE(report.error().touched);
    EXPECT_EQ(picture(state_), before);
    named += report.error().path;
    bytes.at(20) = static_cast<char>(bytes.at(20) ^ 1);
    write(pack, bytes);
  }
  EXPECT_TRUE(named.starts_with(state_.string())) << "the file that cannot be restored: " << named;
  for (const fs::path& pack : packs()) {
    if (std::find(old_packs.begin(), old_packs.end(), pack) == old_packs.end()) fs::remove(pack);
  }
  EXPECT_EQ(store_->restore({.service = "web", .checkpoint = "later"}).error().fault,
            CheckpointFault::Corrupt);
  EXPECT_EQ(picture(state_), before) << "nothing else is restored in its place unasked";
  restore("good");
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
  store_->settle();
  EXPECT_TRUE(restic("check --read-data"));
  for (const int kept : {0, 2, 4, 6, 7}) {
    restore(ids.at(static_cast<std::size_t>(kept)));
    EXPECT_EQ(read(state_ / "nginx.conf"), "version " + std::to_string(kept));
  }
  EXPECT_FALSE(store_->show("web", "recovery-7"));
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

TEST_F(CheckpointStoreTest, ARestoreCanBeUndone) {
  take("good");
  write(state_ / "nginx.conf", "what somebody worked on");
  write(state_ / "new", "and this");
  const auto before = picture(state_);
  const auto report = restore("good");
  EXPECT_FALSE(report.undo.empty()) << report.no_undo;
  EXPECT_FALSE(fs::exists(state_ / "new"));
  EXPECT_EQ(store_->show("web", ports::kBeforeRestore).value().info.id, report.undo);
  restore(report.undo);
  EXPECT_EQ(picture(state_), before);
}

TEST_F(CheckpointStoreTest, AnUnchangedStateIsKnownByItsTimesOfChange) {
  const auto first = take("a");
  auto blind = RepositoryStore::open(
      {.root = folder_ / "checkpoints", .worker = "/bin/false", .clock_step = {}});
  const auto again = (*blind)->take({.service = "web", .name = "b", .paths = {state_}});
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->id, first.id);
  EXPECT_FALSE(again->new_state);
  EXPECT_EQ(again->files, 3U);
  write(state_ / "nginx.conf", "goad");  // As long as before.
  const auto changed = (*blind)->take({.service = "web", .paths = {state_}});
  ASSERT_FALSE(changed) << "that needs the worker";
  EXPECT_EQ(changed.error().fault, CheckpointFault::Io);
}

TEST_F(CheckpointStoreTest, ResticReadsIt) {
  const auto taken = take("a");
  write(state_ / "nginx.conf", std::string(3'000'000, 'x') + "y");
  take("b");
  EXPECT_TRUE(restic("check --read-data"));
  EXPECT_TRUE(restic("restore --tag service:web latest --target " + (folder_ / "out")));
  EXPECT_EQ(picture(folder_ / "out" + state_.string()), picture(state_));
  EXPECT_EQ(store_->show("web", taken.id).value().files.size(), 8U);
  struct stat status {};
  ASSERT_EQ(::stat((folder_ / "checkpoints/password").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
}

TEST_F(CheckpointStoreTest, VersionsAreOnePerChange) {
  std::vector<std::string> ids;
  for (const char* const text : {"one", "two", "two", "one"}) {
    write(state_ / "nginx.conf", text);
    auto taken = store_->take({.service = "@configuration", .paths = {state_}, .versioned = true});
    ASSERT_TRUE(taken) << taken.error().message;
    ids.push_back(taken->id);
  }
  EXPECT_EQ(ids[1], ids[2]);
  EXPECT_NE(ids[0], ids[3]);
  EXPECT_EQ(store_->list("@configuration").value().size(), 3U);
  const auto text = store_->difference("@configuration", ids[0], ids[1]);
  ASSERT_TRUE(text) << text.error().message;
  EXPECT_NE(text->find("-one\n\\ No newline at end of file\n+two\n"), std::string::npos) << *text;
}

// As recoverd 0.1 kept it.
TEST_F(CheckpointStoreTest, WhatAnEarlierRecoverdKeptIsTakenOver) {
  const auto sha = [](const std::string& text) {
    Sha256 digest;
    digest.add(text);
    return digest.hex();
  };
  const fs::path root = fs::path(folder_.path()) / "checkpoints";
  const std::string content = sha("kept");
  write(root / "objects" / content.substr(0, 2) / content.substr(2), "kept");
  const std::string id(32, 'a');
  const auto manifest = [&](const std::string& name, const std::string& digest) {
    const std::string folder = R"({"path":")" + state_.string() +
                               R"(","kind":"directory","mode":493,"uid":0,"gid":0,"mtime_ns":5})";
    const std::string file =
        R"({"path":")" + (state_ / "nginx.conf").string() +
        R"(","kind":"file","mode":416,"uid":0,"gid":0,"mtime_ns":7,"size":4,)" + R"("sha256":")" +
        digest + R"("})";
    const std::string text = R"({"format":1,"id":")" + name +
                             R"(","service":"web","wall_ns":1234567890,"paths":[")" +
                             state_.string() + R"("],"facts":[["pid","7"]],"files":[)" + folder +
                             "," + file + R"(],"not_held":[]})";
    write(root / "services/web" / (name + ".json"), text + "\nsha256:" + sha(text) + "\n");
  };
  manifest(id, content);
  manifest(std::string(32, 'b'), sha("lost"));
  write(root / "services/web/names/last-good", id);
  reopen();
  const auto report = restore("last-good");
  EXPECT_EQ(report.id, id);
  EXPECT_EQ(read(state_ / "nginx.conf"), "kept");
  EXPECT_FALSE(fs::exists(state_ / "sites"));
  const auto shown = store_->show("web", id).value();
  EXPECT_EQ(shown.info.wall_ns, 1'234'567'890);
  EXPECT_EQ(shown.info.facts.at(0).second, "7");
  EXPECT_FALSE(fs::exists(root / "objects"));
  EXPECT_TRUE(fs::exists(root / "objects.damaged")) << "what is damaged is not thrown away";
  EXPECT_TRUE(fs::exists(root / "services/web" / (std::string(32, 'b') + ".json.damaged")));
  EXPECT_TRUE(restic("check --read-data"));
}

TEST_F(CheckpointStoreTest, AFullDiskLeavesOldCheckpointsGood) {
  const test::FullDisk disk("1m");
  if (!disk.is_mounted()) GTEST_SKIP() << test::FullDisk::kMissing;
  store_ = std::move(*RepositoryStore::open(
      {.root = disk / "checkpoints", .worker = BACKUP_WORKER, .clock_step = {}}));
  take("good");
  std::string noise;
  Random random(3);
  while (noise.size() < (3U << 20U)) noise.push_back(static_cast<char>(random.next()));
  write(state_ / "nginx.conf", noise);
  const auto failed = store_->take({.service = "web", .paths = {state_}});
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().fault, CheckpointFault::Io);
  EXPECT_NE(failed.error().message.find("No space left"), std::string::npos)
      << failed.error().message;
  const auto report = restore("good");
  EXPECT_EQ(read(state_ / "nginx.conf"), "good");
  EXPECT_NE(report.no_undo.find("No space left"), std::string::npos) << report.no_undo;
}

// ---- kill -9 ---------------------------------------------------------------------------------

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
