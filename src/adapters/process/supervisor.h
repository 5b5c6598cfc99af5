// Supervises the processes of `run:` services: starts, watches, stops, adopts them.
//
// Decides nothing: what it sees goes to the sink, what it does is commanded. Services outlive it;
// what was running is taken over from <state_dir>/run/processes at the first watch(). Loop thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <recover/time.h>

#include "core/event.h"
#include "core/policy.h"
#include "ports/effector.h"
#include "ports/event_source.h"

namespace boost::asio {
class io_context;
}

namespace recover::adapters::process {

class Adoption;
class KeeperLink;

struct SupervisorOptions {
  std::string state_dir;
  KeeperLink* keeper = nullptr;  // Borrowed. Null or not connected: the supervisor is alone and
                                 // becomes child subreaper itself.
  // What was left running, already being looked up; borrowed until the first watch(). Null: it is
  // looked up then.
  Adoption* adoption = nullptr;
  // Each line a service prints, with its instance (from 0).
  std::function<void(core::ServiceIndex, std::uint32_t, std::string_view)> on_line = nullptr;
  bool cgroups = true;  // Use cgroup v2 where it is writable.
  // Begins to look at the service's health; what it returns is asked again and again and says
  // whether every probe has passed a look begun since. Null: whoever is ready is well.
  std::function<std::function<bool()>(core::ServiceIndex)> health_check = nullptr;
  // Who owns the policy that watch() is given, so that the specs of services are kept once. Null,
  // or of another policy: they are copied.
  std::function<std::shared_ptr<const core::Policy>()> policy = nullptr;
  // Everything the sink was given is recorded, for a next engine to read: until then an exit is
  // kept to be told again. Null: what the sink has taken is.
  std::function<bool()> recorded = nullptr;
};

// What a service prints on. Error is silent where both go into one log.
enum class Stream : std::uint8_t { Output, Error };

struct InstanceView {
  std::string name;  // "web@1"
  core::Incarnation incarnation;
  bool running = false;
  bool ready = false;
  std::string cgroup;  // Folder; empty: none.
  std::uint64_t dropped_lines = 0;
  std::string status;      // sd_notify STATUS, the latest.
  bool reloading = false;  // Between RELOADING=1 and READY=1.
};

class Fleet;

// Emits ProcessStarted, ProcessReady, ProcessExited and WatchdogExpired. An exit is told at least
// once: after a crash of the engine perhaps again, with the same incarnation.
// Performs Start, Stop, Restart, Scale, Reload, Signal, Freeze and Thaw on `run:` services;
// anything else is Refused.
class Supervisor final : public ports::EventSource, public ports::Effector {
 public:
  // `loop` and what options borrow outlive the supervisor. Destroying it leaves services running.
  Supervisor(boost::asio::io_context& loop, SupervisorOptions options, ports::Sink sink);
  ~Supervisor() override;

  // The first call adopts. Services that left the policy run on, unseen, until stop_removed(); a
  // changed spec counts from the next start.
  void watch(const core::Policy& policy) override;
  // Nothing to look at: ends are seen as they happen.
  void look(core::ServiceIndex service) override;

  // A start, stop or restart may name instances in its text; those in `held` are never started.
  // Start: Done when every instance is ready (at once if all are); Failed with the reason and the
  // last lines printed, what it started and was not ready being killed. Stop: Done when nothing is
  // left; Unknown at the deadline. Restart at a person's wish: one instance after the other, each
  // ready and well before the next, when all of several are up; a recovery's stops all first.
  // Scale: to the number in the command's text or by that of its ScaleAction; remembered over our
  // end until the configured number changes. A newer command for the service ends an older one as
  // Failed.
  void perform(const core::Command& command, const core::Policy& policy, ports::Done done) override;
  void cancel(core::CommandId command) override;

  // For the end of recoverd itself: dependents before what they depend on; after `timeout` KILL.
  // `done` is called once, in a later turn.
  void stop_all(Duration timeout, std::function<void()> done);
  // The same for services that left the policy.
  void stop_removed(Duration timeout, std::function<void()> done);

  std::vector<InstanceView> instances(core::ServiceIndex service) const;
  // The last lines printed on both, stamped, oldest first; on one of them.
  std::vector<std::string> tail(core::ServiceIndex service, std::uint32_t instance) const;
  std::vector<std::string> tail_of(core::ServiceIndex service, std::uint32_t instance,
                                   Stream stream) const;
  // Bytes it printed, as they were recorded, since its start; tail_of() holds the last of them.
  std::uint64_t recorded(core::ServiceIndex service, std::uint32_t instance,
                         Stream stream = Stream::Output) const;
  // Of the memory and the current files, both outputs.
  void clear_output(core::ServiceIndex service, std::uint32_t instance);
  // Why the runtime table cannot be written; empty: it can. Meanwhile the keeper's memory holds it.
  const std::string& problem() const noexcept;

 private:
  std::unique_ptr<Fleet> fleet_;
};

}  // namespace recover::adapters::process
