// Whether the program on the disk can take over from us: it runs, and it reads our configuration.
#pragma once

#include <string>

#include <recover/result.h>

namespace recover::apps {

// Blocks for as long as `PROGRAM check --config CONFIG` takes, at most ten seconds. Error: for
// people.
Result<void, std::string> check_program(const std::string& program, const std::string& config);

}  // namespace recover::apps
