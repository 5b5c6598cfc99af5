// The HTTP exchanges of an effector that are under way, by command.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "adapters/command/effectors.h"
#include "clients/http_exchange.h"

namespace recover::adapters::command {

class HttpRequests {
 public:
  explicit HttpRequests(Tools tools) : tools_(std::move(tools)) {}

  // Sends it; an empty `wanted` is any 2xx. `secrets` are hidden in what is reported.
  void send(core::CommandId id, clients::HttpRequest request, std::vector<int> wanted,
            std::vector<std::string> secrets, ports::Done done);
  void cancel(core::CommandId id);

 private:
  Tools tools_;
  std::map<core::CommandId, std::shared_ptr<clients::HttpExchange>> running_;
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace recover::adapters::command
