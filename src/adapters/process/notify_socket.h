// The receiving end of sd_notify(3) for one instance: the whole set but FDPOLL and MONOTONIC_USEC.
//
// An abstract datagram socket with an unguessable name: no file to own, clean up or make reachable
// for the service's user. Each message carries the sender's credentials from the kernel; whether to
// believe them is the caller's to judge. Descriptors that come without FDSTORE=1 are closed once
// everything before them was read, which is what BARRIER=1 waits for.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <recover/result.h>
#include <recover/time.h>

#include "adapters/process/descriptor.h"

namespace recover::adapters::process {

struct Notification {
  pid_t sender = 0;
  uid_t uid = 0;
  bool ready = false;
  bool watchdog = false;
  bool stopping = false;
  bool reloading = false;
  bool trigger = false;  // WATCHDOG=trigger: it found itself broken.
  bool store = false;    // FDSTORE=1: `descriptors` are to be kept under `name`.
  bool forget = false;   // FDSTOREREMOVE=1: those of `name` need not be kept any more.
  std::string name;      // FDNAME; empty: none.
  std::string status;
  std::optional<pid_t> main_pid;
  std::optional<int> error;              // ERRNO
  std::optional<Duration> extend;        // EXTEND_TIMEOUT_USEC: from now.
  std::optional<Duration> watchdog_for;  // WATCHDOG_USEC: the time from now on.
  std::vector<Descriptor> descriptors;   // Of `store`.
};

class NotifySocket {
 public:
  NotifySocket() = default;
  static Result<NotifySocket, std::string> bind(std::string_view token);
  // One an earlier engine bound.
  explicit NotifySocket(Descriptor socket) : socket_(std::move(socket)) {}

  explicit operator bool() const noexcept { return static_cast<bool>(socket_); }
  int fd() const noexcept { return socket_.get(); }
  // What waits, at most kNotificationsMax.
  std::vector<Notification> receive();

  // The value of NOTIFY_SOCKET for that token.
  static std::string address(std::string_view token);

 private:
  Descriptor socket_;
};

inline constexpr std::size_t kNotificationsMax = 64;
Notification parse_notification(std::string_view text);

}  // namespace recover::adapters::process
