#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "adapters/files/effectors.h"
#include "adapters/files/open_files.h"
#include "adapters/files/roots.h"
#include "adapters/files/sweep.h"
#include "test/servers/child.h"
#include "test/step_command.h"

namespace recover::adapters::files {
namespace {

namespace fs = std::filesystem;
using core::CommandOutcome;
using test::TempDir;

const Stopped kNotStopped = [] { return false; };

core::CleanFilesAction in(const std::string& root, const std::string& glob) {
  core::CleanFilesAction action;
  action.roots = {root};
  action.globs = {glob};
  return action;
}

std::vector<Candidate> found_in(const std::string& root, const core::CleanFilesAction& action) {
  return find_candidates(root, action, std::chrono::system_clock::now(), kNotStopped);
}

core::CommandFinished clean(const core::CleanFilesAction& action, bool settle = false) {
  auto [policy, command] = test::step_command(core::ActionKind::CleanFiles, action);
  command.settle = settle;
  boost::asio::io_context loop;
  boost::asio::thread_pool pool(1);
  const auto effector = make_clean_files(
      {.loop = loop, .pool = pool, .now = [] { return std::chrono::steady_clock::now(); }});
  std::vector<core::CommandFinished> ended;
  effector->perform(command, policy, [&](core::CommandFinished f) { ended.push_back(f); });
  EXPECT_TRUE(ended.empty());
  loop.run();
  pool.join();
  EXPECT_EQ(ended.size(), 1U);
  return ended.at(0);
}

void make_old(const std::string& path, int seconds) {
  const auto when = fs::file_time_type::clock::now() - std::chrono::seconds(seconds);
  fs::last_write_time(path, when);
}

TEST(Roots, SystemFoldersAreRefused) {
  for (const char* path : {"/", "/etc", "/etc/nginx", "/usr", "/usr/share", "/bin", "/lib",
                           "/lib/x86_64-linux-gnu", "/var/lib", "/var", "/proc/1", "/home"}) {
    EXPECT_TRUE(is_protected(path)) << path;
  }
  for (const char* path : {"/tmp", "/var/log", "/var/lib/app", "/etcetera", "/srv/app"}) {
    EXPECT_FALSE(is_protected(path)) << path;
  }
  EXPECT_FALSE(resolve_root("var/log"));
  EXPECT_FALSE(resolve_root("/tmp/../etc"));
  EXPECT_EQ(resolve_root("/no/such/folder").value(), "");
}

TEST(Roots, ALinkToASystemFolderIsRefused) {
  TempDir dir;
  fs::create_symlink("/etc", dir / "innocent");
  EXPECT_FALSE(resolve_root(dir / "innocent"));
  const auto ended = clean(in(dir / "innocent", "**"));
  EXPECT_EQ(ended.outcome, CommandOutcome::Refused);
}

TEST(CleanFiles, RemovesWhatMatchesAndSaysSo) {
  TempDir dir;
  dir.write("a.log", std::string(100'000, 'x'));
  dir.write("deep/b.log", std::string(100'000, 'x'));
  dir.write("keep.txt", "x");
  const auto ended = clean(in(dir.path(), "**/*.log"));
  EXPECT_EQ(ended.outcome, CommandOutcome::Done) << ended.detail;
  EXPECT_NE(ended.detail.find("in 2 files"), std::string::npos) << ended.detail;
  EXPECT_NE(ended.detail.find("KiB"), std::string::npos) << ended.detail;
  EXPECT_FALSE(fs::exists(dir / "a.log"));
  EXPECT_FALSE(fs::exists(dir / "deep/b.log"));
  EXPECT_TRUE(fs::exists(dir / "keep.txt"));
  EXPECT_EQ(clean(in(dir.path(), "**/*.log")).outcome, CommandOutcome::Refused);
}

TEST(CleanFiles, OpenAndMappedFilesStay) {
  TempDir dir;
  const std::string opened = dir.write("open.log", "x");
  const std::string mapped = dir.write("mapped.log", std::string(4096, 'x'));
  dir.write("closed.log", "x");
  const int descriptor = ::open(opened.c_str(), O_RDONLY | O_CLOEXEC);
  const int other = ::open(mapped.c_str(), O_RDONLY | O_CLOEXEC);
  void* map = ::mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE, other, 0);
  ::close(other);
  const auto ended = clean(in(dir.path(), "*.log"));
  EXPECT_EQ(ended.outcome, CommandOutcome::Done) << ended.detail;
  EXPECT_NE(ended.detail.find("2 in use"), std::string::npos) << ended.detail;
  EXPECT_TRUE(fs::exists(opened));
  EXPECT_TRUE(fs::exists(mapped));
  EXPECT_FALSE(fs::exists(dir / "closed.log"));
  ::munmap(map, 4096);
  ::close(descriptor);
}

TEST(CleanFiles, LinksOutAreNotFollowed) {
  TempDir dir;
  TempDir outside;
  const std::string precious = outside.write("precious.log", "x");
  fs::create_directory(dir / "in");
  fs::create_directory_symlink(outside.path(), dir / "in/out");
  fs::create_symlink(precious, dir / "in/link.log");
  const auto ended = clean(in(dir.path(), "**"));
  EXPECT_EQ(ended.outcome, CommandOutcome::Refused) << ended.detail;
  EXPECT_TRUE(fs::exists(precious));
  EXPECT_TRUE(fs::is_symlink(dir / "in/link.log"));
}

TEST(CleanFiles, OldestFirstUntilEnoughIsFree) {
  TempDir dir;
  for (int age = 1; age <= 4; ++age) {
    make_old(dir.write(std::to_string(age) + ".log", std::string(65'536, 'x')), age * 1000);
  }
  core::CleanFilesAction enough = in(dir.path(), "*.log");
  enough.free_target = 100'000;
  const auto ended = clean(enough);
  EXPECT_EQ(ended.outcome, CommandOutcome::Done) << ended.detail;
  EXPECT_FALSE(fs::exists(dir / "4.log"));
  EXPECT_FALSE(fs::exists(dir / "3.log"));
  EXPECT_TRUE(fs::exists(dir / "2.log"));
  EXPECT_TRUE(fs::exists(dir / "1.log"));
}

TEST(CleanFiles, AgeSizeAndCountAreBounds) {
  TempDir dir;
  make_old(dir.write("old-big", std::string(10'000, 'x')), 5000);
  make_old(dir.write("old-small", "x"), 5000);
  dir.write("new-big", std::string(10'000, 'x'));
  core::CleanFilesAction action = in(dir.path(), "*");
  action.older_than = std::chrono::seconds(1000);
  action.larger_than = 1000;
  const auto found = found_in(dir.path(), action);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].path, "old-big");
  core::CleanFilesAction one = in(dir.path(), "*");
  one.max_files = 1;
  const auto ended = clean(one);
  EXPECT_NE(ended.detail.find("in 1 file:"), std::string::npos) << ended.detail;
}

TEST(CleanFiles, AHardLinkedFileFreesNothingUntilItsLastName) {
  TempDir dir;
  const std::string name = dir.write("a.log", std::string(65'536, 'x'));
  fs::create_hard_link(name, dir / "b.log");
  const core::CleanFilesAction action = in(dir.path(), "*.log");
  const Sweep sweep = remove_files(found_in(dir.path(), action), action, {}, kNotStopped);
  EXPECT_EQ(sweep.removed, 2U);
  EXPECT_EQ(sweep.freed, 65'536U);
}

TEST(CleanFiles, AFolderSwappedForALinkMeanwhileIsNotEntered) {
  TempDir dir;
  TempDir outside;
  dir.write("sub/a.log", "x");
  const std::string precious = outside.write("a.log", "x");
  const core::CleanFilesAction action = in(dir.path(), "**/*.log");
  const auto found = found_in(dir.path(), action);
  ASSERT_EQ(found.size(), 1U);
  fs::rename(dir / "sub", dir / "moved");
  fs::create_directory_symlink(outside.path(), dir / "sub");
  EXPECT_EQ(remove_files(found, action, {}, kNotStopped).removed, 0U);
  EXPECT_TRUE(fs::exists(precious));
  EXPECT_TRUE(fs::exists(dir / "moved/a.log"));
}

TEST(CleanFiles, AFileReplacedMeanwhileStays) {
  TempDir dir;
  const std::string name = dir.write("a.log", "x");
  const core::CleanFilesAction action = in(dir.path(), "*");
  const auto found = found_in(dir.path(), action);
  dir.write("new", "y");
  fs::rename(dir / "new", name);
  EXPECT_EQ(remove_files(found, action, {}, kNotStopped).removed, 0U);
  EXPECT_TRUE(fs::exists(name));
}

TEST(CleanFiles, AnotherProcesssMappedFileStays) {
  TempDir dir;
  const std::string mapped = dir.write("mapped.so", std::string(8192, 'x'));
  const std::string running = dir / "sleeper";
  fs::copy_file("/bin/sleep", running);  // Mapped by the kernel for whoever runs it.
  test::Child runs({running, "1000"});
  test::Child holds({"python3", "-c",
                     "import mmap,sys,time\n"
                     "f = open(sys.argv[1], 'r+b')\n"
                     "m = mmap.mmap(f.fileno(), 0)\n"
                     "f.close()\n"
                     "open(sys.argv[1] + '.held', 'w').close()\n"
                     "time.sleep(1000)",
                     mapped});
  ASSERT_TRUE(test::eventually([&] { return fs::exists(mapped + ".held"); }));
  ASSERT_TRUE(test::eventually([&] {
    struct stat file {};
    ::stat(running.c_str(), &file);
    return open_files().contains({file.st_dev, file.st_ino});
  }));
  const auto ended = clean(in(dir.path(), "**"));
  EXPECT_NE(ended.detail.find("2 in use"), std::string::npos) << ended.detail;
  EXPECT_TRUE(fs::exists(mapped));
  EXPECT_TRUE(fs::exists(running));
  EXPECT_FALSE(fs::exists(mapped + ".held"));
}

TEST(CleanFiles, RefusesWhatWouldLeaveItsRoots) {
  TempDir dir;
  TempDir outside;
  const std::string precious = outside.write("a.log", "x");
  const std::string up = fs::path(outside.path()).filename().string();
  for (const std::string& glob : {"../" + up + "/*.log", "./../" + up + "/a.log", outside / "*"}) {
    EXPECT_EQ(clean(in(dir.path(), glob)).outcome, CommandOutcome::Refused) << glob;
  }
  for (const char* root : {"/", "/etc", "/usr/share", "relative", "/tmp/../etc"}) {
    EXPECT_EQ(clean(in(root, "no-such-file-*")).outcome, CommandOutcome::Refused) << root;
  }
  EXPECT_TRUE(fs::exists(precious));
}

TEST(CleanFiles, AnotherFileSystemBelowIsNotEntered) {
  TempDir dir;
  fs::create_directory(dir / "mount");
  if (test::run({"mount", "-t", "tmpfs", "none", dir / "mount"}) != 0) {
    GTEST_SKIP() << "mounting is not allowed here";
  }
  dir.write("mount/a.log", "x");
  dir.write("b.log", "x");
  const auto ended = clean(in(dir.path(), "**"));
  EXPECT_TRUE(fs::exists(dir / "mount/a.log")) << ended.detail;
  EXPECT_FALSE(fs::exists(dir / "b.log"));
  EXPECT_EQ(test::run({"umount", "-l", dir / "mount"}), 0);
}

TEST(CleanFiles, TellsTheBytesThatTheDiskGotBack) {
  TempDir dir;
  struct stat file {};
  const std::string sparse = dir.write("sparse", "");
  fs::resize_file(sparse, 100ULL << 20U);  // A hole: nothing is got back for it.
  const std::string real = dir.write("real", std::string(300'000, 'x'));
  ASSERT_EQ(::stat(real.c_str(), &file), 0);
  const auto blocks = static_cast<std::uint64_t>(file.st_blocks) * 512;
  const core::CleanFilesAction action = in(dir.path(), "*");
  const Sweep sweep = remove_files(found_in(dir.path(), action), action, {}, kNotStopped);
  EXPECT_EQ(sweep.removed, 2U);
  EXPECT_EQ(sweep.freed, blocks);
}

TEST(CleanFiles, StoppedWorkAndSettlingDeleteNothing) {
  TempDir dir;
  dir.write("a.log", "x");
  const core::CleanFilesAction action = in(dir.path(), "*");
  const Sweep sweep = remove_files(found_in(dir.path(), action), action, {}, [] { return true; });
  EXPECT_TRUE(sweep.stopped);
  EXPECT_EQ(clean(action, true).outcome, CommandOutcome::Unknown);
  EXPECT_TRUE(fs::exists(dir / "a.log"));
}

}  // namespace
}  // namespace recover::adapters::files
