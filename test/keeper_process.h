// A real keeper in a process of its own, a pipe to hear from its engines, and a folder to work in.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <system_error>

#include "adapters/process/descriptor.h"
#include "adapters/process/keeper.h"

namespace recover::adapters::process::test {

inline constexpr int kPatienceMillis = 30'000;

// A pipe the engines write one-line messages to, and the test reads.
class Mailbox {
 public:
  Mailbox() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    reader_.reset(ends[0]);
    writer_.reset(ends[1]);
  }
  void say(const std::string& text) const {
    const std::string line = text + "\n";
    EXPECT_EQ(::write(writer_.get(), line.data(), line.size()), static_cast<ssize_t>(line.size()));
  }
  // The next line; empty when none came.
  std::string hear() {
    std::string line;
    for (char letter = 0;;) {
      pollfd ready{.fd = reader_.get(), .events = POLLIN, .revents = 0};
      if (::poll(&ready, 1, kPatienceMillis) != 1 || ::read(reader_.get(), &letter, 1) != 1) {
        return "";
      }
      if (letter == '\n') return line;
      line += letter;
    }
  }
  int writing_end() const { return writer_.get(); }
  long hear_number() { return std::strtol(hear().c_str(), nullptr, 10); }

 private:
  Descriptor reader_;
  Descriptor writer_;
};

// A keeper in a process of its own, ended with the test.
class KeeperProcess {
 public:
  explicit KeeperProcess(const std::function<int()>& engine_main, KeeperOptions options = {}) {
    pid_ = ::fork();
    if (pid_ == 0) ::_exit(run_keeper(engine_main, options));
  }
  KeeperProcess(const KeeperProcess&) = delete;
  KeeperProcess& operator=(const KeeperProcess&) = delete;
  ~KeeperProcess() {
    if (pid_ > 0) {
      ::kill(pid_, SIGTERM);
      wait();
    }
  }

  pid_t pid() const { return pid_; }
  int wait() {
    int status = 0;
    EXPECT_EQ(::waitpid(pid_, &status, 0), pid_);
    pid_ = -1;
    return status;
  }

 private:
  pid_t pid_ = -1;
};

// A new folder below /tmp, removed at the end.
class Folder {
 public:
  Folder() {
    std::string name = "/tmp/recoverd_test_XXXXXX";
    path_ = ::mkdtemp(name.data());
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace recover::adapters::process::test
