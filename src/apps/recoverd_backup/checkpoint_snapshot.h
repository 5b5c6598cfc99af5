// A service's state paths into one snapshot of the vault.
#pragma once

#include "adapters/checkpoint/protocol.h"
#include "apps/recoverd_backup/checkpoint_vault.h"

namespace recover::apps {

// Nothing is left out in silence: a file that cannot be read, or that goes on changing while it is,
// is a failure, and no snapshot stays.
adapters::checkpoint::WorkerResult take_snapshot(const CheckpointVault& vault,
                                                 const adapters::checkpoint::WorkerJob& job);

}  // namespace recover::apps
