// Watches the processes of `observe:` services: somebody else's, found by a pid file or by what
// they are, told when they end, found again when they come back.
//
// Starts and stops nothing: the only action is a signal. Invariant: a process is held by pidfd and
// start time, so a reused pid is never taken for it nor signalled. Loop thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include <recover/time.h>

#include "core/event.h"
#include "core/policy.h"
#include "ports/effector.h"
#include "ports/event_source.h"

namespace boost::asio {
class io_context;
}

namespace recover::adapters::observe {

struct ObserverOptions {
  ports::Sink sink;
  // Clock ticks since boot; 0: no such process.
  std::function<std::uint64_t(std::int64_t pid)> start_time_of;
  Duration search_interval = std::chrono::seconds{1};  // While it is not there.
  Duration check_interval = std::chrono::seconds{5};   // Whether the pid file names another.
};

class Observer final : public ports::EventSource, public ports::Effector {
 public:
  // The loop outlives it.
  Observer(boost::asio::io_context& loop, ObserverOptions options);
  ~Observer() override;

  void watch(const core::Policy& policy) override;
  // Searches now if it is not there.
  void look(core::ServiceIndex service) override;

  // Signal; everything else is Refused.
  void perform(const core::Command& command, const core::Policy& policy, ports::Done done) override;
  void cancel(core::CommandId command) override;

 private:
  class Watch;
  void report(const ports::Done& done, core::CommandFinished finished);

  boost::asio::io_context& loop_;
  ObserverOptions options_;
  std::map<std::string, std::shared_ptr<Watch>> watches_;  // By service.
};

}  // namespace recover::adapters::observe
