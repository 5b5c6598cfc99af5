// The supervisor with real processes, alone (no keeper): start, ready, stop, trees, output.
#include "adapters/process/supervisor.h"

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>
#include <variant>

#include "adapters/process/proc_file.h"
#include "adapters/process/process.h"
#include "test/keeper_process.h"

namespace recover::adapters::process {
namespace {

using core::ActionKind;
using core::CommandOutcome;
using core::ServiceIndex;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kRoleVariable = "RECOVERD_TEST_NOTIFY";

// This executable is its own test service: with the variable set it sends that text to its
// NOTIFY_SOCKET and sleeps, before any test framework begins.
__attribute__((constructor)) void play_notifier() {
  const char* const text = std::getenv(kRoleVariable);
  const char* const path = std::getenv("NOTIFY_SOCKET");
  if (text == nullptr || path == nullptr) return;
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM, 0);
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  std::memcpy(&name.sun_path[1], path + 1, std::strlen(path) - 1);
  const auto size = offsetof(sockaddr_un, sun_path) + std::strlen(path);
  ::sendto(fd, text, std::strlen(text), 0, reinterpret_cast<const sockaddr*>(&name),
           static_cast<socklen_t>(size));
  while (true) ::pause();
}

core::RunSpec script(const std::string& text) {
  core::RunSpec spec;
  spec.command = {"sh", "-c", text};
  return spec;
}

class SupervisorTest : public testing::TestWithParam<bool> {
 protected:
  SupervisorTest() {
    policy_.services.resize(2);
    policy_.services[0].name = "one";
    policy_.services[1].name = "two";
    for (auto& service : policy_.services) service.spec = script("exec sleep 1000");
    policy_.services[1].depends_on = {ServiceIndex{0}};
  }
  ~SupervisorTest() override {
    if (!supervisor_) return;
    bool stopped = false;
    supervisor_->stop_all(seconds(0), [&] { stopped = true; });
    run_until([&] { return stopped; });
  }

  core::RunSpec& spec(std::size_t service = 0) {
    return std::get<core::RunSpec>(policy_.services[service].spec);
  }
  Supervisor& supervisor() {
    if (!supervisor_) {
      supervisor_ = std::make_unique<Supervisor>(
          loop_, SupervisorOptions{.state_dir = folder_.path(), .cgroups = GetParam()},
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

  core::CommandFinished perform(ActionKind action, std::uint32_t service = 0,
                                Instant deadline = kNever) {
    std::optional<core::CommandFinished> finished;
    core::Command command;
    command.id = core::CommandId{++commands_};
    command.service = ServiceIndex{service};
    command.action = action;
    command.deadline = deadline;
    supervisor().perform(command, policy_,
                         [&](core::CommandFinished result) { finished = std::move(result); });
    EXPECT_FALSE(finished) << "done() was called from within perform()";
    EXPECT_TRUE(run_until([&] { return finished.has_value(); }));
    return finished.value_or(core::CommandFinished{});
  }

  template <class Event>
  std::vector<Event> seen() const {
    std::vector<Event> found;
    for (const core::Event& event : events_) {
      if (const auto* match = std::get_if<Event>(&event)) found.push_back(*match);
    }
    return found;
  }
  pid_t pid(std::uint32_t service = 0) {
    const auto views = supervisor().instances(ServiceIndex{service});
    return views.empty() ? 0 : static_cast<pid_t>(views[0].incarnation.pid);
  }
  bool printed(const std::string& text) {
    for (const std::string& line : supervisor().tail(ServiceIndex{0}, 0)) {
      if (line.find(text) != std::string::npos) return true;
    }
    return false;
  }

  const test::Folder folder_;
  core::Policy policy_;
  boost::asio::io_context loop_{1};
  std::vector<core::Event> events_;
  std::uint64_t commands_ = 0;
  std::unique_ptr<Supervisor> supervisor_;
};

INSTANTIATE_TEST_SUITE_P(, SupervisorTest, testing::Bool(),
                         [](const auto& param) { return param.param ? "Cgroup" : "NoCgroup"; });

TEST_P(SupervisorTest, StartsEveryInstanceAndStopsThem) {
  spec().instances = 3;
  EXPECT_EQ(perform(ActionKind::Start).outcome, CommandOutcome::Done);
  EXPECT_EQ(seen<core::ProcessStarted>().size(), 3U);
  EXPECT_EQ(seen<core::ProcessReady>().size(), 3U);
  // Once more: nothing to do.
  EXPECT_EQ(perform(ActionKind::Start).outcome, CommandOutcome::Done);
  EXPECT_EQ(seen<core::ProcessStarted>().size(), 3U);
  EXPECT_EQ(perform(ActionKind::Stop).outcome, CommandOutcome::Done);
  ASSERT_EQ(seen<core::ProcessExited>().size(), 3U);
  for (const auto& exited : seen<core::ProcessExited>()) {
    EXPECT_TRUE(exited.expected);
    EXPECT_EQ(exited.signal, SIGTERM);
  }
  EXPECT_EQ(perform(ActionKind::Stop).outcome, CommandOutcome::Done);
}

TEST_P(SupervisorTest, TellsHowAProcessEndedByItself) {
  spec() = script("exit 7");
  EXPECT_EQ(perform(ActionKind::Start).outcome, CommandOutcome::Done);
  ASSERT_TRUE(run_until([&] { return !seen<core::ProcessExited>().empty(); }));
  const auto exited = seen<core::ProcessExited>()[0];
  EXPECT_EQ(exited.code, 7);
  EXPECT_EQ(exited.signal, 0);
  EXPECT_FALSE(exited.expected);
  EXPECT_EQ(exited.incarnation, seen<core::ProcessStarted>()[0].incarnation);
}

TEST_P(SupervisorTest, SaysWhyAStartFailed) {
  spec().command = {"/no/such/program"};
  const auto finished = perform(ActionKind::Start);
  EXPECT_EQ(finished.outcome, CommandOutcome::Failed);
  EXPECT_NE(finished.detail.find("exec /no/such/program: No such file"), std::string::npos)
      << finished.detail;
  EXPECT_TRUE(seen<core::ProcessStarted>().empty());
}

TEST_P(SupervisorTest, FailsAStartThatEndsBeforeItIsReady) {
  spec() = script("echo broken configuration, password is hunter22; exit 3");
  spec().environment = {{"PASSWORD", base::Secret("hunter22")}};
  spec().ready.notify = true;
  const auto finished = perform(ActionKind::Start);
  EXPECT_EQ(finished.outcome, CommandOutcome::Failed);
  EXPECT_NE(finished.detail.find("one@1: exited with code 3"), std::string::npos)
      << finished.detail;
  EXPECT_NE(finished.detail.find("broken configuration"), std::string::npos) << finished.detail;
  EXPECT_EQ(finished.detail.find("hunter22"), std::string::npos) << finished.detail;
}

TEST_P(SupervisorTest, FailsAStartThatIsNotReadyInTime) {
  spec().ready.notify = true;
  spec().ready.start_timeout = milliseconds(50);
  const auto finished = perform(ActionKind::Start);
  EXPECT_EQ(finished.outcome, CommandOutcome::Failed);
  EXPECT_NE(finished.detail.find("not ready within 0.05s"), std::string::npos) << finished.detail;
  ASSERT_EQ(seen<core::ProcessExited>().size(), 1U);
  EXPECT_TRUE(seen<core::ProcessExited>()[0].expected);
}

TEST_P(SupervisorTest, GivesUpAtTheCommandsDeadline) {
  spec().ready.notify = true;
  const auto soon = std::chrono::steady_clock::now() + milliseconds(50);
  EXPECT_EQ(perform(ActionKind::Start, 0, soon).outcome, CommandOutcome::Failed);
  EXPECT_TRUE(run_until([&] { return !seen<core::ProcessExited>().empty(); }));
}

TEST_P(SupervisorTest, IsReadyWhenTheServiceSaysSo) {
  spec().command = {"/proc/self/exe"};
  spec().environment = {{kRoleVariable, base::Secret("READY=1")}};
  spec().ready.notify = true;
  EXPECT_EQ(perform(ActionKind::Start).outcome, CommandOutcome::Done);
  EXPECT_EQ(seen<core::ProcessReady>().size(), 1U);
}

TEST_P(SupervisorTest, TellsWhenTheWatchdogIsNotFed) {
  spec().command = {"/proc/self/exe"};
  spec().environment = {{kRoleVariable, base::Secret("READY=1\nWATCHDOG=1")}};
  spec().ready.notify = true;
  spec().watchdog = milliseconds(50);
  EXPECT_EQ(perform(ActionKind::Start).outcome, CommandOutcome::Done);
  EXPECT_TRUE(run_until([&] { return !seen<core::WatchdogExpired>().empty(); }));
}

TEST_P(SupervisorTest, IsReadyAfterSoLong) {
  spec().ready.after = milliseconds(20);
  EXPECT_EQ(perform(ActionKind::Start).outcome, CommandOutcome::Done);
  EXPECT_EQ(seen<core::ProcessReady>().size(), 1U);
}

TEST_P(SupervisorTest, KillsTheWholeTreeWhenTheStopTimesOut) {
  spec() = script(
      "trap '' TERM; setsid sh -c 'trap \"\" TERM; echo pid $$ is up; while :; do sleep 1; done' &"
      "while :; do sleep 1; done");
  spec().stop.timeout = milliseconds(100);
  perform(ActionKind::Start);
  ASSERT_TRUE(run_until([&] { return printed("is up"); }));
  const std::string line = supervisor().tail(ServiceIndex{0}, 0).back();
  const pid_t grandchild = std::atoi(line.c_str() + line.find("pid ") + 4);
  ASSERT_TRUE(read_stat(grandchild)) << line;
  EXPECT_EQ(perform(ActionKind::Stop).outcome, CommandOutcome::Done);
  EXPECT_EQ(seen<core::ProcessExited>().at(0).signal, SIGKILL);
  const auto left = read_stat(grandchild);
  EXPECT_TRUE(!left || left->state == 'Z');
}

TEST_P(SupervisorTest, ClearsUpWhatACrashedLeaderLeaves) {
  spec() = script("setsid sleep 1000 & echo pid $! is up; while :; do sleep 1; done");
  perform(ActionKind::Start);
  ASSERT_TRUE(run_until([&] { return printed("is up"); }));
  const std::string line = supervisor().tail(ServiceIndex{0}, 0).back();
  const pid_t orphan = std::atoi(line.c_str() + line.find("pid ") + 4);
  ::kill(pid(), SIGKILL);
  ASSERT_TRUE(run_until([&] { return !seen<core::ProcessExited>().empty(); }));
  EXPECT_EQ(seen<core::ProcessExited>()[0].signal, SIGKILL);
  EXPECT_FALSE(seen<core::ProcessExited>()[0].expected);
  EXPECT_EQ(perform(ActionKind::Start).outcome, CommandOutcome::Done);
  const auto left = read_stat(orphan);
  EXPECT_TRUE(!left || left->state == 'Z');
}

TEST_P(SupervisorTest, RestartsWithAnotherProcess) {
  perform(ActionKind::Start);
  const pid_t before = pid();
  EXPECT_EQ(perform(ActionKind::Restart).outcome, CommandOutcome::Done);
  EXPECT_NE(pid(), before);
  EXPECT_EQ(seen<core::ProcessStarted>().size(), 2U);
}

TEST_P(SupervisorTest, ContinuesAStoppedProcessSoThatItCanFollow) {
  perform(ActionKind::Start);
  ::kill(pid(), SIGSTOP);
  EXPECT_EQ(perform(ActionKind::Restart).outcome, CommandOutcome::Done);
  EXPECT_EQ(seen<core::ProcessExited>().at(0).signal, SIGTERM);
}

TEST_P(SupervisorTest, SendsTheReloadSignal) {
  spec() = script("trap 'echo reloaded' USR2; echo up; while :; do sleep 0.01; done");
  spec().reload_signal = SIGUSR2;
  EXPECT_EQ(perform(ActionKind::Reload).outcome, CommandOutcome::Failed);
  perform(ActionKind::Start);
  ASSERT_TRUE(run_until([&] { return printed("up"); }));
  EXPECT_EQ(perform(ActionKind::Reload).outcome, CommandOutcome::Done);
  EXPECT_TRUE(run_until([&] { return printed("reloaded"); }));
}

TEST_P(SupervisorTest, EndsAnOlderCommandForANewerOne) {
  spec().ready.notify = true;
  std::vector<core::CommandFinished> finished;
  core::Command start;
  start.id = core::CommandId{100};
  start.epoch = 1;
  supervisor().perform(start, policy_, [&](auto result) { finished.push_back(result); });
  core::Command stop = start;
  stop.id = core::CommandId{101};
  stop.action = ActionKind::Stop;
  stop.epoch = 2;
  supervisor().perform(stop, policy_, [&](auto result) { finished.push_back(result); });
  ASSERT_TRUE(run_until([&] { return finished.size() == 2; }));
  EXPECT_EQ(finished[0].command.value, 100U);
  EXPECT_EQ(finished[0].outcome, CommandOutcome::Failed);
  EXPECT_EQ(finished[1].outcome, CommandOutcome::Done);
  supervisor().perform(start, policy_, [&](auto result) { finished.push_back(result); });
  ASSERT_TRUE(run_until([&] { return finished.size() == 3; }));
  EXPECT_EQ(finished[2].outcome, CommandOutcome::Refused);
}

TEST_P(SupervisorTest, StopsDependentsFirst) {
  perform(ActionKind::Start, 0);
  perform(ActionKind::Start, 1);
  bool stopped = false;
  supervisor().stop_all(seconds(30), [&] { stopped = true; });
  ASSERT_TRUE(run_until([&] { return stopped; }));
  const auto exits = seen<core::ProcessExited>();
  ASSERT_EQ(exits.size(), 2U);
  EXPECT_EQ(exits[0].service, ServiceIndex{1});
  EXPECT_EQ(exits[1].service, ServiceIndex{0});
}

TEST_P(SupervisorTest, LeavesRemovedServicesRunningUntilTold) {
  perform(ActionKind::Start, 1);
  const Descriptor pidfd = open_pidfd(pid(1));
  core::Policy smaller = policy_;
  smaller.services.pop_back();
  supervisor().watch(smaller);
  EXPECT_TRUE(signal_pidfd(pidfd.get(), 0));
  bool stopped = false;
  supervisor().stop_removed(seconds(30), [&] { stopped = true; });
  ASSERT_TRUE(run_until([&] { return stopped; }));
  EXPECT_FALSE(signal_pidfd(pidfd.get(), 0));
}

// Without a keeper: what the table says is taken over; a reused pid is not.
TEST_P(SupervisorTest, AdoptsWhatRunsAndNothingElse) {
  perform(ActionKind::Start, 0);
  perform(ActionKind::Start, 1);
  const pid_t one = pid(0);
  supervisor_.reset();  // The services run on.
  events_.clear();
  const std::string path = folder_.path() + "/run/processes";
  std::string table = read_small_file(path).value_or("");
  const auto at = table.rfind("two\t0\t");  // The last line of an instance counts.
  ASSERT_NE(at, std::string::npos) << table;
  const auto time = table.find('\t', at + 6) + 1;  // Another start time: another process.
  const std::string wrong = table.substr(0, time) + "1" + table.substr(time);
  {
    const Descriptor file(::open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC));
    ASSERT_GT(::write(file.get(), wrong.data(), wrong.size()), 0);
  }
  const pid_t two = std::atoi(table.c_str() + at + 6);
  const Descriptor two_fd = open_pidfd(two);
  policy_.services[1].name = "two";
  supervisor();
  ASSERT_TRUE(run_until([&] { return !seen<core::ProcessExited>().empty(); }));
  ASSERT_EQ(seen<core::ProcessStarted>().size(), 1U);
  EXPECT_TRUE(seen<core::ProcessStarted>()[0].adopted);
  EXPECT_EQ(seen<core::ProcessStarted>()[0].incarnation.pid, one);
  EXPECT_EQ(seen<core::ProcessExited>()[0].service, ServiceIndex{1});
  EXPECT_EQ(seen<core::ProcessExited>()[0].code, -1);
  signal_pidfd(two_fd.get(), SIGKILL);
}

TEST_P(SupervisorTest, GoesOnReadingTheOutputOfWhatItAdopts) {
  spec() = script("while :; do echo tick; sleep 0.01; done");
  perform(ActionKind::Start);
  ASSERT_TRUE(run_until([&] { return printed("tick"); }));
  supervisor_.reset();
  EXPECT_TRUE(run_until([&] { return printed("tick"); }));
}

}  // namespace
}  // namespace recover::adapters::process
