// The receiving end of sd_notify(3) for one instance: READY=1, WATCHDOG=1, STOPPING=1, STATUS=….
//
// An abstract datagram socket with an unguessable name: no file to own, clean up or make reachable
// for the service's user. Each message carries the sender's credentials from the kernel; whether to
// believe them is the caller's to judge. MAINPID is ignored: the leader is the process we started.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <recover/result.h>

#include "adapters/process/descriptor.h"

namespace recover::adapters::process {

struct Notification {
  pid_t sender = 0;
  uid_t uid = 0;
  bool ready = false;
  bool watchdog = false;
  bool stopping = false;
  std::string status;
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
