// The end of a prune: packs that no index names are removed. For pruner.cc only.
#pragma once

#include <stop_token>
#include <vector>

#include "backup/retain/pruner.h"

namespace recover::backup {

// The packs that an index file names.
Outcome<std::vector<IndexedPack>> packs_of(const Repository& repository, const Digest& index);

// NotFound is none: it is gone.
Outcome<void> remove_file(const Repository& repository, FileKind kind, const Digest& id);

// Every pack that no index names now. REQUIRES: nobody else works with the repository but when
// options.let_others_in is called; a backup that it lets in may name one that was left behind anew.
Outcome<void> remove_unnamed_packs(const Repository& repository, const PruneOptions& options,
                                   const std::stop_token& stop);

}  // namespace recover::backup
