// The small pieces: parsing, output, table, spawn.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "adapters/process/cgroup.h"
#include "adapters/process/mounts.h"
#include "adapters/process/notify_socket.h"
#include "adapters/process/output_log.h"
#include "adapters/process/proc_file.h"
#include "adapters/process/process.h"
#include "adapters/process/runtime_table.h"
#include "adapters/process/spawn.h"
#include "adapters/process/spawn_slots.h"
#include "test/keeper_process.h"

namespace recover::adapters::process {
namespace {

using test::Folder;

std::string contents(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

TEST(ProcStat, ReadsNamesThatLookLikeFields) {
  const auto stat =
      parse_stat("77 (a) S 1) (b) R 12 77 70 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 987654 1 1");
  ASSERT_TRUE(stat);
  EXPECT_EQ(stat->state, 'R');
  EXPECT_EQ(stat->parent, 12);
  EXPECT_EQ(stat->group, 77);
  EXPECT_EQ(stat->session, 70);
  EXPECT_EQ(stat->start_time, 987654U);
  EXPECT_FALSE(parse_stat("77 (a) S 1"));
  EXPECT_FALSE(parse_stat(""));
  EXPECT_TRUE(read_stat(::getpid()));
  EXPECT_FALSE(read_stat(0));
}

TEST(Process, RefusesAnotherIncarnationOfThePid) {
  const auto stat = read_stat(::getpid());
  ASSERT_TRUE(stat);
  EXPECT_TRUE(Process::open({.pid = ::getpid(), .start_time = stat->start_time}));
  EXPECT_FALSE(Process::open({.pid = ::getpid(), .start_time = stat->start_time + 1}));
  EXPECT_FALSE(Process::open({.pid = 0, .start_time = 1}));
}

TEST(Cgroup, FindsTheUnifiedHierarchy) {
  EXPECT_EQ(unified_path("9:name=systemd:/a\n0::/b/c\n"), "/b/c");
  EXPECT_EQ(unified_path("9:name=systemd:/a\n"), "");
  EXPECT_EQ(unified_mount("30 20 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
                          "31 20 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"),
            "/sys/fs/cgroup/unified");
}

TEST(RuntimeTable, GivesBackWhatWasSaved) {
  const Folder folder;
  RuntimeTable table(folder / "run/processes", "boot-1");
  EXPECT_TRUE(table.load().empty());
  std::vector<RuntimeRow> rows(2);
  rows[1] = {.service = "web",
             .instance = 1,
             .incarnation = {.pid = 12, .start_time = 34},
             .token = "abc",
             .output_inode = 5,
             .error_inode = 6,
             .ready = true,
             .stopping = false,
             .cgroup = "/c"};
  rows[0] = {.service = "db",
             .instance = 0,
             .incarnation = {.pid = 13, .start_time = 35},
             .token = "def",
             .output_inode = 0,
             .ready = false,
             .stopping = true,
             .cgroup = {}};
  ASSERT_TRUE(table.save(rows));
  EXPECT_EQ(table.load(), rows);
  EXPECT_EQ(table.load_memory(table.in_memory(rows)), rows);
  EXPECT_TRUE(RuntimeTable(folder / "run/processes", "boot-2").load().empty());

  ASSERT_TRUE(table.save(rows));
  rows[1].ready = false;
  ASSERT_TRUE(table.append(rows[1], false));
  ASSERT_TRUE(table.append(rows[0], true));
  EXPECT_EQ(table.load(), std::vector{rows[1]}) << "the last line of an instance counts";
}

TEST(RuntimeTable, HoldsWhatProcessesWriteThemselves) {
  const Folder folder;
  RuntimeTable table(folder / "run/processes", "boot-1");
  ASSERT_TRUE(table.save({}));
  RuntimeRow row{.service = "web", .incarnation = {}, .token = "abc", .cgroup = {}};
  const Descriptor null(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  SpawnRequest request;
  request.command = {"true"};
  request.output = null.get();
  request.record = table.record_of(row);
  const auto spawned = spawn(request);
  ASSERT_TRUE(spawned.has_value());
  row.incarnation = spawned->process.incarnation();
  EXPECT_EQ(table.load(), std::vector{row});
  while (!spawned->process.exit_status()) {
  }
  spawned->process.collect();
}

// The clone shares our table of descriptors for a moment: what it does to its own is not done to
// ours.
TEST(Spawn, LeavesOurDescriptorsAsTheyWere) {
  const auto open_ones = [] {
    std::map<std::string, std::string> found;
    for (const auto& each : std::filesystem::directory_iterator("/proc/self/fd")) {
      std::error_code gone;
      const auto where = std::filesystem::read_symlink(each.path(), gone);
      if (!gone && where.string().find("/proc/") != 0) found[each.path().filename()] = where;
    }
    return found;
  };
  reserve_spawn_slots();
  const Descriptor null(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  std::vector<Descriptor> many;
  for (int i = 0; i < 200; ++i) many.emplace_back(::fcntl(null.get(), F_DUPFD_CLOEXEC, 3));
  const auto before = open_ones();
  for (const char* const program : {"true", "/nonexistent/program"}) {
    SpawnRequest request;
    request.command = {program};
    request.output = null.get();
    const auto spawned = spawn(request);
    EXPECT_EQ(spawned.has_value(), std::string(program) == "true");
    while (spawned && !spawned->process.exit_status()) {
    }
    if (spawned) spawned->process.collect();
  }
  EXPECT_EQ(open_ones(), before);
}

TEST(Mounts, OfANetworkMayHang) {
  const auto slow = Mounts::slow_ones(
      "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/root rw\n"
      "30 22 0:26 / /net/home rw shared:9 - nfs4 host:/home rw\n"
      "31 22 0:27 / /run/user/0/doc rw shared:9 - fuse.portal portal rw\n");
  EXPECT_EQ(slow, (std::vector<std::string>{"/net/home", "/run/user/0/doc"}));
  Mounts mounts;
  EXPECT_FALSE(mounts.may_hang("/proc/self/exe"));
}

TEST(RuntimeTable, SkipsDamagedLines) {
  const std::string good = "web\t0\t1\t2\ttoken\t0\t-\t-\n";
  const std::string text = "recoverd-processes 1 b\nnonsense\nweb\t0\tx\t2\tt\t0\t-\t-\n" + good +
                           "web\t0\t1\t2\tt\t0\t-\t-\textra\nweb\t0\t1\t2";
  EXPECT_EQ(RuntimeTable::parse(text, "b").size(), 1U);
  EXPECT_TRUE(RuntimeTable::parse("", "b").empty());
}

TEST(Notification, ReadsItsLines) {
  const auto notification = parse_notification("STATUS=fine\nREADY=1\nMAINPID=1\nWATCHDOG=1");
  EXPECT_TRUE(notification.ready);
  EXPECT_TRUE(notification.watchdog);
  EXPECT_FALSE(notification.stopping);
  EXPECT_EQ(notification.status, "fine");
  EXPECT_FALSE(parse_notification("READY=10\nXREADY=1").ready);
}

TEST(OutputLog, SplitsStampsAndKeepsTheTail) {
  std::vector<std::string> lines;
  OutputLog log({}, [&](std::string_view line) { lines.emplace_back(line); });
  const Instant now{std::chrono::seconds(100)};
  log.feed("one\ntw", now);
  log.feed("o\n\nend", now);
  EXPECT_EQ(lines, (std::vector<std::string>{"one", "two", ""}));
  log.flush(now);
  EXPECT_EQ(lines.back(), "end");
  ASSERT_EQ(log.tail(2).size(), 2U);
  EXPECT_TRUE(log.tail(1)[0].ends_with("Z end"));
  for (std::size_t i = 0; i < kTailLinesMax * 2; ++i) log.feed("more\n", now);
  EXPECT_EQ(log.tail().size(), kTailLinesMax);
}

TEST(OutputLog, RotatesAndKeepsSoMany) {
  const Folder folder;
  OutputLog log({.path = folder / "deep/out.log", .rotate = 200, .keep = 2}, nullptr);
  for (int i = 0; i < 40; ++i) log.feed("line " + std::to_string(i) + "\n", Instant());
  EXPECT_LE(contents(folder / "deep/out.log").size(), 200U);
  EXPECT_NE(contents(folder / "deep/out.log").find("line 39"), std::string::npos);
  EXPECT_FALSE(contents(folder / "deep/out.log.1").empty());
  EXPECT_FALSE(contents(folder / "deep/out.log.2").empty());
  EXPECT_FALSE(std::filesystem::exists(folder / "deep/out.log.3"));
}

// What the account of a service may put in its log's place, before it was opened and after.
TEST(OutputLog, WritesToNothingButAPlainFile) {
  const Folder folder;
  const std::string victim = folder / "victim";
  std::ofstream(victim) << "as it was";
  ASSERT_EQ(::mkfifo((folder / "fifo").c_str(), 0600), 0);
  ASSERT_EQ(::symlink(victim.c_str(), (folder / "link").c_str()), 0);
  ASSERT_EQ(::link(victim.c_str(), (folder / "second").c_str()), 0);
  for (const char* name : {"fifo", "link", "second"}) {
    OutputLog log({.path = folder / name}, nullptr);
    log.feed("one\ntwo\n", Instant{});
    log.clear();
    log.feed("three\n", Instant{});
    ASSERT_EQ(log.tail().size(), 1U) << name;
    EXPECT_NE(log.tail()[0].find("three"), std::string::npos);
  }
  OutputLog log({.path = folder / "link"}, nullptr);
  log.feed("one\ntwo\n", Instant{});
  ASSERT_EQ(log.tail().size(), 3U) << "both, and once why";
  EXPECT_NE(log.tail()[1].find("nothing is written"), std::string::npos) << log.tail()[1];
  EXPECT_EQ(std::filesystem::file_size(victim), 9U);
}

TEST(OutputLog, KeepsTheLatestLines) {
  OutputLog log({}, nullptr);
  for (std::size_t i = 0; i < 2 * kTailLinesMax + 7; ++i) {
    log.feed("line " + std::to_string(i) + "\n", Instant{std::chrono::seconds(1)});
  }
  const auto tail = log.tail();
  ASSERT_EQ(tail.size(), kTailLinesMax);
  EXPECT_TRUE(tail.front().ends_with("line " + std::to_string(kTailLinesMax + 7)));
  EXPECT_TRUE(tail.back().ends_with("line " + std::to_string(2 * kTailLinesMax + 6)));
  EXPECT_EQ(log.tail(2).front(), tail[kTailLinesMax - 2]);
}

TEST(OutputLog, DropsAndCountsWhatIsTooMuch) {
  constexpr std::uint64_t kFits = 12;
  OutputLog log({.path = {}, .rate = kFits * kLineMax}, nullptr);
  const Instant now{std::chrono::seconds(100)};
  const std::string line = std::string(kLineMax - 1, 'x') + "\n";
  for (std::uint64_t i = 0; i < kFits + 10; ++i) log.feed(line, now);
  EXPECT_EQ(log.dropped(), 10U);
  log.feed("after\n", now + std::chrono::seconds(1));
  const auto tail = log.tail(2);
  EXPECT_NE(tail[0].find("10 lines dropped"), std::string::npos);
  EXPECT_TRUE(tail[1].ends_with("after"));
}

// ---- spawn

class Output {
 public:
  Output() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    reader_.reset(ends[0]);
    writer_.reset(ends[1]);
  }
  int writer() const { return writer_.get(); }
  std::string all() {
    writer_.reset();
    std::string text;
    std::array<char, 4096> block{};
    while (true) {
      const ssize_t size = ::read(reader_.get(), block.data(), block.size());
      if (size <= 0) return text;
      text.append(block.data(), static_cast<std::size_t>(size));
    }
  }

 private:
  Descriptor reader_;
  Descriptor writer_;
};

std::string output_of(SpawnRequest request) {
  Output output;
  request.output = output.writer();
  const auto spawned = spawn(request);
  if (!spawned) return "FAILED " + spawned.error().message;
  std::string text = output.all();
  while (!spawned->process.exit_status()) {
  }
  spawned->process.collect();
  return text;
}

SpawnRequest shell(const std::string& script) {
  SpawnRequest request;
  request.command = {"sh", "-c", script};
  return request;
}

TEST(Spawn, LeavesNothingOfOurs) {
  ::setenv("RECOVERD_CANARY", "secret", 1);
  const Descriptor leak(::open("/dev/null", O_RDONLY));  // Not close-on-exec.
  ::signal(SIGUSR1, SIG_IGN);
  auto request = shell(
      "env; grep SigIgn /proc/self/status; grep SigBlk /proc/self/status; umask;"
      "pwd; ls /proc/self/fd | tr '\\n' ' '");
  request.environment = {{"GIVEN", "value"}};
  request.umask = 027;
  request.working_directory = "/tmp";
  const std::string text = output_of(request);
  ::signal(SIGUSR1, SIG_DFL);
  EXPECT_EQ(text.find("RECOVERD_CANARY"), std::string::npos) << text;
  EXPECT_NE(text.find("GIVEN=value\n"), std::string::npos) << text;
  EXPECT_NE(text.find("SigIgn:\t0000000000000000\n"), std::string::npos) << text;
  EXPECT_NE(text.find("SigBlk:\t0000000000000000\n"), std::string::npos) << text;
  EXPECT_NE(text.find("\n0027\n/tmp\n"), std::string::npos) << text;
  EXPECT_TRUE(text.ends_with("\n0 1 2 3 ")) << text;  // 3 is ls reading the folder.
}

TEST(Spawn, SaysWhatCouldNotBeExecuted) {
  SpawnRequest request;
  request.command = {"/no/such/program"};
  EXPECT_EQ(output_of(request), "FAILED exec /no/such/program: No such file or directory");
  request.command = {"no-such-program"};
  EXPECT_EQ(output_of(request), "FAILED exec no-such-program: not found in PATH");
  request.command = {"true"};
  request.working_directory = "/no/such/folder";
  EXPECT_EQ(output_of(request),
            "FAILED working directory /no/such/folder: No such file or directory");
  request.user = "no-such-user";
  EXPECT_EQ(output_of(request), "FAILED no such user: no-such-user");
}

TEST(Spawn, BecomesTheUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  auto request = shell("id -un; id -gn; echo $HOME; echo through /dev/stdout > /dev/stdout");
  request.user = "nobody";
  const std::string text = output_of(request);
  EXPECT_EQ(text.substr(0, 15), "nobody\nnogroup\n") << text;
  EXPECT_NE(text.find("through /dev/stdout"), std::string::npos) << text;
}

TEST(Spawn, RunsNothingUnlessItWasRecorded) {
  const Folder folder;
  auto request = shell("touch " + (folder / "ran"));
  const Descriptor full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  request.record = {.fd = full.get(), .before = "a", .after = "b"};
  EXPECT_EQ(output_of(request), "FAILED record the process: No space left on device");
  EXPECT_FALSE(std::filesystem::exists(folder / "ran"));
}

// What the clock says is what the kernel says, also where a hundredth of a second ends in between.
TEST(Spawn, KnowsTheStartTime) {
  const Folder folder;
  const std::string path = folder / "record";
  constexpr int kSpawns = 30;
  for (int count = 0; count < kSpawns; ++count) {
    Output output;
    auto request = shell("read none");
    request.output = output.writer();
    const Descriptor record(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    request.record = {.fd = record.get(), .before = "a\t", .after = "\tb"};
    const auto spawned = spawn(request);
    ASSERT_TRUE(spawned);
    while (!spawned->process.ended()) {
    }
    const auto stat = read_stat(spawned->process.pid());
    ASSERT_TRUE(stat);
    EXPECT_EQ(spawned->process.incarnation().start_time, stat->start_time);
    EXPECT_EQ(read_small_file(path), "a\t" + std::to_string(spawned->process.pid()) + "\t" +
                                         std::to_string(stat->start_time) + "\tb");
    spawned->process.collect();
  }
}

TEST(Spawn, LimitsOpenFiles) {
  auto request = shell("ulimit -n");
  EXPECT_EQ(output_of(request), "1024\n");
  request.files = 77;
  EXPECT_EQ(output_of(request), "77\n");
}

TEST(CgroupLeaf, KillsItsWholeTree) {
  const auto folder = CgroupFolder::open("pieces-test-" + std::to_string(::getpid()));
  if (!folder) GTEST_SKIP() << "no writable cgroup v2";
  const auto leaf = folder->leaf("a@1");
  ASSERT_TRUE(leaf);
  Output output;
  auto request = shell("setsid sh -c 'trap \"\" TERM; echo up; sleep 1000' & wait");
  request.leaf = *leaf;
  request.output = output.writer();
  const auto spawned = spawn(request);
  ASSERT_TRUE(spawned);
  EXPECT_TRUE(spawned->in_leaf);
  EXPECT_TRUE(leaf->populated());
  EXPECT_TRUE(leaf->kill());
  EXPECT_NE(output.all().find("up"), 0xFFFFU);  // Ends only when every writer is gone.
  while (!spawned->process.exit_status()) {
  }
  spawned->process.collect();
  while (leaf->populated()) {
  }
  leaf->remove();
  EXPECT_FALSE(leaf->exists());
  ::rmdir(folder->path().c_str());
}

}  // namespace
}  // namespace recover::adapters::process
