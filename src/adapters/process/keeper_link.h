// The engine's end of the link to its keeper: what was kept is taken back, what must be kept is
// sent.
//
// Without a keeper (RECOVERD_KEEPER_FD not set, or the keeper was killed) every call does nothing
// and succeeds. Loop thread; never blocks but in connect().
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "adapters/process/descriptor.h"
#include "adapters/process/process.h"
#include "core/event.h"

namespace recover::adapters::process {

// This process was started by a keeper and has not connected to it yet: it is to be the engine.
bool has_keeper() noexcept;

class KeeperLink {
 public:
  static constexpr std::size_t kDropsMax = 16;
  // Says hello by the inherited descriptor and takes over what the keeper keeps; waits for it at
  // most kHelloWait. Call it after the signal handlers stand: signals are passed on from then.
  static KeeperLink connect();
  // Of no keeper.
  KeeperLink() = default;

  bool connected() const noexcept { return socket_ && !lost_; }
  // Readable when the keeper has something to say, or is gone: then call receive(). Stays open.
  int fd() const noexcept { return socket_.get(); }
  // Takes in what came. False: the keeper is gone.
  bool receive();

  // What an earlier engine stored under that label; taken once. The keeper goes on keeping it.
  Descriptor take(std::string_view label);
  // Labels not taken yet that begin with `prefix`.
  std::vector<std::string> labels(std::string_view prefix) const;
  // Labels are cut to 47 characters.
  void store(std::string_view label, int fd);
  void drop(std::string_view label);
  // The same behind the next store(), or when kDropsMax wait: nobody who is down waits for it.
  void drop_later(std::string_view label);

  // To the service manager that started the keeper, if there is one: "READY=1", at most 47 letters.
  void announce(std::string_view state);
  // Once this engine has ended, the keeper executes its program anew, with all it keeps.
  void reexec();

  // How that process ended, when the keeper collected it; none: not known (yet).
  std::optional<ExitStatus> exit_of(core::Incarnation incarnation) const;

 private:
  void send(const struct Message& message, int fd);

  Descriptor socket_;
  std::vector<std::string> drops_;
  bool lost_ = false;
  bool fetched_ = false;
  std::map<std::string, Descriptor, std::less<>> kept_;
  // By pid; a later exit of the same pid replaces it. At most kOrphansMax.
  std::map<pid_t, std::pair<core::Incarnation, ExitStatus>> exits_;
};

}  // namespace recover::adapters::process
