// One blocking connection to a Redis server: commands, lines, bytes. One thread.
#pragma once

#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "backup/failure.h"
#include "core/backup_source.h"
#include "posix/descriptor.h"

namespace recover::apps {

class RedisConnection {
 public:
  static constexpr std::size_t kLineMax = 4096;

  // Connected, and told who we are. NotPermitted: the server does not want us.
  static backup::Outcome<RedisConnection> open(const core::RedisSource& source,
                                               std::stop_token stop);

  backup::Outcome<void> send(const std::vector<std::string>& words);
  // Without its end.
  backup::Outcome<std::string> line();
  // At most as many as there is room for; 0: the server has closed it.
  backup::Outcome<std::size_t> read(std::span<std::uint8_t> room);
  // A reply as text: an error reply is a failure, of a list the items one a line.
  backup::Outcome<std::string> ask(const std::vector<std::string>& words);

 private:
  RedisConnection(posix::Descriptor socket, std::stop_token stop)
      : socket_(std::move(socket)), stop_(std::move(stop)) {}
  backup::Outcome<void> fill();
  backup::Outcome<std::string> reply();
  backup::Outcome<std::string> bytes(std::size_t count);

  posix::Descriptor socket_;
  std::stop_token stop_;
  std::string waiting_;  // Received, not yet taken.
};

// Of the source, for messages.
std::string where(const core::RedisSource& source);

}  // namespace recover::apps
