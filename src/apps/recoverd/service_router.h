// Sends a command to whoever acts on services of that kind: our own processes, systemd, containers,
// observed processes. Refuses nothing itself.
#pragma once

#include <array>

#include "ports/effector.h"

namespace recover::apps {

class ServiceRouter final : public ports::Effector {
 public:
  // Borrowed; in the order of core::ServiceKind.
  using Hands = std::array<ports::Effector*, 4>;
  explicit ServiceRouter(Hands hands) : hands_(hands) {}

  void perform(const core::Command& command, const core::Policy& policy, ports::Done done) override;
  void cancel(core::CommandId command) override;

 private:
  Hands hands_;
};

}  // namespace recover::apps
