// Instances that a person stopped while the others of their service run on.
//
// Such an instance is held: nothing starts it but a person, and it is neither missed nor taken for
// failed. Invariant: only instances below `desired` of a wanted service are held, and never all of
// them: a service whose last instance is stopped is stopped as a whole.
#pragma once

#include <cstdint>
#include <vector>

#include "core/state.h"

namespace recover::core {

bool is_held(const ServiceHealth& health, std::uint32_t index) noexcept;
// Ascending; empty: none.
std::vector<std::uint32_t> held_instances(const ServiceHealth& health);

// REQUIRES: wanted, and `index` below desired. False: the last one that was not held; nothing is
// held any more, and the service is to be stopped as a whole.
bool hold(ServiceHealth& health, std::uint32_t index);
// It may run again. Of a service that is stopped as a whole the others become held.
void release(ServiceHealth& health, std::uint32_t index);
void release_all(ServiceHealth& health);

// After `desired` changed: those that left are not held when they come back. One whose instances
// all are held is stopped.
void fit_holds(ServiceHealth& health);
// One of so many would not be held.
bool leaves_one(const ServiceHealth& health, std::uint32_t desired) noexcept;

}  // namespace recover::core
