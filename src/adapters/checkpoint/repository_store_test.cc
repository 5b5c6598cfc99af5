// The store on real files: what is taken comes back, and no link leads out.
#include "adapters/checkpoint/repository_store.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "adapters/checkpoint/store_fixture_test.h"

namespace recover::adapters::checkpoint {
namespace {

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

}  // namespace
}  // namespace recover::adapters::checkpoint
