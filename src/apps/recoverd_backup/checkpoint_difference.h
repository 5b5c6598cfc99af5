// What differs between two snapshots of the vault, as text for people.
#pragma once

#include "adapters/checkpoint/protocol.h"
#include "apps/recoverd_backup/checkpoint_vault.h"

namespace recover::apps {

// Files that are text as `diff -u`, others by name only.
adapters::checkpoint::WorkerResult difference_of(const CheckpointVault& vault,
                                                 const adapters::checkpoint::WorkerJob& job);

}  // namespace recover::apps
