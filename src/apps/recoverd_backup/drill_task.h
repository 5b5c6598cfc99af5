// The complete recovery drill: everything of a type's newest backup is restored into scratch,
// source by source, compared byte by byte, its databases started and asked, and removed again.
//
// Touches nothing but the scratch folder. Refuses to begin when that has not the room.
#pragma once

#include <boost/json/object.hpp>

#include <atomic>
#include <stop_token>

#include "apps/recoverd_backup/restore_task.h"
#include "apps/recoverd_backup/tree_comparison.h"
#include "backup/restore/restorer.h"

namespace recover::apps {

struct DrillProgress {
  enum class Step : std::uint8_t { Measure, Restore, Compare, Start };
  std::atomic<Step> step{Step::Measure};
  std::atomic<std::uint64_t> bytes_wanted{0};  // Of all files, when measured.
  backup::RestoreProgress restored;
  ComparisonProgress compared;

  boost::json::object told() const;
};

// What was restored, how long that took with the databases' start (`rto_seconds`), how old the
// oldest is (`rpo_seconds`), and of each source what was compared (`sources`) or answered
// (`drills`). Full: no room, and nothing was restored; the message says how much is needed.
// NotFound: of a source there is no backup. Damaged: it is not what was backed up.
backup::Outcome<boost::json::object> drill_all(const backup::Repository& repository,
                                               const RestoreTest& test, DrillProgress& progress,
                                               const std::stop_token& stop);

}  // namespace recover::apps
