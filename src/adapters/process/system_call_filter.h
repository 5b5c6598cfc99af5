// A seccomp filter from the names of a configuration.
//
// Made before the fork, installed by the child right before it executes; calls this machine does
// not have are left out. What the way into the program needs (execve, exit, signal returns) is
// always allowed.
#pragma once

#include <linux/filter.h>

#include <optional>
#include <string_view>
#include <vector>

#include "core/execution.h"

namespace recover::adapters::process {

// None: this machine has no such call.
std::optional<long> system_call_number(std::string_view name);

// Empty: everything is allowed, or filters are not known for this processor.
std::vector<sock_filter> system_call_filter(const core::SystemCallPolicy& policy);

}  // namespace recover::adapters::process
