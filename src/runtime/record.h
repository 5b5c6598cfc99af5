// What a step of the engine leaves in the journal: the event, what was told, what will be done.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <recover/result.h>

#include "core/engine.h"
#include "ports/journal.h"

namespace recover::runtime {

// When a step happened: in the engine's time for replay, by the wall clock for people.
struct Stamp {
  Instant at;
  std::int64_t wall_ns = 0;
};

// Appends the entries of one step to `entries`; none when nothing changed.
// A Notice's body: {"severity","actor","message","reasons":[{"rule","verdict","detail"}]}.
// A Command's body: {"id","action","part","playbook","index","attempt","epoch","idempotent",
// "settle","text"}, its type the action's name.
void record(const core::Event& event, const core::Output& output, const core::Policy& policy,
            Stamp stamp, std::vector<ports::Entry>& entries);

// The same for output that no event caused: a new policy.
void record(const core::Output& output, const core::Policy& policy, Stamp stamp,
            std::vector<ports::Entry>& entries);

// How steps become entries and entries events again, where it is not the JSON of record() and
// decode(): the simulator keeps its journal as values.
class Codec {
 public:
  Codec() = default;
  Codec(const Codec&) = delete;
  Codec& operator=(const Codec&) = delete;
  virtual ~Codec() = default;

  // As record() does; `event` is null for output that no event caused.
  virtual void record(const core::Event* event, const core::Output& output,
                      const core::Policy& policy, Stamp stamp,
                      std::vector<ports::Entry>& entries) = 0;
  // REQUIRES: an entry of the kind Event that record() made.
  virtual Result<core::Event, std::string> event_of(const ports::StoredEntry& stored) = 0;
};

// The engine's state, to start a replay from.
ports::Entry snapshot_entry(const core::Engine& engine, Stamp stamp);

}  // namespace recover::runtime
