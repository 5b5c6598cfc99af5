// Performs `checkpoint` and `restore_checkpoint` on a store, off the loop's thread.
//
// Work of one service is done in order; two services at a time. Never decides: a restore that fails
// half-way says Unknown, and that running it again helps.
#pragma once

#include <functional>
#include <memory>

#include "ports/checkpoint_store.h"
#include "ports/effector.h"

namespace boost::asio {
class io_context;
}  // namespace boost::asio

namespace recover::adapters::checkpoint {

struct CheckpointEffectorOptions {
  // What is noted beside the state: pids, versions. Called on the loop's thread. Empty: nothing.
  std::function<ports::CheckpointFacts(core::ServiceIndex)> facts = {};
};

class CheckpointEffector : public ports::Effector {
 public:
  // `loop` and `store` outlive the effector.
  CheckpointEffector(boost::asio::io_context& loop, ports::CheckpointStore& store,
                     CheckpointEffectorOptions options = {});
  // Asks what runs to end and waits for it; `done` of those still comes if the loop goes on.
  ~CheckpointEffector() override;

  // With Command::checkpoint nothing is taken: that one is given the name. To restore last-good
  // where the state is just that restores kLastGoodStarted.
  // The checkpoint's name is Command::text, else that of the step's CheckpointAction, else
  // "recovery-<id>" within a recovery, else "last-good". Restoring without any name means
  // "last-good". After a checkpoint was taken, old ones are pruned (policy.checkpoint.keep).
  // With `settle` nothing is changed: a restore is Done if the state is as the checkpoint holds it.
  // Refused: any other action.
  void perform(const core::Command& command, const core::Policy& policy, ports::Done done) override;
  void cancel(core::CommandId command) override;

 private:
  class Pool;
  std::unique_ptr<Pool> pool_;
  ports::CheckpointStore& store_;
  CheckpointEffectorOptions options_;
};

}  // namespace recover::adapters::checkpoint
