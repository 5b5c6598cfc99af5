// A git repository: a bundle of everything into a snapshot, and every branch, tag and note into
// several remotes.
//
// A repository that has lost its branches takes nothing away from a remote: that is only done where
// `prune` says so, and never by one that has nothing at all. git runs as the owner of the
// repository, whose configuration and hooks it obeys; but where it is told a password it runs as we
// do, in a copy made from the bundle that is ours alone, without any configuration and hooks.
#pragma once

#include "apps/recoverd_backup/sources/source.h"

namespace recover::apps {

std::unique_ptr<Source> make_git_source(const core::GitSource& source, std::string scratch,
                                        std::stop_token stop);

}  // namespace recover::apps
