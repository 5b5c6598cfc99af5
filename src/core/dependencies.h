// Who needs whom, and whose trouble is somebody else's. Pure; ends also where dependencies form a
// ring, which config refuses.
#pragma once

#include <cstddef>
#include <optional>

#include "base/inline_vector.h"
#include "core/policy.h"
#include "core/state.h"

namespace recover::core {

// The dependency whose own trouble explains that of the service, nearest to the root.
std::optional<ServiceIndex> bad_dependency(const Policy& policy, const State& state,
                                           ServiceIndex service);
// Every service it needs, directly or not.
inline constexpr std::size_t kNeededUsual = 16;
using NeededServices = base::InlineVector<ServiceIndex, kNeededUsual>;
NeededServices dependencies_of(const Policy& policy, ServiceIndex service);

}  // namespace recover::core
