// The keeper: what is left of recoverd when the engine is killed, and so as little as possible.
//
// It forks the engine and forks it again when it dies; as child subreaper it collects the services
// a dead engine leaves behind and remembers how they ended; it holds descriptors that must outlive
// an engine (the reading ends of services' output). It decides nothing about services, reads no
// configuration and allocates nothing.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>

namespace recover::adapters::process {

inline constexpr std::size_t kStoredFdsMax = 4096;
inline constexpr std::size_t kOrphansMax = 4096;  // Exits remembered; the oldest are forgotten.
inline constexpr std::size_t kEngineDeathsMax = 10;

struct KeeperOptions {
  // kEngineDeathsMax engine deaths within the window: the next start waits so long.
  std::chrono::milliseconds death_window{10'000};
  std::chrono::milliseconds backoff{1'000};
  // What to execute on KeeperLink::reexec(); null: that request is ignored. Borrowed.
  const char* program = nullptr;
  char* const* arguments = nullptr;
  // Called each time an engine has taken over what is kept: from then on there is little to do.
  void (*settled)() = nullptr;
};

// Runs `engine_main` in a child until it returns 0 or 2 (a configuration error), or ends after a
// SIGTERM or SIGINT (if that breaks it, the next one is asked to stop); returns its code (128 +
// signal when a signal ended it). After KeeperLink::reexec() it executes its program anew in the
// same process, and the new keeper goes on with what this one kept; if that cannot be executed,
// this one goes on. Where NOTIFY_SOCKET is set, the engine's announcements are passed on there. An
// engine that ends any other way is started again. SIGTERM, SIGINT and SIGHUP go on to the engine,
// once it has said hello (KeeperLink::connect) or a second after its start: make the link after the
// handlers stand. REQUIRES: called once, before any thread was started. Main thread.
int run_keeper(const std::function<int()>& engine_main, KeeperOptions options = {});

}  // namespace recover::adapters::process
