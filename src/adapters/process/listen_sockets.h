// Sockets that listen on behalf of services: opened once, passed to every start, kept in between.
//
// The keeper holds them over a crash of the engine; when both are gone they are taken back from the
// service that has them. So from the first start until the service is stopped no connection is
// refused. Loop thread.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include <recover/result.h>

#include "adapters/process/descriptor.h"
#include "adapters/process/keeper_link.h"
#include "core/execution.h"

namespace recover::adapters::process {

class ListenSockets {
 public:
  explicit ListenSockets(KeeperLink& keeper) : keeper_(keeper) {}

  using Passed = std::vector<std::pair<std::string, int>>;  // Name and borrowed descriptor.
  // All of the service, in their order; those of it that are not named any more are closed. Error:
  // "listen 127.0.0.1:80: Address already in use".
  Result<Passed, std::string> of(const std::string& service,
                                 const std::vector<core::SocketPolicy>& wanted);
  // After a crash: back from the keeper, else out of the process that was passed them.
  void recover(const std::string& service, const std::vector<core::SocketPolicy>& wanted,
               int pidfd);
  // The service was stopped: its sockets refuse.
  void close(const std::string& service);

 private:
  using Key = std::pair<std::string, std::string>;  // Service, address.
  void forget(std::map<Key, Descriptor>::iterator entry);

  KeeperLink& keeper_;
  std::map<Key, Descriptor> open_;
};

// Listens (or is bound, for datagrams); does not block; closes on exec. Error: with the address.
Result<Descriptor, std::string> open_listener(const core::SocketPolicy& wanted);

// Sixteen hexadecimal digits that another text does not have (FNV-1a): for labels and folders.
std::string short_name(std::string_view text);

}  // namespace recover::adapters::process
