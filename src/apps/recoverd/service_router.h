// Sends a command to whoever acts on services of that kind: our own processes, systemd, containers,
// observed processes. Refuses nothing itself.
#pragma once

#include <array>

#include "ports/effector.h"

namespace boost::asio {
class io_context;
}

namespace recover::apps {

class ServiceRouter final : public ports::Effector {
 public:
  // Borrowed; in the order of core::ServiceKind. Null: nobody acts on those.
  using Hands = std::array<ports::Effector*, 5>;
  ServiceRouter(boost::asio::io_context& loop, Hands hands) : loop_(loop), hands_(hands) {}

  void perform(const core::Command& command, const core::Policy& policy, ports::Done done) override;
  void cancel(core::CommandId command) override;

 private:
  boost::asio::io_context& loop_;
  Hands hands_;
};

}  // namespace recover::apps
