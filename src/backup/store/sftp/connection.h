// One connection to an SFTP server: any number of requests under way at once, from any threads,
// each answered by its number.
//
// What breaks it (the process ends, an answer makes no sense, a request waits too long) breaks it
// for good and for all who wait: they are told Unreachable, and its owner makes another.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <recover/time.h>

#include "backup/store/sftp/backend_process.h"
#include "backup/store/sftp/packet.h"

namespace recover::backup::sftp {

struct Answer {
  Type type = Type::Status;
  Bytes payload;  // Behind the request's number.
};

class Connection {
 public:
  // Starts the program and greets it.
  static Outcome<std::unique_ptr<Connection>> open(const std::vector<std::string>& command,
                                                   Duration patience);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection();

  using Ticket = std::uint32_t;

  // Sends a request; its answer waits until it is taken. Blocks while the pipe is full.
  Outcome<Ticket> send(Type type, View fields);
  // The answer to a request, once.
  Outcome<Answer> take(Ticket ticket);
  // Both.
  Outcome<Answer> ask(Type type, View fields);

  bool is_broken();
  // The server announced it: "fsync@openssh.com".
  bool has(const std::string& extension) const { return extensions_.contains(extension); }
  // How many bytes one Read or Write may carry.
  std::uint32_t transfer_bytes() const noexcept { return transfer_bytes_; }

 private:
  Connection(BackendProcess process, Duration patience);
  Outcome<void> greet();
  void ask_limits();
  void listen();
  bool receive();
  void break_off(const std::string& why);
  Unexpected<Failure> broken_failure() const;

  BackendProcess process_;
  Duration patience_;
  std::set<std::string> extensions_;
  std::uint32_t transfer_bytes_ = 32U << 10U;  // What every server takes.

  std::mutex writing_;  // Held while a packet is written: packets never mix.
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::map<Ticket, std::optional<Answer>> waiting_;
  Ticket next_ = 1;
  std::string broken_;  // Why; empty: it is not.
  std::thread listener_;
};

}  // namespace recover::backup::sftp
