// A program that serves a protocol on its standard input and output, as `ssh … -s sftp` does. Both
// are one socket, so that who waits on it can be set free by another thread.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "backup/failure.h"
#include "backup/local/file.h"

namespace recover::backup::sftp {

// One owner. The end of its life closes the socket, which ends such a program; one that stays is
// killed. What it says on standard error goes where ours goes: ssh asks and warns there.
class BackendProcess {
 public:
  // REQUIRES: arguments has the program's name. Looked for in PATH.
  static Outcome<BackendProcess> start(const std::vector<std::string>& arguments);

  BackendProcess(BackendProcess&& other) noexcept
      : pid_(std::exchange(other.pid_, -1)), channel_(std::move(other.channel_)) {}
  BackendProcess& operator=(BackendProcess&& other) = delete;
  ~BackendProcess();

  // Writes go to its standard input, reads come from its standard output.
  int channel() const noexcept { return channel_.get(); }
  pid_t pid() const noexcept { return pid_; }
  // Ends it, and every read and write of the channel. Any thread.
  void break_off() const;

 private:
  BackendProcess(pid_t pid, Descriptor channel) : pid_(pid), channel_(std::move(channel)) {}

  pid_t pid_;
  Descriptor channel_;
};

// As a shell splits words: white space, quotes of both kinds, backslashes; nothing else has a
// meaning. None: a quote is open.
std::optional<std::vector<std::string>> split_words(std::string_view text);

}  // namespace recover::backup::sftp
