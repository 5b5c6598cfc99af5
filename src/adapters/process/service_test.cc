// What a service is executed with, told and given: real processes of a real supervisor.
#include <arpa/inet.h>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <thread>
#include <utility>
#include <variant>

#include "adapters/process/attributes.h"
#include "adapters/process/proc_file.h"
#include "adapters/process/spawn.h"
#include "adapters/process/supervisor.h"
#include "adapters/process/system_call_filter.h"
#include "test/keeper_process.h"

namespace recover::adapters::process {
namespace {

using core::ActionKind;
using core::CommandOutcome;
using core::ServiceIndex;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kSpeakVariable = "RECOVERD_TEST_SPEAK";

// This executable is its own test service: "text|text|…" is sent to NOTIFY_SOCKET, one datagram
// each, "@" with a descriptor; then it sleeps.
__attribute__((constructor)) void speak() {
  const char* const texts = std::getenv(kSpeakVariable);
  const char* const path = std::getenv("NOTIFY_SOCKET");
  if (texts == nullptr || path == nullptr) return;
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  std::memcpy(&name.sun_path[1], path + 1, std::strlen(path) - 1);
  std::string rest = texts;
  while (!rest.empty()) {
    std::string text = rest.substr(0, rest.find('|'));
    rest.erase(0, std::min(text.size() + 1, rest.size()));
    const bool attach = text.front() == '@';
    if (attach) text.erase(0, 1);
    iovec body{.iov_base = text.data(), .iov_len = text.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr header{};
    header.msg_name = &name;
    header.msg_namelen =
        static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + std::strlen(path));
    header.msg_iov = &body;
    header.msg_iovlen = 1;
    if (attach) {
      const int memory = ::open("/dev/null", O_RDWR | O_CLOEXEC);
      header.msg_control = control.data();
      header.msg_controllen = control.size();
      cmsghdr* const part = CMSG_FIRSTHDR(&header);
      part->cmsg_level = SOL_SOCKET;
      part->cmsg_type = SCM_RIGHTS;
      part->cmsg_len = CMSG_LEN(sizeof(int));
      std::memcpy(CMSG_DATA(part), &memory, sizeof memory);
    }
    ::sendmsg(fd, &header, 0);
  }
  while (true) ::pause();
}

class ServiceTest : public testing::TestWithParam<bool> {
 protected:
  ServiceTest() {
    policy_.services.resize(1);
    policy_.services[0].name = "one";
    policy_.services[0].spec = core::RunSpec{};
    script("exec sleep 1000");
  }
  ~ServiceTest() override {
    if (!supervisor_) return;
    bool stopped = false;
    supervisor_->stop_all(seconds(0), [&] { stopped = true; });
    run_until([&] { return stopped; });
  }

  core::RunSpec& spec() { return std::get<core::RunSpec>(policy_.services[0].spec); }
  void script(const std::string& text) { spec().command = {"sh", "-c", text}; }
  void speak_as(const std::string& texts) {
    spec().command = {"/proc/self/exe"};
    spec().environment = {{kSpeakVariable, base::Secret(texts)}};
    spec().ready.notify = true;
  }
  Supervisor& supervisor() {
    if (!supervisor_) {
      SupervisorOptions options{.state_dir = folder_.path(), .cgroups = GetParam()};
      options.health_check = health_check_;
      supervisor_ = std::make_unique<Supervisor>(
          loop_, std::move(options),
          [this](core::Event event) { events_.push_back(std::move(event)); });
      supervisor_->watch(policy_);
    }
    return *supervisor_;
  }
  template <class Condition>
  bool run_until(Condition condition) {
    const auto until = std::chrono::steady_clock::now() + milliseconds(test::kPatienceMillis);
    while (!condition() && std::chrono::steady_clock::now() < until) {
      loop_.restart();
      loop_.run_one_for(milliseconds(100));
    }
    return condition();
  }
  core::CommandFinished perform(ActionKind action, const std::string& text = "",
                                std::vector<std::uint32_t> held = {}) {
    std::optional<core::CommandFinished> finished;
    core::Command command;
    command.id = core::CommandId{++commands_};
    command.service = ServiceIndex{0};
    command.action = action;
    command.text = text;
    command.held = std::move(held);
    supervisor().perform(command, policy_,
                         [&](core::CommandFinished result) { finished = std::move(result); });
    EXPECT_TRUE(run_until([&] { return finished.has_value(); }));
    return finished.value_or(core::CommandFinished{});
  }
  // Starts, waits until it printed "end", gives everything it printed, and stops it.
  std::string output_of_start() {
    const auto finished = perform(ActionKind::Start);
    if (finished.outcome != CommandOutcome::Done) return "FAILED " + finished.detail;
    EXPECT_TRUE(run_until([&] { return output().find("end") != std::string::npos; })) << output();
    const std::string text = output();
    perform(ActionKind::Stop);
    return text;
  }
  std::string output() {
    std::string text;
    for (const std::string& line : supervisor().tail(ServiceIndex{0}, 0)) {
      text += line.substr(line.find(' ') + 1) + "\n";
    }
    return text;
  }
  template <class Event>
  std::vector<Event> seen() const {
    std::vector<Event> found;
    for (const core::Event& event : events_) {
      if (const auto* match = std::get_if<Event>(&event)) found.push_back(*match);
    }
    return found;
  }
  std::vector<InstanceView> views() { return supervisor().instances(ServiceIndex{0}); }
  std::uint32_t running() {
    std::uint32_t count = 0;
    for (const InstanceView& view : views()) count += view.running ? 1U : 0U;
    return count;
  }

  const test::Folder folder_;
  core::Policy policy_;
  boost::asio::io_context loop_{1};
  std::vector<core::Event> events_;
  std::uint64_t commands_ = 0;
  std::function<std::function<bool()>(ServiceIndex)> health_check_;
  std::unique_ptr<Supervisor> supervisor_;
};

INSTANTIATE_TEST_SUITE_P(, ServiceTest, testing::Bool(),
                         [](const auto& param) { return param.param ? "Cgroup" : "NoCgroup"; });

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}
bool is_root() {
  return ::geteuid() == 0;
}
bool has_capability(unsigned long number) {
  return is_root() && ::prctl(PR_CAPBSET_READ, number, 0, 0, 0) == 1;
}

// ---- attributes

TEST_P(ServiceTest, SetsLimitsAndShares) {
  script(
      "ulimit -c; ulimit -S -n; ulimit -H -n; nice; grep Cpus_allowed_list /proc/self/status;"
      "cat /proc/self/oom_score_adj; cut -d' ' -f41 /proc/self/stat; umask; echo end; sleep 1000");
  spec().execution.rlimits = {{"core", 0, 0}, {"nofile", 100, 200}};
  spec().execution.nice = 7;
  spec().execution.cpus = {0};
  spec().execution.oom_score_adj = 500;
  spec().execution.scheduling = core::SchedulingPolicy{.policy = core::CpuScheduler::Batch};
  spec().umask = 027;
  EXPECT_EQ(output_of_start(), "0\n100\n200\n7\nCpus_allowed_list:\t0\n500\n3\n0027\nend\n");
}

TEST_P(ServiceTest, SetsTheTurnAtTheDisks) {
  script("ionice -p $$; echo end; sleep 1000");
  spec().execution.ionice = core::IoPriority{.io_class = core::IoClass::Idle, .priority = 0};
  EXPECT_EQ(output_of_start(), "idle\nend\n");
}

TEST_P(ServiceTest, BecomesTheUserWithTheGroupsAsked) {
  if (!is_root()) GTEST_SKIP() << "to become somebody else needs root";
  script("id -u; id -G; echo end; sleep 1000");
  spec().user = "nobody";
  spec().execution.supplementary_groups = std::vector<std::string>{"daemon", "adm"};
  EXPECT_EQ(output_of_start(), "65534\n65534 1 4\nend\n");
}

TEST_P(ServiceTest, BoundsCapabilitiesAndGrantsAmbientOnes) {
  if (!has_capability(CAP_SETPCAP)) GTEST_SKIP() << "no CAP_SETPCAP here";
  script("grep -E '^Cap(Eff|Bnd|Amb)' /proc/self/status; echo end; sleep 1000");
  spec().user = "nobody";
  spec().execution.capabilities = std::vector<std::string>{"CAP_NET_BIND_SERVICE", "CAP_CHOWN"};
  spec().execution.ambient_capabilities = {"CAP_NET_BIND_SERVICE"};
  EXPECT_EQ(output_of_start(),
            "CapEff:\t0000000000000400\nCapBnd:\t0000000000000401\nCapAmb:\t0000000000000400\n"
            "end\n");
}

TEST_P(ServiceTest, HasNoCapabilityAtAllWhenNoneIsListed) {
  if (!has_capability(CAP_SETPCAP)) GTEST_SKIP() << "no CAP_SETPCAP here";
  script("grep -E '^Cap(Prm|Eff|Bnd)|NoNewPrivs' /proc/self/status; echo end; sleep 1000");
  spec().execution.capabilities.emplace();
  spec().execution.no_new_privileges = true;
  EXPECT_EQ(output_of_start(),
            "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t0000000000000000\n"
            "NoNewPrivs:\t1\nend\n");
}

TEST_P(ServiceTest, HasATmpOfItsOwnAndReadOnlyPaths) {
  if (!has_capability(CAP_SYS_ADMIN)) GTEST_SKIP() << "mounting needs CAP_SYS_ADMIN";
  const std::string ours = folder_ / "kept";
  std::filesystem::create_directory(ours);
  script("ls -A /tmp | wc -l; touch /tmp/x && echo private; touch '" + ours +
         "/y' 2>/dev/null || echo read-only; echo end; sleep 1000");
  spec().execution.private_tmp = true;
  spec().execution.read_only = {"/usr"};
  // `ours` lies below /tmp, which is hidden: so another path is tried for being read-only.
  script(
      "ls -A /tmp | wc -l; touch /tmp/x && echo private; touch /usr/y 2>/dev/null || "
      "echo read-only; echo end; sleep 1000");
  EXPECT_EQ(output_of_start(), "0\nprivate\nread-only\nend\n");
  EXPECT_FALSE(std::filesystem::exists("/tmp/x"));
}

TEST_P(ServiceTest, FiltersSystemCallsByName) {
  if (!system_call_number("mkdir")) GTEST_SKIP() << "this machine has no mkdir(2)";
  script("mkdir " + (folder_ / "made") + " 2>&1; chroot / true 2>&1; echo end; sleep 1000");
  spec().execution.system_calls = core::SystemCallPolicy{
      .allow = {"@system-service"}, .deny = {"mkdir", "mkdirat"}, .kill = false};
  const std::string text = output_of_start();
  EXPECT_TRUE(has(text, "mkdir: cannot create directory")) << text;
  EXPECT_TRUE(has(text, "chroot: cannot change root directory")) << text;
  EXPECT_FALSE(std::filesystem::exists(folder_ / "made"));
}

TEST_P(ServiceTest, EndsWhoMakesAForbiddenSystemCall) {
  script("exec chroot / true");
  spec().execution.system_calls =
      core::SystemCallPolicy{.allow = {}, .deny = {"@mount"}, .kill = true};
  perform(ActionKind::Start);
  ASSERT_TRUE(run_until([&] { return !seen<core::ProcessExited>().empty(); }));
  EXPECT_EQ(seen<core::ProcessExited>()[0].signal, SIGSYS);
}

TEST_P(ServiceTest, SaysWhichStepFailedAndWhy) {
  spec().execution.read_only = {"/no/such/path"};
  EXPECT_TRUE(has(output_of_start(), is_root() ? "read-only /no/such/path: No such file"
                                               : "mount namespace: Operation not permitted"));
  spec().execution = {};
  spec().execution.cpus = {1'000};
  EXPECT_TRUE(has(output_of_start(), "cpus: Invalid argument"));
  spec().execution = {};
  spec().execution.supplementary_groups = std::vector<std::string>{"no-such-group"};
  EXPECT_TRUE(has(output_of_start(), "no such group: no-such-group"));
  spec().execution = {};
  spec().execution.system_calls =
      core::SystemCallPolicy{.allow = {"@system-service"}, .deny = {}, .kill = true};
  spec().command = {"/no/such/program"};
  EXPECT_TRUE(has(output_of_start(), "exec /no/such/program: No such file"));
}

TEST_P(ServiceTest, GetsNoDescriptorButItsOwn) {
  // The folder the shell itself reads is closed again when each name is looked at.
  const std::string list =
      "for f in /proc/$$/fd/*; do [ -e $f ] && printf '%s ' ${f##*/}; done; echo; echo end; ";
  const int leaky = ::open("/dev/null", O_RDONLY);  // NOLINT: without O_CLOEXEC, on purpose.
  script(list + "sleep 1000");
  EXPECT_EQ(output_of_start(), "0 1 2 \nend\n");
  spec().sockets = {{.listen = "127.0.0.1:0", .name = "web"}};
  spec().ready.fd = 7;
  script(list + "echo >&7; sleep 1000");
  EXPECT_EQ(output_of_start(), "0 1 2 3 7 \nend\n");
  ::close(leaky);
}

TEST_P(ServiceTest, GetsACleanEnvironment) {
  ::setenv("RECOVERD_TEST_STRAY", "1", 1);
  script("env | cut -d= -f1 | sort | tr '\\n' ' '; echo; echo end; sleep 1000");
  spec().environment = {{"MINE", base::Secret("x")}};
  EXPECT_EQ(output_of_start(), "MINE PATH PWD RECOVERD_INSTANCE \nend\n");
  ::unsetenv("RECOVERD_TEST_STRAY");
}

// ---- what it says of itself

TEST_P(ServiceTest, HearsStatusReloadingAndErrors) {
  speak_as("STATUS=warming up|READY=1|RELOADING=1\nSTATUS=reading");
  EXPECT_EQ(perform(ActionKind::Start).outcome, CommandOutcome::Done);
  ASSERT_TRUE(run_until([&] { return views()[0].reloading; }));
  EXPECT_EQ(views()[0].status, "reading");
}

TEST_P(ServiceTest, GivesTheTimeThatIsAskedFor) {
  speak_as("EXTEND_TIMEOUT_USEC=60000000");
  spec().ready.start_timeout = milliseconds(1'000);
  const auto finished = std::make_shared<std::string>();
  core::Command command;
  command.id = core::CommandId{77};
  command.action = ActionKind::Start;
  command.deadline = std::chrono::steady_clock::now() + milliseconds(1'000);
  supervisor().perform(command, policy_, [finished](const core::CommandFinished& result) {
    *finished = result.detail;
  });
  ASSERT_TRUE(run_until([&] { return !seen<core::TimeExtended>().empty(); }));
  EXPECT_EQ(seen<core::TimeExtended>()[0].by, seconds(60));
  const auto until = command.deadline + milliseconds(200);
  run_until([&] { return std::chrono::steady_clock::now() > until; });
  EXPECT_EQ(*finished, "");
}

TEST_P(ServiceTest, TellsOfATriggeredWatchdogAtOnce) {
  speak_as("READY=1|WATCHDOG=trigger");
  spec().watchdog = seconds(600);
  perform(ActionKind::Start);
  EXPECT_TRUE(run_until([&] { return !seen<core::WatchdogExpired>().empty(); }));
}

TEST_P(ServiceTest, FollowsTheMainPidItIsTold) {
  script(
      "sleep 1000 & echo main $!; "
      "python3 -c 'import os,socket,sys\n"
      "s=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM)\n"
      "s.sendto(b\"MAINPID=\"+sys.argv[1].encode()+b\"\\nREADY=1\",\"\\0\"+os.environ[\"NOTIFY_"
      "SOCKET\"][1:])'"
      " $!; sleep 0.2; exit 0");
  spec().ready.notify = true;
  const auto finished = perform(ActionKind::Start);
  ASSERT_EQ(finished.outcome, CommandOutcome::Done) << finished.detail;
  const std::string text = output();
  const auto main_pid = static_cast<pid_t>(std::atoi(text.c_str() + text.find("main ") + 5));
  EXPECT_EQ(views()[0].incarnation.pid, main_pid);
  // The first leader ends, and that is no end of the service.
  ASSERT_TRUE(run_until([&] {
    const auto stat =
        read_stat(static_cast<pid_t>(seen<core::ProcessStarted>()[0].incarnation.pid));
    return !stat;
  }));
  EXPECT_TRUE(seen<core::ProcessExited>().empty());
  ::kill(main_pid, SIGKILL);
  ASSERT_TRUE(run_until([&] { return !seen<core::ProcessExited>().empty(); }));
  EXPECT_EQ(seen<core::ProcessExited>()[0].incarnation.pid, main_pid);
}

TEST_P(ServiceTest, IsReadyByANewlineOnItsDescriptor) {
  script("sleep 0.1; echo >&5; exec sleep 1000");
  spec().ready.fd = 5;
  EXPECT_EQ(perform(ActionKind::Start).outcome, CommandOutcome::Done);
  EXPECT_EQ(seen<core::ProcessReady>().size(), 1U);
  perform(ActionKind::Stop);
  script("exec 5>&-; exec sleep 1000");
  spec().ready.start_timeout = milliseconds(100);
  EXPECT_EQ(perform(ActionKind::Start).outcome, CommandOutcome::Failed);
}

TEST_P(ServiceTest, KeepsDescriptorsOverARestart) {
  speak_as(
      "READY=1|@FDSTORE=1\nFDNAME=alpha|@FDSTORE=1\nFDNAME=beta|@FDSTORE=1|"
      "FDSTOREREMOVE=1\nFDNAME=beta|STATUS=said");
  spec().fd_store = 2;
  EXPECT_EQ(perform(ActionKind::Start).outcome, CommandOutcome::Done);
  ASSERT_TRUE(run_until([&] { return views()[0].status == "said"; }));
  EXPECT_TRUE(has(output(), "a descriptor was not kept: fd_store is 2")) << output();
  spec().ready.notify = false;
  script(
      "echo $LISTEN_FDS $LISTEN_FDNAMES; test $LISTEN_PID = $$ && readlink /proc/$$/fd/3;"
      "echo end; sleep 1000");
  EXPECT_EQ(perform(ActionKind::Restart).outcome, CommandOutcome::Done);
  ASSERT_TRUE(run_until([&] { return has(output(), "end"); }));
  EXPECT_EQ(output(), "1 alpha\n/dev/null\nend\n");
  perform(ActionKind::Stop);
  EXPECT_FALSE(has(output_of_start(), "alpha"));
}

// ---- sockets

std::uint16_t free_port() {
  const Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof name;
  ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&name), size);
  ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&name), &size);
  return ntohs(name.sin_port);
}

bool connects(std::uint16_t port) {
  const Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  name.sin_port = htons(port);
  return ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0;
}

constexpr const char* kAcceptor =
    "exec python3 -c 'import socket\ns=socket.socket(fileno=3)\ns.setblocking(True)\n"
    "while True: s.accept()[0].close()'";

TEST_P(ServiceTest, RefusesNoConnectionWhileItRestarts) {
  const std::uint16_t port = free_port();
  spec().sockets = {{.listen = "127.0.0.1:" + std::to_string(port), .name = "web"}};
  script(kAcceptor);
  ASSERT_EQ(perform(ActionKind::Start).outcome, CommandOutcome::Done);
  std::atomic<bool> over = false;
  std::atomic<std::uint32_t> made = 0;
  std::atomic<std::uint32_t> refused = 0;
  std::thread hammer([&] {
    while (!over) (connects(port) ? made : refused).fetch_add(1);
  });
  for (int round = 0; round < 5; ++round) {
    EXPECT_EQ(perform(ActionKind::Restart).outcome, CommandOutcome::Done);
    ::kill(static_cast<pid_t>(views()[0].incarnation.pid), SIGKILL);
    const auto exits = seen<core::ProcessExited>().size();
    EXPECT_TRUE(
        run_until([&] { return seen<core::ProcessExited>().size() > exits || !running(); }));
    EXPECT_EQ(perform(ActionKind::Start).outcome, CommandOutcome::Done);
  }
  over = true;
  hammer.join();
  EXPECT_GT(made.load(), 0U);
  EXPECT_EQ(refused.load(), 0U);
  perform(ActionKind::Stop);
  EXPECT_FALSE(connects(port)) << "a stopped service refuses";
}

TEST_P(ServiceTest, KeepsItsSocketsWhenTheLastOneUpIsStoppedAlone) {
  const std::uint16_t port = free_port();
  spec().sockets = {{.listen = "127.0.0.1:" + std::to_string(port), .name = "web"}};
  spec().instances = 2;
  script(kAcceptor);
  ASSERT_EQ(perform(ActionKind::Start).outcome, CommandOutcome::Done);
  // Its sibling is down, and about to be started again.
  ::kill(static_cast<pid_t>(views()[1].incarnation.pid), SIGKILL);
  ASSERT_TRUE(run_until([&] { return !seen<core::ProcessExited>().empty(); }));
  EXPECT_EQ(perform(ActionKind::Stop, "0", {0}).outcome, CommandOutcome::Done);
  EXPECT_TRUE(connects(port)) << "it waits for the sibling";
  perform(ActionKind::Stop);
  EXPECT_FALSE(connects(port));
}

TEST_P(ServiceTest, TakesSocketsBackFromTheServiceWhenWeAndTheKeeperWereKilled) {
  const std::uint16_t port = free_port();
  spec().sockets = {{.listen = "127.0.0.1:" + std::to_string(port), .name = "web"}};
  script(kAcceptor);
  ASSERT_EQ(perform(ActionKind::Start).outcome, CommandOutcome::Done);
  supervisor_.reset();  // Nobody but the service has the socket now.
  supervisor();
  EXPECT_EQ(perform(ActionKind::Restart).outcome, CommandOutcome::Done)
      << "a second bind of the address would fail";
  EXPECT_TRUE(connects(port));
}

TEST_P(ServiceTest, ListensOnUnixSocketsAndRemovesLeftovers) {
  const std::string path = folder_ / "web.sock";
  spec().sockets = {{.listen = path, .name = "a", .backlog = 8, .mode = 0600},
                    {.listen = "udp:127.0.0.1:0", .name = ""}};
  script("echo $LISTEN_FDS $LISTEN_FDNAMES; echo end; sleep 1000");
  {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    std::memcpy(name.sun_path, path.data(), path.size());
    const Descriptor dead(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::bind(dead.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name), 0);
  }
  EXPECT_EQ(output_of_start(), "2 a:unknown\nend\n");
  EXPECT_FALSE(std::filesystem::exists(path));
}

// It writes its line into our table itself: neither its numbers nor its limits may be in the way.
TEST_P(ServiceTest, IsRecordedWhateverItIsGiven) {
  spec().sockets = {{.listen = "127.0.0.1:0", .name = "a"}, {.listen = "127.0.0.1:0", .name = "b"}};
  spec().ready.fd = 9;
  spec().execution.rlimits = {{"fsize", 0, 0}, {"nofile", 25, 25}};
  script("echo >&9; ulimit -f; ulimit -n; exec sleep 1000");
  const auto finished = perform(ActionKind::Start);
  ASSERT_EQ(finished.outcome, CommandOutcome::Done) << finished.detail;
  ASSERT_TRUE(run_until([&] { return output() == "0\n25\n"; })) << output();
  const auto incarnation = views()[0].incarnation;
  supervisor_.reset();
  events_.clear();
  supervisor();
  ASSERT_TRUE(run_until([&] { return !seen<core::ProcessReady>().empty(); }));
  EXPECT_TRUE(seen<core::ProcessStarted>()[0].adopted);
  EXPECT_EQ(views()[0].incarnation, incarnation);
}

// ---- hooks and oneshots

TEST_P(ServiceTest, RunsCommandsBeforeAndAfter) {
  const std::string file = folder_ / "order";
  spec().before = {{"sh", "-c", "echo first >> " + file}, {"sh", "-c", "echo second >> " + file}};
  spec().after = {{"sh", "-c", "echo after >> " + file}};
  script("echo runs >> " + file + "; echo end; sleep 1000");
  output_of_start();
  std::ifstream lines(file);
  const std::string text((std::istreambuf_iterator<char>(lines)), {});
  EXPECT_EQ(text, "first\nsecond\nruns\nafter\n");
}

// What was killed was its cgroup too, which takes nobody in any more.
TEST_P(ServiceTest, RunsCommandsAfterItHadToBeKilled) {
  const std::string file = folder_ / "order";
  spec().after = {{"sh", "-c", "echo after >> " + file}};
  spec().stop.timeout = milliseconds(300);
  script("trap '' TERM; echo end; while :; do sleep 1000; done");
  output_of_start();
  std::ifstream lines(file);
  const std::string text((std::istreambuf_iterator<char>(lines)), {});
  EXPECT_EQ(text, "after\n");
  EXPECT_EQ(perform(ActionKind::Start).outcome, CommandOutcome::Done) << "and starts again";
}

TEST_P(ServiceTest, DoesNotStartWhenACommandBeforeFails) {
  spec().before = {{"sh", "-c", "echo no database; exit 9"}};
  const auto finished = perform(ActionKind::Start);
  EXPECT_EQ(finished.outcome, CommandOutcome::Failed);
  EXPECT_TRUE(has(finished.detail, "before: sh: exited with code 9")) << finished.detail;
  EXPECT_TRUE(has(finished.detail, "no database")) << finished.detail;
  EXPECT_TRUE(seen<core::ProcessStarted>().empty());
  spec().before = {{"sleep", "1000"}};
  spec().ready.start_timeout = milliseconds(100);
  EXPECT_TRUE(has(perform(ActionKind::Start).detail, "sleep: not done in time"));
}

TEST_P(ServiceTest, AOneshotIsUpOnceItHasEndedWell) {
  spec().type = core::RunType::Oneshot;
  script("echo done");
  EXPECT_EQ(perform(ActionKind::Start).outcome, CommandOutcome::Done);
  EXPECT_EQ(seen<core::ProcessReady>().size(), 1U);
  EXPECT_TRUE(seen<core::ProcessExited>().empty());
  supervisor_.reset();
  events_.clear();
  supervisor();  // Still up after our crash, and not run again.
  ASSERT_TRUE(run_until([&] { return !seen<core::ProcessReady>().empty(); }));
  EXPECT_TRUE(seen<core::ProcessStarted>()[0].adopted);
  EXPECT_EQ(perform(ActionKind::Stop).outcome, CommandOutcome::Done);
  ASSERT_EQ(seen<core::ProcessExited>().size(), 1U);
  EXPECT_TRUE(seen<core::ProcessExited>()[0].expected);
  script("exit 4");
  EXPECT_TRUE(has(perform(ActionKind::Start).detail, "exited with code 4"));
}

// ---- instances

TEST_P(ServiceTest, RestartsOnlyTheInstancesItIsTold) {
  spec().instances = 3;
  perform(ActionKind::Start);
  const auto before = views();
  EXPECT_EQ(perform(ActionKind::Restart, "1").outcome, CommandOutcome::Done);
  EXPECT_EQ(views()[0].incarnation, before[0].incarnation);
  EXPECT_NE(views()[1].incarnation, before[1].incarnation);
  EXPECT_EQ(views()[2].incarnation, before[2].incarnation);
  EXPECT_EQ(perform(ActionKind::Stop, "0,2").outcome, CommandOutcome::Done);
  EXPECT_EQ(running(), 1U);
}

TEST_P(ServiceTest, StartsNoInstanceThatIsHeld) {
  spec().instances = 3;
  spec().scale_max = 4;
  const auto up = [this] {
    std::string numbers;
    for (const InstanceView& view : views()) numbers += view.running ? view.name.substr(3) : "";
    return numbers;
  };
  EXPECT_EQ(perform(ActionKind::Start, "0").outcome, CommandOutcome::Done);
  EXPECT_EQ(up(), "@1");
  EXPECT_EQ(perform(ActionKind::Start, "", {1}).detail, "2 instances are up");
  EXPECT_EQ(up(), "@1@3");
  const auto before = views();
  EXPECT_EQ(perform(ActionKind::Restart, "", {1}).outcome, CommandOutcome::Done);
  EXPECT_EQ(up(), "@1@3") << "one after the other";
  EXPECT_NE(views()[2].incarnation, before[2].incarnation);
  EXPECT_EQ(perform(ActionKind::Restart, "2", {1}).outcome, CommandOutcome::Done);
  EXPECT_EQ(perform(ActionKind::Scale, "4", {1}).outcome, CommandOutcome::Done);
  EXPECT_EQ(up(), "@1@3@4");
  EXPECT_EQ(perform(ActionKind::Stop, "2", {1, 2}).outcome, CommandOutcome::Done);
  EXPECT_EQ(up(), "@1@4");
  EXPECT_EQ(perform(ActionKind::Start).outcome, CommandOutcome::Done);
  EXPECT_EQ(up(), "@1@2@3@4");
}

TEST_P(ServiceTest, FreezesAndThawsAndStopsWhatStandsStill) {
  const auto lines = [this] { return output().size(); };
  script("while :; do echo alive; sleep 0.01; done");
  perform(ActionKind::Start);
  ASSERT_TRUE(run_until([&] { return lines() > 0; }));
  EXPECT_EQ(perform(ActionKind::Freeze).outcome, CommandOutcome::Done);
  loop_.restart();
  loop_.run_for(milliseconds(100));  // What it had printed.
  const auto still = lines();
  loop_.restart();
  loop_.run_for(milliseconds(100));
  EXPECT_EQ(lines(), still);
  EXPECT_EQ(perform(ActionKind::Thaw).outcome, CommandOutcome::Done);
  EXPECT_TRUE(run_until([&] { return lines() > still; }));
  perform(ActionKind::Freeze);
  EXPECT_EQ(perform(ActionKind::Stop).outcome, CommandOutcome::Done);
  EXPECT_EQ(perform(ActionKind::Freeze).outcome, CommandOutcome::Failed) << "nothing runs";
}

// SIGKILL reaches what stands still; what starts next must not be cloned into a frozen group.
TEST_P(ServiceTest, StartsAnewAfterItWasKilledWhileItStoodStill) {
  script("sleep 1000");
  perform(ActionKind::Start);
  ASSERT_EQ(perform(ActionKind::Freeze).outcome, CommandOutcome::Done);
  ASSERT_EQ(::kill(static_cast<pid_t>(views()[0].incarnation.pid), SIGKILL), 0);
  ASSERT_TRUE(run_until([&] { return running() == 0; }));
  EXPECT_EQ(perform(ActionKind::Start).outcome, CommandOutcome::Done);
  EXPECT_EQ(running(), 1U);
}

TEST_P(ServiceTest, ScalesWithinItsBoundsAndRemembers) {
  spec().instances = 2;
  spec().scale_min = 1;
  spec().scale_max = 4;
  perform(ActionKind::Start);
  const auto first = views()[0].incarnation;
  EXPECT_EQ(perform(ActionKind::Scale, "4").outcome, CommandOutcome::Done);
  EXPECT_EQ(running(), 4U);
  EXPECT_EQ(perform(ActionKind::Scale, "9").outcome, CommandOutcome::Refused);
  EXPECT_EQ(perform(ActionKind::Scale, "1").outcome, CommandOutcome::Done);
  EXPECT_EQ(running(), 1U);
  EXPECT_EQ(views()[0].incarnation, first) << "the first was not touched";
  EXPECT_EQ(perform(ActionKind::Scale, "3").outcome, CommandOutcome::Done);
  perform(ActionKind::Stop);
  supervisor_.reset();
  perform(ActionKind::Start);
  EXPECT_EQ(running(), 3U) << "as it was scaled, not as configured";
  perform(ActionKind::Stop);
  spec().instances = 1;
  supervisor().watch(policy_);
  perform(ActionKind::Start);
  EXPECT_EQ(running(), 1U) << "a new configured number counts";
}

TEST_P(ServiceTest, RestartsOneInstanceAfterTheOther) {
  spec().instances = spec().scale_max = 3;
  std::uint32_t asked = 0;
  std::uint32_t fewest = 3;
  health_check_ = [&](ServiceIndex) {
    return [&] {
      fewest = std::min(fewest, running());
      return ++asked % 2 == 0;  // Well at the second look.
    };
  };
  perform(ActionKind::Start);
  events_.clear();
  EXPECT_EQ(perform(ActionKind::Restart).outcome, CommandOutcome::Done);
  EXPECT_EQ(asked, 6U);
  EXPECT_EQ(fewest, 3U);
  std::string order;
  for (const core::Event& event : events_) {
    if (std::holds_alternative<core::ProcessExited>(event)) order += 'e';
    if (std::holds_alternative<core::ProcessStarted>(event)) order += 's';
  }
  EXPECT_EQ(order, "eseses");
}

TEST_P(ServiceTest, LeavesTheRestWhenOneIsNotWellAgain) {
  spec().instances = spec().scale_max = 3;
  spec().ready.start_timeout = milliseconds(50);
  health_check_ = [](ServiceIndex) { return [] { return false; }; };
  perform(ActionKind::Start);
  const auto before = views();
  const auto finished = perform(ActionKind::Restart);
  EXPECT_EQ(finished.outcome, CommandOutcome::Failed);
  EXPECT_TRUE(has(finished.detail, "one@1: not well again")) << finished.detail;
  EXPECT_NE(views()[0].incarnation, before[0].incarnation);
  EXPECT_EQ(views()[1].incarnation, before[1].incarnation);
  EXPECT_EQ(views()[2].incarnation, before[2].incarnation);
}

TEST_P(ServiceTest, TellsTheLastLinesWithAnUnexpectedEnd) {
  script("echo the disk is on fire, says hunter22; exit 3");
  spec().environment = {{"PASSWORD", base::Secret("hunter22")}};
  perform(ActionKind::Start);
  ASSERT_TRUE(run_until([&] { return !seen<core::ProcessExited>().empty(); }));
  const std::string said = seen<core::ProcessExited>()[0].output;
  EXPECT_TRUE(has(said, "the disk is on fire")) << said;
  EXPECT_FALSE(has(said, "hunter22")) << said;
}

TEST_P(ServiceTest, NeverHoldsUpAFlood) {
  // Lines of a thousand letters, eight times what is allowed in a second; then it must get through.
  script(
      "head -c 64000000 /dev/zero | tr '\\0' x | fold -w 1000;"
      "while :; do echo end; sleep 0.1; done");
  perform(ActionKind::Start);
  ASSERT_TRUE(run_until([&] { return has(output(), "end"); }));
  EXPECT_GT(views()[0].dropped_lines, 0U);
}

// ---- ways to clone

TEST(Clone, FallsBackWhereTheBetterWaysAreForbidden) {
  for (const CloneWay way : {CloneWay::IntoCgroup, CloneWay::Clone3, CloneWay::Clone}) {
    const Descriptor null(::open("/dev/null", O_WRONLY | O_CLOEXEC));
    SpawnRequest request;
    request.command = {"sh", "-c", "exit 7"};
    request.output = null.get();
    request.way = way;
    const auto spawned = spawn(request);
    ASSERT_TRUE(spawned) << static_cast<int>(way);
    EXPECT_EQ(spawned->way, std::max(way, CloneWay::Clone3)) << "without a leaf";
    std::optional<ExitStatus> status;
    while (!(status = spawned->process.exit_status())) ::usleep(1'000);
    EXPECT_EQ(status->code, 7);
    spawned->process.collect();
  }
}

// As in a container whose filter does not know clone3: really forbidden, in a process of its own.
TEST(Clone, StartsWhereClone3IsForbidden) {
  const pid_t child = ::fork();
  if (child == 0) {
    core::ExecutionPolicy policy;
    policy.system_calls = core::SystemCallPolicy{.allow = {}, .deny = {"clone3"}, .kill = false};
    const auto attributes = attributes_of(policy);
    if (!attributes || apply_filter(*attributes).step != Step::None) ::_exit(1);
    const Descriptor null(::open("/dev/null", O_WRONLY | O_CLOEXEC));
    SpawnRequest request;
    request.command = {"true"};
    request.output = null.get();
    const auto spawned = spawn(request);
    ::_exit(spawned && spawned->way == CloneWay::Clone ? 0 : 2);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace recover::adapters::process
