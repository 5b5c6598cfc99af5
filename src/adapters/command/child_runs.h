// The programs of an effector that are running, by command.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "adapters/command/effectors.h"
#include "clients/child_run.h"

namespace recover::adapters::command {

class ChildRuns {
 public:
  using Judge = std::function<effects::Outcome(const clients::ChildEnd&)>;

  explicit ChildRuns(Tools tools) : tools_(std::move(tools)) {}

  // Runs it; `judge` makes an outcome of its end. Failed when it cannot be started; `what` is told
  // then.
  void start(core::CommandId id, clients::ChildSpec spec, const std::string& what, Judge judge,
             const ports::Done& done);
  // Kills it, if it runs.
  void cancel(core::CommandId id);

 private:
  Tools tools_;
  std::map<core::CommandId, std::shared_ptr<clients::ChildRun>> running_;
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace recover::adapters::command
