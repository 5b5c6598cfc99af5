#include "adapters/process/supervisor.h"

#include <utility>

#include "adapters/process/fleet.h"

namespace recover::adapters::process {

Supervisor::Supervisor(boost::asio::io_context& loop, SupervisorOptions options, ports::Sink sink)
    : fleet_(std::make_unique<Fleet>(loop, std::move(options), std::move(sink))) {}
Supervisor::~Supervisor() = default;

void Supervisor::watch(const core::Policy& policy) {
  fleet_->watch(policy);
}
void Supervisor::look(core::ServiceIndex /*service*/) {}

void Supervisor::perform(const core::Command& command, const core::Policy& policy,
                         ports::Done done) {
  fleet_->perform(command, policy, std::move(done));
}
void Supervisor::cancel(core::CommandId command) {
  fleet_->cancel(command);
}

void Supervisor::stop_all(Duration timeout, std::function<void()> done) {
  fleet_->stop_all(timeout, std::move(done), false);
}
void Supervisor::stop_removed(Duration timeout, std::function<void()> done) {
  fleet_->stop_all(timeout, std::move(done), true);
}

std::vector<InstanceView> Supervisor::instances(core::ServiceIndex service) const {
  return fleet_->instances(service);
}
std::vector<std::string> Supervisor::tail(core::ServiceIndex service,
                                          std::uint32_t instance) const {
  return fleet_->tail(service, instance);
}

std::vector<std::string> Supervisor::tail_of(core::ServiceIndex service, std::uint32_t instance,
                                             Stream stream) const {
  return fleet_->tail_of(service, instance, stream);
}

std::uint64_t Supervisor::recorded(core::ServiceIndex service, std::uint32_t instance,
                                   Stream stream) const {
  return fleet_->recorded(service, instance, stream);
}
void Supervisor::clear_output(core::ServiceIndex service, std::uint32_t instance) {
  fleet_->clear_output(service, instance);
}

const std::string& Supervisor::problem() const noexcept {
  return fleet_->problem();
}

}  // namespace recover::adapters::process
