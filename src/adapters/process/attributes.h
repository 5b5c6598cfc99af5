// What a child does to itself between clone and exec: limits, shares, mounts, rights.
//
// Made before the clone, applied after it: apply_… neither allocates, locks nor throws, and writes
// nothing but the child's own kernel state, so it also works in a child that shares our memory.
// Nothing is skipped in silence: what the system refuses is a StepFailure, and the start fails.
#pragma once

#include <linux/filter.h>
#include <sched.h>
#include <sys/resource.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <recover/result.h>

#include "core/execution.h"

namespace recover::adapters::process {

struct Attributes {
  std::vector<std::pair<int, rlimit>> limits;
  std::optional<int> nice;
  std::optional<int> io_priority;  // As ioprio_set(2) wants it.
  std::optional<core::SchedulingPolicy> scheduling;
  std::optional<cpu_set_t> cpus;
  std::string oom_score_adj;              // Empty: as it is.
  std::optional<std::uint64_t> bounding;  // Bits by capability.
  std::uint64_t ambient = 0;
  bool no_new_privileges = false;
  bool private_tmp = false;
  std::vector<std::string> read_only;
  std::vector<sock_filter> filter;

  bool mounts() const noexcept { return private_tmp || !read_only.empty(); }
  // It may get its processor or its disk long after everybody else.
  bool waits_for_others() const noexcept { return nice || io_priority || scheduling || cpus; }
};

enum class Step : std::uint32_t {
  None,
  OomScore,
  Limit,
  Nice,
  IoPriority,
  Scheduling,
  Processors,
  Namespace,
  PrivateTmp,
  ReadOnly,
  Bounding,
  KeepCapabilities,
  Capabilities,
  Ambient,
  NoNewPrivileges,
  Filter,
};

struct StepFailure {
  Step step = Step::None;  // None: all done.
  std::uint32_t index = 0;
  int error = 0;
};

// Error: for people; what the configuration could not know to be wrong here.
Result<Attributes, std::string> attributes_of(const core::ExecutionPolicy& policy);

// With all our rights.
StepFailure apply_attributes(const Attributes& attributes) noexcept;
// After it became its user.
StepFailure apply_rights(const Attributes& attributes) noexcept;
// When it opens and writes nothing more for us; apply_attributes made room for them.
StepFailure apply_limits(const Attributes& attributes) noexcept;
// The very last before exec: the filter may forbid anything that follows.
StepFailure apply_filter(const Attributes& attributes) noexcept;

// "limit of nofile", "read-only /etc", ….
std::string describe(const Attributes& attributes, StepFailure failure);

}  // namespace recover::adapters::process
