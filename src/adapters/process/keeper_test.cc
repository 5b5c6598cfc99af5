// A real keeper with real engines: what it survives, keeps and hands over.
#include "adapters/process/keeper.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string>

#include "adapters/process/keeper_handover.h"
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

// In packets of kManyMax, and those are not filled to the last.
TEST(Keeper, KeepsManyDescriptorsForTheNextEngine) {
  constexpr int kMany = static_cast<int>(2 * kManyMax + 7);
  Mailbox mailbox;
  KeeperProcess keeper([&] {
    KeeperLink link = KeeperLink::connect();
    const auto found = link.labels("kept/");
    int right = 0;
    for (const std::string& label : found) {
      std::array<char, 16> text{};
      const Descriptor fd = link.take(label);
      const bool read = fd && ::pread(fd.get(), text.data(), text.size() - 1, 0) > 0;
      right += read && label == "kept/" + std::string(text.data()) ? 1 : 0;
    }
    if (!found.empty()) {
      mailbox.say(std::to_string(found.size()) + " kept, " + std::to_string(right) + " right");
      sleep_forever();
    }
    for (int i = 0; i < kMany; ++i) {
      const Descriptor file(::memfd_create("kept", MFD_CLOEXEC));
      const std::string text = std::to_string(i);
      if (::write(file.get(), text.data(), text.size()) < 1) return 0;
      link.store("kept/" + text, file.get());
    }
    ::raise(SIGKILL);
    return 0;
  });
  EXPECT_EQ(mailbox.hear(), std::to_string(kMany) + " kept, " + std::to_string(kMany) + " right");
}

TEST(Keeper, APacketOfManyIsDroppedByWhoDoesNotKnowIt) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()),
            0);
  const Descriptor here(ends[0]);
  const Descriptor there(ends[1]);
  const std::array<Label, 2> labels{make_label("a"), make_label("b")};
  const std::array<int, 2> fds{0, 1};
  ASSERT_EQ(send_many(here.get(), labels, fds), Transfer::Done);
  ASSERT_EQ(send_message(here.get(), {.kind = MessageKind::Kept, .label = make_label("c")}, 2),
            Transfer::Done);
  Received received;
  EXPECT_EQ(receive_message(there.get(), received), Transfer::Later);  // Dropped.
  EXPECT_FALSE(received.attached);
  Many many;
  ASSERT_EQ(receive_message(there.get(), received, &many), Transfer::Done);
  EXPECT_EQ(many.count, 0U);
  EXPECT_STREQ(received.message.label.data(), "c");
  EXPECT_TRUE(received.attached);
  ASSERT_EQ(send_many(here.get(), labels, fds), Transfer::Done);
  ASSERT_EQ(receive_message(there.get(), received, &many), Transfer::Done);
  ASSERT_EQ(many.count, 2U);
  EXPECT_STREQ(many.labels[1].data(), "b");
  EXPECT_TRUE(many.attached[0] && many.attached[1]);
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

TEST(Keeper, ExecutesItsProgramAnewWithAllItKeeps) {
  Mailbox mailbox;
  std::string program = "/bin/sh";
  std::string option = "-c";
  // It shows what it was given: the text of the handover, and whether a kept descriptor is open.
  std::string script = "cat /proc/self/fd/$RECOVERD_KEEPER_HANDOVER >&" +
                       std::to_string(mailbox.writing_end()) + "; kill -9 $$";
  std::array<char*, 4> arguments = {program.data(), option.data(), script.data(), nullptr};
  ::fcntl(mailbox.writing_end(), F_SETFD, 0);
  KeeperProcess keeper(
      [&] {
        KeeperLink link = KeeperLink::connect();
        std::array<int, 2> ends{};
        if (::pipe2(ends.data(), O_CLOEXEC) != 0) return 1;
        link.store("kept", ends[0]);
        const pid_t service = ::fork();
        if (service == 0) {
          ::setsid();
          ::_exit(42);
        }
        link.reexec();
        return 0;
      },
      {.program = program.c_str(), .arguments = arguments.data()});
  const int status = keeper.wait();
  EXPECT_TRUE(WIFSIGNALED(status));
  const std::string kept = mailbox.hear();
  EXPECT_TRUE(kept.starts_with("fd ") && kept.ends_with(" kept")) << kept;
}

TEST(Keeper, TakesOverFromTheKeeperBeforeIt) {
  const Descriptor handover = begin_handover();
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  add_kept(handover, make_label("web out"), ends[0]);
  add_exit(handover, {.pid = 12, .start_time = 34, .code = 5, .signal = 0});
  ASSERT_EQ(::write(handover.get(), "later 1 2 3\n", 12), 12);
  EXPECT_EQ(::fcntl(ends[0], F_GETFD), 0) << "it must stay open over the exec";
  std::string kept;
  std::string ended;
  read_handover(
      ::dup(handover.get()),
      [&](const Label& label, int fd) { kept += std::string(label.data()) + std::to_string(fd); },
      [&](const KeptExit& exit) { ended += std::to_string(exit.pid) + std::to_string(exit.code); });
  EXPECT_EQ(kept, "web out" + std::to_string(ends[0]));
  EXPECT_EQ(ended, "125");
  EXPECT_EQ(::fcntl(ends[0], F_GETFD), FD_CLOEXEC);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(Keeper, GoesOnWhenThereIsNothingToExecute) {
  Mailbox mailbox;
  std::array<char*, 1> arguments = {nullptr};
  KeeperProcess keeper(
      [&] {
        KeeperLink link = KeeperLink::connect();
        mailbox.say("up");
        link.reexec();
        return 0;
      },
      {.program = "/no/such/program", .arguments = arguments.data()});
  EXPECT_EQ(mailbox.hear(), "up");
  EXPECT_EQ(mailbox.hear(), "up");
}

TEST(Keeper, PassesAnnouncementsOnToTheServiceManager) {
  const std::string path = "/tmp/recoverd-test-manager-" + std::to_string(::getpid());
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  std::memcpy(name.sun_path, path.data(), path.size());
  const Descriptor manager(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::bind(manager.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name), 0);
  ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
  KeeperProcess keeper([] {
    KeeperLink link = KeeperLink::connect();
    link.announce(std::getenv("NOTIFY_SOCKET") == nullptr ? "READY=1" : "LEAKED=1");
    return 0;
  });
  ::unsetenv("NOTIFY_SOCKET");
  keeper.wait();
  std::array<char, 32> text{};
  EXPECT_EQ(::recv(manager.get(), text.data(), text.size(), MSG_DONTWAIT), 7);
  EXPECT_STREQ(text.data(), "READY=1");
  ::unlink(path.c_str());
}

}  // namespace
}  // namespace recover::adapters::process
