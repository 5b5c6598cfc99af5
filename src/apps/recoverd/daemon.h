// The engine process: makes every part, ties them together, runs them until told to stop.
//
// Decides nothing. One thread runs the loop; a small pool runs what blocks.
#pragma once

#include <string>

namespace recover::apps {

struct RunOptions {
  std::string config;     // Path.
  std::string state_dir;  // Empty: as configured.
  std::string program;    // Our own path, for executing it anew; empty: that is not possible.
};

// Until SIGTERM or SIGINT stopped the services, or it cannot go on. Returns its exit code: 0, 1
// (cannot run), 2 (configuration).
int run_engine(const RunOptions& options);

}  // namespace recover::apps
