// A real keeper with real engines: what it survives, keeps and hands over.
#include "adapters/process/keeper.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <string>

#include "adapters/process/keeper_link.h"
#include "adapters/process/keeper_message.h"
#include "adapters/process/proc_file.h"
#include "adapters/process/process.h"
#include "test/keeper_process.h"

namespace recover::adapters::process {
namespace {

using test::KeeperProcess;
using test::kPatienceMillis;
using test::Mailbox;

[[noreturn]] void sleep_forever() {
  while (true) ::pause();
}

TEST(Keeper, EndsWithTheEnginesCodeWhenThatIsSuccessOrAConfigurationError) {
  for (const int code : {0, 2}) {
    KeeperProcess keeper([code] { return code; });
    const int status = keeper.wait();
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), code);
  }
}

TEST(Keeper, StartsTheEngineAgainWhenItIsKilled) {
  Mailbox mailbox;
  KeeperProcess keeper([&] {
    mailbox.say(std::to_string(::getpid()));
    KeeperLink::connect();
    sleep_forever();
    return 0;
  });
  pid_t before = 0;
  for (int life = 0; life < 5; ++life) {
    const auto engine = static_cast<pid_t>(mailbox.hear_number());
    ASSERT_GT(engine, 0);
    EXPECT_NE(engine, before);
    before = engine;
    if (life < 4) ::kill(engine, SIGKILL);
  }
}

TEST(Keeper, PassesTermOnAndEndsWithTheEngine) {
  Mailbox mailbox;
  KeeperProcess keeper([&] {
    sigset_t term;
    ::sigemptyset(&term);
    ::sigaddset(&term, SIGTERM);
    ::sigprocmask(SIG_BLOCK, &term, nullptr);
    const KeeperLink link = KeeperLink::connect();
    mailbox.say("up");
    int number = 0;
    ::sigwait(&term, &number);
    mailbox.say("got " + std::to_string(number));
    return 7;
  });
  EXPECT_EQ(mailbox.hear(), "up");
  ::kill(keeper.pid(), SIGTERM);
  EXPECT_EQ(mailbox.hear(), "got 15");
  const int status = keeper.wait();
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 7);
}

TEST(Keeper, KeepsDescriptorsForTheNextEngine) {
  Mailbox mailbox;
  KeeperProcess keeper([&] {
    KeeperLink link = KeeperLink::connect();
    const Descriptor found = link.take("kept");
    if (found) {
      std::array<char, 16> text{};
      mailbox.say("read " + std::to_string(::read(found.get(), text.data(), text.size())) +
                  text.data());
      mailbox.say("dropped " + std::to_string(link.labels("gone").size()));
      sleep_forever();
    }
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0 || ::write(ends[1], "words", 5) != 5) return 0;
    link.store("kept", ends[0]);
    link.store("gone", ends[0]);
    link.drop("gone");
    ::raise(SIGKILL);
    return 0;
  });
  EXPECT_EQ(mailbox.hear(), "read 5words");
  EXPECT_EQ(mailbox.hear(), "dropped 0");
}

TEST(Keeper, TellsTheNextEngineHowALeftProcessEnded) {
  Mailbox mailbox;
  Mailbox to_engine;
  Mailbox to_service;
  Mailbox from_service;
  KeeperProcess keeper([&] {
    KeeperLink link = KeeperLink::connect();
    const long pid = to_engine.hear_number();
    if (pid == 0) {
      const pid_t service = ::fork();
      if (service == 0) {
        ::setsid();
        from_service.say("ready");
        to_service.hear();
        ::_exit(42);
      }
      if (from_service.hear() != "ready") return 0;
      mailbox.say(std::to_string(service));
      mailbox.say(std::to_string(read_stat(service)->start_time));
      ::raise(SIGKILL);
    }
    const core::Incarnation incarnation{
        .pid = pid, .start_time = std::strtoull(to_engine.hear().c_str(), nullptr, 10)};
    while (!link.exit_of(incarnation)) {
      pollfd ready{.fd = link.fd(), .events = POLLIN, .revents = 0};
      if (::poll(&ready, 1, kPatienceMillis) != 1 || !link.receive()) break;
    }
    const auto status = link.exit_of(incarnation).value_or(ExitStatus{});
    mailbox.say("code " + std::to_string(status.code));
    return 0;
  });
  to_engine.say("0");
  const std::string pid = mailbox.hear();
  const std::string start_time = mailbox.hear();
  to_engine.say(pid);
  to_engine.say(start_time);
  to_service.say("end");
  EXPECT_EQ(mailbox.hear(), "code 42");
}

TEST(Keeper, WaitsBeforeTheNextStartWhenEnginesDieInARow) {
  Mailbox mailbox;
  KeeperProcess keeper([&] {
    mailbox.say(std::to_string(std::chrono::steady_clock::now().time_since_epoch().count()));
    return 1;
  });
  std::vector<long> starts;
  for (std::size_t i = 0; i < kEngineDeathsMax + 2; ++i) starts.push_back(mailbox.hear_number());
  const auto pause = std::chrono::nanoseconds(starts.back() - starts[starts.size() - 2]);
  EXPECT_GE(pause,
            KeeperOptions{}.backoff);  // At least: a slow machine makes it longer, never shorter.
}

}  // namespace
}  // namespace recover::adapters::process
