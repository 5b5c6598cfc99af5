// The proof by restoring, of the newest backup of each source: of files a sample, read again; a
// database is started and asked.
#pragma once

#include <boost/json/object.hpp>

#include <chrono>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "apps/recoverd_backup/job.h"
#include "backup/repo/repository.h"
#include "backup/restore/restorer.h"

namespace recover::apps {

struct RestoreTest {
  const Job& job;  // Its type, sources and scratch folder.
  // Of the type, oldest first.
  const std::vector<backup::Repository::FoundSnapshot>& snapshots;
  std::int64_t now = 0;  // Unix time.
  unsigned threads = 2;
  // For how long it has paused so far: a recovery does not. Nothing: it does not pause.
  std::function<std::chrono::milliseconds()> paused = {};
};

// The newest of a source of files; of whatever, where there is no source. NotFound: there is none.
backup::Outcome<const backup::Repository::FoundSnapshot*> newest_of(const RestoreTest& test,
                                                                    const JobSource* source);

// What a restore with problems says of the backup. Damaged: of each of them the backup is to blame;
// else what failed just then, a full scratch disk for one.
backup::Failure judged(const backup::RestoreReport& report);

// What was restored, how long it took together (`rto_seconds`), how old the oldest is
// (`rpo_seconds`), and of each database what was asked and answered (`drills`). NotFound: of a
// source there is no backup. Damaged: it is not what was backed up, or does not answer as expected.
backup::Outcome<boost::json::object> test_restore(const backup::Repository& repository,
                                                  const RestoreTest& test,
                                                  const std::stop_token& stop);

}  // namespace recover::apps
