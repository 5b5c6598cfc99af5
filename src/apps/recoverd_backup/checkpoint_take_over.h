// Checkpoints that an earlier recoverd kept in a form of its own become snapshots, once.
#pragma once

#include "adapters/checkpoint/protocol.h"
#include "apps/recoverd_backup/checkpoint_vault.h"

namespace recover::apps {

// One after the other, each complete or not begun: what is broken off goes on with the next call.
// Ids, names and times stay. What is damaged stays as it is, under names that say so.
adapters::checkpoint::WorkerResult take_over_checkpoints(const CheckpointVault& vault,
                                                         const std::string& root);

}  // namespace recover::apps
