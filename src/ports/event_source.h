// Something that watches the world and tells: processes, probes, resources, logs.
#pragma once

#include <functional>

#include "core/event.h"
#include "core/policy.h"

namespace recover::ports {

// Any number of times, on the loop's thread. Never blocks.
using Sink = std::function<void(core::Event)>;

class EventSource {
 public:
  EventSource() = default;
  EventSource(const EventSource&) = delete;
  EventSource& operator=(const EventSource&) = delete;
  virtual ~EventSource() = default;

  // Starts to watch what `policy` says, or goes on under a new policy: what did not change is not
  // disturbed. `policy` lives until the next call. Loop thread.
  virtual void watch(const core::Policy& policy) = 0;

  // A look at this service now, beside the regular ones.
  virtual void look(core::ServiceIndex service) = 0;
};

}  // namespace recover::ports
