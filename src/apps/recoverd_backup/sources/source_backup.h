// Snapshots of a native source: one a file, and all of them or none.
//
// Files are named NAME-FILE ("postgres-shop.dump"). Each snapshot of one run has the tags of the
// type, `source:NAME` and `set:ID/COUNT`, so that it is seen what belongs together and whether all
// of it is there.
#pragma once

#include <string>
#include <vector>

#include "apps/recoverd_backup/job.h"
#include "apps/recoverd_backup/sources/source.h"
#include "backup/archive/stream.h"

namespace recover::apps {

struct SourceReport {
  std::vector<backup::ArchiveReport> snapshots;
  std::vector<RemoteReport> remotes;
};

// `stream`: what all the snapshots have in common; its name, is_whole, size and hold are of each.
// Failure: no snapshot was written; its text has no secret in it.
backup::Outcome<SourceReport> back_up_source(const backup::Repository& repository,
                                             const JobSource& job_source,
                                             const std::string& scratch,
                                             const backup::StreamOptions& stream,
                                             backup::ArchiveProgress& progress,
                                             const std::stop_token& stop);

std::string source_tag(const std::string& name);

// What a failure may be told as.
backup::Failure redacted(backup::Failure failure, const Source& source);

}  // namespace recover::apps
