#include "apps/recoverd/service_router.h"

#include <cstddef>
#include <utility>

namespace recover::apps {

static_assert(static_cast<std::size_t>(core::ServiceKind::Observe) + 1 ==
              std::tuple_size_v<ServiceRouter::Hands>);

void ServiceRouter::perform(const core::Command& command, const core::Policy& policy,
                            ports::Done done) {
  const core::ServiceKind kind = core::kind_of(policy.service(command.service).spec);
  hands_.at(static_cast<std::size_t>(kind))->perform(command, policy, std::move(done));
}

void ServiceRouter::cancel(core::CommandId command) {
  for (ports::Effector* each : hands_) each->cancel(command);
}

}  // namespace recover::apps
