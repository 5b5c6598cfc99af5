#include "adapters/systemd/units.h"

#include <utility>

#include "adapters/systemd/room.h"

namespace recover::adapters::systemd {

Units::Units(boost::asio::io_context& loop, UnitsOptions options)
    : room_(std::make_unique<Room>(loop, std::move(options))) {}
Units::~Units() = default;

void Units::watch(const core::Policy& policy) {
  room_->watch(policy);
}
void Units::look(core::ServiceIndex service) {
  room_->look(service);
}
void Units::perform(const core::Command& command, const core::Policy& policy, ports::Done done) {
  room_->perform(command, policy, std::move(done));
}
void Units::cancel(core::CommandId command) {
  room_->cancel(command);
}

}  // namespace recover::adapters::systemd
