// An effector whose work blocks: runs it on the pool, reports it on the loop.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "adapters/database/effectors.h"
#include "adapters/database/session.h"

namespace recover::adapters::database {

struct Outcome {
  core::CommandOutcome outcome = core::CommandOutcome::Done;
  std::string detail;
};

// The dsn, or else that of the command's service's first postgres probe. May be empty.
base::Secret dsn_for(const base::Secret& dsn, const core::Command& command,
                     const core::Policy& policy);

// What an error means for the command.
Outcome outcome_of(const SqlError& error);

class PoolEffector : public ports::Effector {
 public:
  explicit PoolEffector(Tools tools) : tools_(std::move(tools)) {}

  void perform(const core::Command& command, const core::Policy& policy, ports::Done done) override;
  void cancel(core::CommandId command) override;

 protected:
  using Work = std::function<Outcome(Session::Deadline, const Stop&)>;
  // The work of this command, or why there is none. Loop thread; the work itself runs on the pool
  // and holds copies only.
  virtual Result<Work, Outcome> prepare(const core::Command& command,
                                        const core::Policy& policy) const = 0;

 private:
  Tools tools_;
  std::map<core::CommandId, std::shared_ptr<Stop>> running_;
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace recover::adapters::database
