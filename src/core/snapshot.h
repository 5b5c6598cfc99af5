// The whole state as bytes, and back: versioned, little-endian, the same bytes for the same state.
//
// Reading trusts nothing: whatever the bytes are, the answer is a state that fits the policy, or
// what is wrong with them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <recover/result.h>

#include "core/policy.h"
#include "core/state.h"

namespace recover::core {

inline constexpr std::uint32_t kSnapshotVersion = 4;
inline constexpr std::uint32_t kSnapshotVersionMin = 2;  // The oldest that is read.

struct RestoredState {
  State state;
  Instant next_timer = kNever;
};

std::string write_snapshot(const Policy& policy, const State& state, Instant next_timer);
// States with equal snapshots have equal hashes.
std::uint64_t hash_snapshot(const State& state, Instant next_timer);
// Whether write_snapshot() of today would write the same of the same state.
bool is_of_this_version(std::string_view snapshot);
Result<RestoredState, std::string> read_snapshot(const Policy& policy, std::string_view bytes);

}  // namespace recover::core
