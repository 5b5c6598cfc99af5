// What reading the configuration brought, kept for the next engine by the keeper: who comes after
// one that was killed need not parse the same files again.
//
// In a sealed memory file, never on a disk. The files themselves are read at each start, and what
// is not the very same text is parsed; environment and secrets' files are looked up anew.
#pragma once

#include <memory>

#include "adapters/process/keeper_link.h"
#include "config/tree_memory.h"

namespace recover::apps {

// Empty where the keeper has none.
std::unique_ptr<config::TreeMemory> take_trees(adapters::process::KeeperLink& keeper);
// If a later engine would read otherwise than this one did. Without memory: nothing is kept.
void keep_trees(adapters::process::KeeperLink& keeper, const config::TreeMemory& trees);
// Another program may read in another way.
void forget_trees(adapters::process::KeeperLink& keeper);

}  // namespace recover::apps
