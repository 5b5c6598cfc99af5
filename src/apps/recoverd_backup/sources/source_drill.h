// Proof that a native source's backup can be lived on: its newest set is restored into scratch,
// started there and asked.
#pragma once

#include <string>
#include <vector>

#include "apps/recoverd_backup/job.h"
#include "apps/recoverd_backup/sources/source.h"
#include "backup/repo/repository.h"

namespace recover::apps {

struct SourceDrill {
  std::string source;
  std::vector<std::string> snapshots;  // Their ids.
  std::uint64_t bytes = 0;             // Restored.
  DrillAnswer answer;
  double rto_seconds = 0;     // From the beginning to the answer.
  std::int64_t taken_at = 0;  // Of the oldest of the set, Unix time.
};

// `snapshots`: of the type, oldest first. NotFound: none is of this source, or the newest set is
// not whole. Damaged: it does not restore, does not start, or does not answer as expected.
backup::Outcome<SourceDrill> drill_source(
    const backup::Repository& repository,
    const std::vector<backup::Repository::FoundSnapshot>& snapshots, const JobSource& job_source,
    const std::string& scratch, const std::stop_token& stop);

// The snapshots of a source's newest set, by path. `snapshots` as above. NotFound: there is none,
// or it is not whole.
backup::Outcome<std::vector<backup::Repository::FoundSnapshot>> newest_set(
    const std::vector<backup::Repository::FoundSnapshot>& snapshots, const std::string& name);

}  // namespace recover::apps
