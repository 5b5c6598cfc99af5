#include "apps/recoverd/service_router.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <cstddef>
#include <utility>

namespace recover::apps {

static_assert(static_cast<std::size_t>(core::ServiceKind::Backup) + 1 ==
              std::tuple_size_v<ServiceRouter::Hands>);

void ServiceRouter::perform(const core::Command& command, const core::Policy& policy,
                            ports::Done done) {
  const core::ServiceKind kind = core::kind_of(policy.service(command.service).spec);
  ports::Effector* const hand = hands_.at(static_cast<std::size_t>(kind));
  if (hand != nullptr) return hand->perform(command, policy, std::move(done));
  boost::asio::post(loop_, [id = command.id, done = std::move(done)] {
    done({.command = id,
          .outcome = core::CommandOutcome::Refused,
          .detail = "a backup is not started or stopped"});
  });
}

void ServiceRouter::cancel(core::CommandId command) {
  for (ports::Effector* each : hands_) {
    if (each != nullptr) each->cancel(command);
  }
}

}  // namespace recover::apps
