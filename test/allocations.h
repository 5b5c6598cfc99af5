// Counts heap allocations, for tests and benchmarks that promise there are none.
//
// Part of every test executable and of bench_recover: it replaces the global operator new, so no
// test may define its own. Sanitizers need theirs; in their builds the count stays 0.
#pragma once

#include <cstddef>

namespace recover::test {

// Allocations of the calling thread so far. Compare two readings on the same thread.
std::size_t allocations() noexcept;

}  // namespace recover::test
