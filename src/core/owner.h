// Services that somebody else keeps (systemd, a container engine, nobody): what their owner says
// becomes instances, symptoms and waits.
//
// Invariant: while the owner brings a service back by itself, nothing of ours restarts it.
#pragma once

#include "core/event.h"
#include "core/turn.h"

namespace recover::core {

// Returns whether anything changed.
bool on_owner_reported(Turn& turn, const OwnerReported& event);

// Its owner starts the service right now: a plan waits for how that ends. Tells why, once.
bool waits_for_owner(Turn& turn, Incident& incident);

}  // namespace recover::core
