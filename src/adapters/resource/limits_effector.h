// adjust_limits: more, or less, memory, processor time and processes for a running service.
//
// Writes cgroup v2 files of the service's own leaves and of nothing else. What it set holds until
// the service is started again; `reset` takes it back before.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "effects/effects.h"

namespace recover::adapters::resource {

// The folders of the service's own cgroups, one an instance; empty where there is none. Loop
// thread.
using Leaves = std::function<std::vector<std::string>(core::ServiceIndex)>;

std::unique_ptr<ports::Effector> make_adjust_limits(const effects::Tools& tools, Leaves leaves);

// What a limit becomes: `now` (none: unlimited) times `by`, between `min` and `max`. None: it
// stays.
std::optional<std::uint64_t> adjusted(std::optional<std::uint64_t> now, double by,
                                      std::optional<std::uint64_t> min,
                                      std::optional<std::uint64_t> max);

}  // namespace recover::adapters::resource
