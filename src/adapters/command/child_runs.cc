#include "adapters/command/child_runs.h"

#include <system_error>
#include <utility>

namespace recover::adapters::command {

using clients::ChildEnd;
using clients::ChildRun;

void ChildRuns::start(core::CommandId id, clients::ChildSpec spec, const std::string& what,
                      Judge judge, const ports::Done& done) {
  auto run = ChildRun::start(tools_.loop, std::move(spec),
                             [this, alive = std::weak_ptr<int>(alive_), id, done,
                              judge = std::move(judge)](const ChildEnd& end) {
                               if (!alive.expired()) running_.erase(id);
                               done(effects::finished(id, judge(end)));
                             });
  if (run) {
    running_.emplace(id, *std::move(run));
    return;
  }
  effects::report(tools_, done, id,
                  effects::failed(what + ": " + std::generic_category().message(run.error())));
}

void ChildRuns::cancel(core::CommandId id) {
  const auto found = running_.find(id);
  if (found != running_.end()) found->second->kill("cancelled");
}

}  // namespace recover::adapters::command
