// Watches the `systemd:` services over D-Bus and carries out what is commanded for them.
//
// Decides nothing. What happens to a unit is heard from systemd's signals, never polled. A unit
// that systemd restarts itself is told as Healing, so that nobody does it a second time. Invariant:
// every command gets exactly one answer, also when the bus is lost in the middle. Loop thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <recover/time.h>

#include "core/event.h"
#include "core/policy.h"
#include "ports/effector.h"
#include "ports/event_source.h"

namespace boost::asio {
class io_context;
}

namespace recover::adapters::systemd {

struct UnitsOptions {
  ports::Sink sink;
  std::function<Instant()> now;  // The engine's clock: deadlines are on it.
  // Clock ticks since boot; 0: no such process.
  std::function<std::uint64_t(std::int64_t pid)> start_time_of;
  std::function<void(std::string)> problem;  // For the log: what people should know.
  std::string address = {};                  // Of the bus; empty: the system's.
};

// Performs Start, Stop, Restart, Reload and Signal; anything else is Refused.
class Units final : public ports::EventSource, public ports::Effector {
 public:
  // The loop outlives it.
  Units(boost::asio::io_context& loop, UnitsOptions options);
  ~Units() override;

  // Connects to the bus with the first systemd service, not before.
  void watch(const core::Policy& policy) override;
  // Reads the unit's state anew.
  void look(core::ServiceIndex service) override;

  void perform(const core::Command& command, const core::Policy& policy, ports::Done done) override;
  void cancel(core::CommandId command) override;

 private:
  class Room;
  std::unique_ptr<Room> room_;
};

}  // namespace recover::adapters::systemd
