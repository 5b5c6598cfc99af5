// Keeper, engines and services together: what a kill -9 of either costs the services (nothing).
#include "adapters/process/adoption.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>
#include <random>
#include <thread>
#include <variant>

#include "adapters/process/keeper_link.h"
#include "adapters/process/proc_file.h"
#include "adapters/process/process.h"
#include "adapters/process/runtime_table.h"
#include "adapters/process/supervisor.h"
#include "test/keeper_process.h"

namespace recover::adapters::process {
namespace {

using core::ServiceIndex;
using std::chrono::seconds;
using test::Folder;
using test::KeeperProcess;
using test::Mailbox;

core::Policy policy_of(const std::vector<std::string>& scripts) {
  core::Policy policy;
  for (const std::string& script : scripts) {
    core::RunSpec spec;
    spec.command = {"sh", "-c", script};
    core::ServicePolicy service;
    service.name = "s" + std::to_string(policy.services.size());
    service.spec = spec;
    policy.services.push_back(service);
  }
  return policy;
}

// An engine: starts its services in its first life, adopts them later, tells the mailbox.
// Lines: "up ENGINE PID…", "exited CODE SIGNAL", "line TEXT". USR1: it leaves, another follows it.
// While a file "unrecorded" is there, nothing it tells is recorded.
class Engine {
 public:
  Engine(const std::string& state_dir, const core::Policy& policy, const Mailbox& mailbox)
      : policy_(policy),
        mailbox_(mailbox),
        signals_(loop_, SIGTERM),
        leave_(loop_, SIGUSR1),
        link_(KeeperLink::connect()),
        supervisor_(loop_,
                    {.state_dir = state_dir,
                     .keeper = &link_,
                     .on_line = [this](auto, auto,
                                       auto text) { mailbox_.say("line " + std::string(text)); },
                     .recorded = [mark = state_dir +
                                         "/unrecorded"] { return !std::filesystem::exists(mark); }},
                    [this](const core::Event& event) { hear(event); }) {
    signals_.async_wait(
        [this](auto, auto) { supervisor_.stop_all(seconds(20), [this] { loop_.stop(); }); });
    leave_.async_wait([this](auto, auto) {
      result_ = 1;
      loop_.stop();
    });
  }

  int run(bool first) {
    supervisor_.watch(policy_);
    for (std::uint32_t i = 0; first && i < policy_.services.size(); ++i) {
      core::Command start;
      start.id = core::CommandId{i + 1};
      start.service = ServiceIndex{i};
      supervisor_.perform(start, policy_, [](const auto&) {});
    }
    std::string line = "up " + std::to_string(::getpid());
    for (std::uint32_t i = 0; i < policy_.services.size(); ++i) {
      for (const auto& each : supervisor_.instances(ServiceIndex{i})) {
        if (each.running) line += " " + std::to_string(each.incarnation.pid);
      }
    }
    mailbox_.say(line);
    loop_.run();
    return result_;
  }

 private:
  void hear(const core::Event& event) {
    if (const auto* exited = std::get_if<core::ProcessExited>(&event)) {
      mailbox_.say("exited " + std::to_string(exited->code) + " " + std::to_string(exited->signal));
    }
  }

  const core::Policy& policy_;
  const Mailbox& mailbox_;
  boost::asio::io_context loop_{1};
  boost::asio::signal_set signals_;
  boost::asio::signal_set leave_;
  int result_ = 0;
  KeeperLink link_;
  Supervisor supervisor_;
};

class AdoptionTest : public testing::Test {
 protected:
  void start(const std::vector<std::string>& scripts, KeeperOptions options = {},
             const std::function<void(core::RunSpec&)>& change = nullptr) {
    policy_ = policy_of(scripts);
    for (auto& service : policy_.services) {
      if (change) change(std::get<core::RunSpec>(service.spec));
    }
    keeper_.emplace(
        [this] {
          const bool first = !std::filesystem::exists(folder_ / "run");
          Engine engine(folder_.path(), policy_, mailbox_);
          if (before_watch_ && !first) before_watch_();
          return engine.run(first);
        },
        options);
  }

  struct Up {
    pid_t engine = 0;
    std::string services;  // Their pids.
    pid_t first() const { return std::atoi(services.c_str()); }
  };
  // The next engine that is up; other lines before are skipped.
  Up hear_up() {
    std::string line = hear("up ");
    const auto space = line.find(' ');
    if (space == std::string::npos) return {};
    return {.engine = std::atoi(line.c_str()), .services = line.substr(space + 1)};
  }
  // The rest of the next line that begins so; empty: none came.
  std::string hear(const std::string& begin) {
    while (true) {
      const std::string line = mailbox_.hear();
      if (line.empty()) return "";
      if (line.starts_with(begin)) return line.substr(begin.size());
    }
  }

  std::vector<RuntimeRow> table() const {
    return RuntimeTable(folder_ / "run/processes", boot_id()).load();
  }
  void touch(const std::string& name) { std::ofstream(folder_ / name) << "x"; }
  static bool wait_for_end(const Descriptor& pidfd) {
    pollfd ended{.fd = pidfd.get(), .events = POLLIN, .revents = 0};
    return ::poll(&ended, 1, test::kPatienceMillis) == 1;
  }
  std::string when(const std::string& name, const std::string& then) const {
    return "while [ ! -e " + (folder_ / name) + " ]; do sleep 0.01; done; " + then;
  }

  const Folder folder_;
  core::Policy policy_;
  Mailbox mailbox_;
  std::function<void()> before_watch_;  // Of each later engine, when it knows its keeper.
  std::optional<KeeperProcess> keeper_;
};

// The state folder is made later, by whoever knows who may read it.
TEST(Adoption, MakesNothingWhereItLooks) {
  const Folder folder;
  KeeperLink none;
  Adoption looked(folder / "state", none);
  EXPECT_TRUE(looked.take().left.empty());
  EXPECT_FALSE(std::filesystem::exists(folder / "state"));
}

TEST_F(AdoptionTest, AHundredEngineKillsLoseAndRestartNoService) {
  start({"exec sleep 1000", "while :; do sleep 0.01; done", "exec sleep 1000"},
        {.death_window = {}, .backoff = {}});  // The keeper's brake has its own test.
  const Up first = hear_up();
  for (int kills = 0; kills < 100; ++kills) {
    const Up up = kills == 0 ? first : hear_up();
    ASSERT_EQ(up.services, first.services) << "after " << kills << " kills";
    ::kill(up.engine, SIGKILL);
  }
  EXPECT_EQ(hear_up().services, first.services);
}

// Killed anywhere between the fork of an engine and the last of its starts, it leaves each service
// running once or not at all, and the next engine knows which.
TEST_F(AdoptionTest, KillsInTheMiddleOfStartsNeverRunAServiceTwice) {
  const std::string script = "echo $$ >> " + (folder_ / "pids") + "; exec sleep 1000";
  policy_ = policy_of({script, script, script});
  keeper_.emplace(
      [this] {
        mailbox_.say("forked " + std::to_string(::getpid()));
        return Engine(folder_.path(), policy_, mailbox_).run(true);
      },
      KeeperOptions{.death_window = {}, .backoff = {}});
  std::mt19937 random(1);
  std::uniform_int_distribution<int> micros(0, 12'000);
  for (int kills = 0; kills < 60; ++kills) {
    const pid_t engine = std::atoi(hear("forked ").c_str());
    ASSERT_GT(engine, 0);
    // Not to wait for anything: to die at another point each time.
    std::this_thread::sleep_for(std::chrono::microseconds(micros(random)));
    ::kill(engine, SIGKILL);
    if (kills % 10 != 5 || !std::filesystem::exists(folder_ / "pids")) continue;
    // Now and then a service dies as well, so that there is something to start.
    std::ifstream pids(folder_ / "pids");
    pid_t last = 0;
    for (pid_t pid = 0; pids >> pid;) last = pid;
    ::kill(last, SIGKILL);
  }
  hear("forked ");
  hear("up ");
  std::vector<pid_t> running;
  const auto until = std::chrono::steady_clock::now() + seconds(20);
  while (running.size() != 3 && std::chrono::steady_clock::now() < until) {
    running.clear();
    std::ifstream pids(folder_ / "pids");
    for (pid_t pid = 0; pids >> pid;) {
      const auto stat = read_stat(pid);
      if (stat && stat->state != 'Z') running.push_back(pid);
    }
  }
  EXPECT_EQ(running.size(), 3U);
}

TEST_F(AdoptionTest, AnExitWithoutAnEngineIsNotLost) {
  start({when("go", "exit 42")});
  const Up up = hear_up();
  const Descriptor service = open_pidfd(up.first());
  ::kill(keeper_->pid(), SIGSTOP);
  ::kill(up.engine, SIGKILL);
  touch("go");
  ASSERT_TRUE(wait_for_end(service));
  ::kill(keeper_->pid(), SIGCONT);
  EXPECT_EQ(hear("exited "), "42 0");
}

TEST_F(AdoptionTest, AnExitUnderTheNextEngineIsToldWithItsCode) {
  start({when("go", "exit 43")});
  ::kill(hear_up().engine, SIGKILL);
  hear_up();
  touch("go");
  EXPECT_EQ(hear("exited "), "43 0");
}

// Where nothing may be left behind by what ended, too.
TEST_F(AdoptionTest, AnExitIsToldAgainUntilItIsRecorded) {
  start({when("go", "exit 46")}, {.death_window = {}, .backoff = {}},
        [](core::RunSpec& spec) { spec.limits.pids = 100; });
  pid_t engine = hear_up().engine;
  touch("unrecorded");
  touch("go");
  for (const int signal : {SIGKILL, SIGUSR1, SIGKILL}) {
    ASSERT_EQ(hear("exited "), "46 0");
    EXPECT_EQ(table().size(), 1U);
    ::kill(engine, signal);
    engine = std::atoi(hear("up ").c_str());
    ASSERT_GT(engine, 0);
  }
  EXPECT_EQ(hear("exited "), "46 0");
  std::filesystem::remove(folder_ / "unrecorded");
  const auto until = std::chrono::steady_clock::now() + seconds(20);
  while (!table().empty() && std::chrono::steady_clock::now() < until) std::this_thread::yield();
  EXPECT_TRUE(table().empty());
}

// Between what the keeper told the next engine and the moment it adopts.
TEST_F(AdoptionTest, AnExitWhileTheNextEngineComesUpIsToldWithItsCode) {
  before_watch_ = [this] {
    const auto service = static_cast<pid_t>(table().at(0).incarnation.pid);
    touch("go");
    while (read_stat(service)) std::this_thread::yield();
  };
  start({when("go", "exit 47")});
  ::kill(hear_up().engine, SIGKILL);
  EXPECT_EQ(hear("exited "), "47 0");
}

TEST_F(AdoptionTest, AnExitTheKeeperHasNotSeenYetIsWaitedFor) {
  before_watch_ = [this] {
    const auto service = static_cast<pid_t>(table().at(0).incarnation.pid);
    ::kill(::getppid(), SIGSTOP);
    touch("go");
    for (auto stat = read_stat(service); stat && stat->state != 'Z'; stat = read_stat(service)) {
      std::this_thread::yield();
    }
  };
  start({when("go", "exit 48")});
  ::kill(hear_up().engine, SIGKILL);
  hear("up ");
  ::kill(keeper_->pid(), SIGCONT);
  EXPECT_EQ(hear("exited "), "48 0");
}

TEST_F(AdoptionTest, OutputWithoutAnEngineIsRead) {
  start({when("go", "echo meanwhile; touch " + (folder_ / "done") + "; exec sleep 1000")});
  const Up up = hear_up();
  ::kill(keeper_->pid(), SIGSTOP);
  ::kill(up.engine, SIGKILL);
  touch("go");
  while (!std::filesystem::exists(folder_ / "done")) {
    ASSERT_TRUE(read_stat(up.first()));
  }
  ::kill(keeper_->pid(), SIGCONT);
  EXPECT_EQ(hear("line "), "meanwhile");
}

// Of a pipe of its own, too: read by the next engine, and by one after the keeper died as well.
TEST_F(AdoptionTest, StderrOfItsOwnOutlivesBoth) {
  start({"while :; do echo tick >&2; sleep 0.01; done"}, {.death_window = {}, .backoff = {}},
        [](core::RunSpec& spec) { spec.output.errors = ""; });
  const Up first = hear_up();
  EXPECT_EQ(hear("line "), "tick");
  ::kill(first.engine, SIGKILL);
  const Up second = hear_up();
  EXPECT_EQ(second.services, first.services);
  EXPECT_EQ(hear("line "), "tick");
  EXPECT_NE(table().at(0).error_inode, 0U);
  EXPECT_NE(table().at(0).error_inode, table().at(0).output_inode);
  const Descriptor engine = open_pidfd(second.engine);
  ::kill(keeper_->pid(), SIGKILL);
  keeper_->wait();
  ::kill(second.engine, SIGKILL);
  ASSERT_TRUE(wait_for_end(engine));
  keeper_.reset();
  // Whatever the configuration says by now.
  std::get<core::RunSpec>(policy_.services[0].spec).output.errors = std::nullopt;
  keeper_.emplace([this] { return Engine(folder_.path(), policy_, mailbox_).run(false); });
  EXPECT_EQ(hear_up().services, first.services);
  EXPECT_EQ(hear("line "), "tick");
}

TEST_F(AdoptionTest, TermStopsServicesThroughTheEngine) {
  start({"exec sleep 1000"});
  const Descriptor service = open_pidfd(hear_up().first());
  ::kill(keeper_->pid(), SIGTERM);
  EXPECT_EQ(hear("exited "), "-1 15");
  EXPECT_TRUE(wait_for_end(service));
  EXPECT_EQ(keeper_->wait(), 0);
}

TEST_F(AdoptionTest, TermStopsServicesAlsoWhenTheEngineDiesAtThatMoment) {
  start({"exec sleep 1000"});
  const Up up = hear_up();
  const Descriptor service = open_pidfd(up.first());
  ::kill(keeper_->pid(), SIGSTOP);
  ::kill(up.engine, SIGKILL);
  ::kill(keeper_->pid(), SIGTERM);
  ::kill(keeper_->pid(), SIGCONT);
  EXPECT_TRUE(wait_for_end(service));
  EXPECT_EQ(keeper_->wait(), 0);
}

TEST_F(AdoptionTest, TheEngineGoesOnWithoutItsKeeper) {
  start({when("go", "exit 44")});
  const Up up = hear_up();
  ::kill(keeper_->pid(), SIGKILL);
  keeper_->wait();
  touch("go");
  EXPECT_EQ(hear("exited "), "44 0");
  const Descriptor engine = open_pidfd(up.engine);
  ::kill(up.engine, SIGTERM);
  EXPECT_TRUE(wait_for_end(engine));
}

TEST_F(AdoptionTest, ServicesOutliveBothAndPrintOn) {
  start({"while [ ! -e " + (folder_ / "go") + " ]; do echo tick; sleep 0.01; done; exit 45"});
  const Up up = hear_up();
  EXPECT_EQ(hear("line "), "tick");
  const Descriptor engine = open_pidfd(up.engine);
  ::kill(keeper_->pid(), SIGKILL);
  keeper_->wait();
  ::kill(up.engine, SIGKILL);
  ASSERT_TRUE(wait_for_end(engine));
  keeper_.reset();

  keeper_.emplace([this] { return Engine(folder_.path(), policy_, mailbox_).run(false); });
  EXPECT_EQ(hear_up().services, up.services);
  EXPECT_EQ(hear("line "), "tick");
  touch("go");
  const std::string exited = hear("exited ");
  // Nobody of ours was its parent: since Linux 6.15 the kernel can tell, before nobody can.
  EXPECT_TRUE(exited == "45 0" || exited == "-1 0") << exited;
}

}  // namespace
}  // namespace recover::adapters::process
