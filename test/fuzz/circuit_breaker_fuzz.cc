// Bytes are a config and the steps taken; a CircuitBreaker and a bare StateMachine must agree on
// all of them, and the invariants of both must hold.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "breaker_twin.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using recover::circuitbreaker::Twin;
  recover::test::Script script(data, size);
  Twin twin(recover::circuitbreaker::read_config(script));
  while (!script.done()) {
    const std::string problem = twin.take(recover::circuitbreaker::read_step(script));
    if (problem.empty()) continue;
    std::fprintf(stderr, "machine and breaker differ: %s\n", problem.c_str());
    std::abort();
  }
  return 0;
}
