// An effector whose work blocks: runs it on the pool, reports it on the loop.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>

#include <recover/result.h>

#include "effects/effects.h"

namespace recover::effects {

// Asked now and then: true ends the work early, cancelled or out of time.
using Stopped = std::function<bool()>;

class PoolEffector : public ports::Effector {
 public:
  explicit PoolEffector(Tools tools) : tools_(std::move(tools)) {}

  void perform(const core::Command& command, const core::Policy& policy, ports::Done done) override;
  void cancel(core::CommandId command) override;

 protected:
  using Work = std::function<Outcome(const Stopped&)>;
  // The work of this command, or why there is none. Loop thread; the work itself runs on the pool
  // and holds copies only.
  virtual Result<Work, Outcome> prepare(const core::Command& command,
                                        const core::Policy& policy) const = 0;

 private:
  Tools tools_;
  std::map<core::CommandId, std::shared_ptr<std::atomic<bool>>> running_;
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace recover::effects
