// A run in words and as a report: made of what its worker printed.
#pragma once

#include <boost/json/object.hpp>

#include <optional>
#include <string>
#include <string_view>

#include "clients/child_run.h"
#include "core/backup_plan.h"

namespace recover::adapters::backup {

// What a worker said and how it ended.
struct WorkerEnd {
  clients::ChildEnd child;
  std::optional<boost::json::object> result;  // Its last word; none: it never came to that.
};

// Nothing: the line is no JSON object of a worker.
std::optional<boost::json::object> parse_line(std::string_view line);

// Good only when its result says so and it ended with 0. `interrupted`: we told it to stop.
core::BackupEnd judge(const WorkerEnd& end, bool interrupted);

// "full backup of db"
std::string name_of(const core::BackupKey& key);
// "full backup of db: 12 files, 3.4 MiB, of which 10 KiB were new, in 2s"
std::string success_story(const core::BackupKey& key, const boost::json::object& result,
                          std::int64_t seconds);

// "12 files restored, of which 10 were as wanted; what stood there is snapshot 1b0ee8a1"
std::string restore_story(const boost::json::object& result);
// The last word of a worker, not how it goes.
bool is_result(const boost::json::object& message);

struct ReportFacts {
  core::BackupKey key;
  std::string repository;
  core::BackupOwed owed;
  std::int64_t ended_at = 0;
  bool over = true;  // False: it will be tried again.
  // Of a drill: what is wanted. Seconds; negative: nothing is.
  double rto_wanted = -1;
  double rpo_wanted = -1;
};
std::string report_text(const ReportFacts& facts, const core::BackupEnd& end,
                        const std::optional<boost::json::object>& result);

}  // namespace recover::adapters::backup
