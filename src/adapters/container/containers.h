// Watches the `container:` services through the Docker-compatible API of Docker or Podman, and
// starts, stops, restarts and signals them there.
//
// Decides nothing. What happens is heard from the engine's event stream; a container that the
// engine restarts itself is told as Healing. A compose service is every container with its label,
// each an instance. Invariant: every command gets exactly one answer. Loop thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
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

namespace recover::adapters::container {

struct ContainersOptions {
  ports::Sink sink;
  std::function<Instant()> now;  // The engine's clock: deadlines are on it.
  // Clock ticks since boot; 0: no such process.
  std::function<std::uint64_t(std::int64_t pid)> start_time_of;
  std::function<void(std::string)> problem;  // For the log.
};

// Performs Start, Stop, Restart, Reload (SIGHUP) and Signal; anything else is Refused.
class Containers final : public ports::EventSource, public ports::Effector {
 public:
  // The loop outlives it.
  Containers(boost::asio::io_context& loop, ContainersOptions options);
  ~Containers() override;

  void watch(const core::Policy& policy) override;
  void look(core::ServiceIndex service) override;
  void perform(const core::Command& command, const core::Policy& policy, ports::Done done) override;
  void cancel(core::CommandId command) override;

 private:
  class Group;   // One service: its containers.
  class Engine;  // One socket: its event stream.
  struct Job;

  void report(const ports::Done& done, core::CommandFinished finished);
  void act(const std::shared_ptr<Job>& job, const std::string& socket,
           const std::vector<std::string>& ids);
  void finish(const std::shared_ptr<Job>& job, core::CommandOutcome outcome, std::string detail);

  boost::asio::io_context& loop_;
  ContainersOptions options_;
  std::map<std::string, std::shared_ptr<Group>> groups_;    // By service.
  std::map<std::string, std::shared_ptr<Engine>> engines_;  // By socket.
  std::map<core::CommandId, std::shared_ptr<Job>> jobs_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace recover::adapters::container
