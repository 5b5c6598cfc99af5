#include "apps/recoverd_backup/restore_task.h"

#include <boost/json.hpp>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <utility>

#include "apps/recoverd_backup/sample.h"
#include "apps/recoverd_backup/sources/source_drill.h"
#include "backup/restore/in_place.h"

namespace recover::apps {
namespace {

namespace json = boost::json;
using backup::FailureKind;
using backup::Outcome;
using Found = backup::Repository::FoundSnapshot;

// What the proofs of all sources amount to.
struct Tally {
  std::string snapshot;
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  double rto_seconds = 0;
  std::int64_t oldest = 0;
  json::array drills;

  void add(const std::string& id, std::int64_t taken_at, double seconds) {
    if (snapshot.empty()) snapshot = id;
    oldest = oldest == 0 ? taken_at : std::min(oldest, taken_at);
    rto_seconds += seconds;
  }
};

bool is_of_files(const Found& found) {
  return std::ranges::none_of(found.snapshot.tags, [](const std::string& tag) {
    return tag.starts_with("source:") || tag == backup::kBeforeRestoreTag;
  });
}

std::vector<std::string> in_order(const std::vector<std::string>& paths) {
  std::vector<std::string> all;
  for (const std::string& path : paths) {
    all.push_back(std::filesystem::path(path).lexically_normal().string());
  }
  std::ranges::sort(all);
  return all;
}

// What its snapshots hold.
std::vector<std::string> paths_of(const JobSource& source) {
  return in_order(source.command.empty() ? source.paths : std::vector{"/" + source.name});
}

Outcome<void> test_sample(const backup::Repository& repository, const RestoreTest& test,
                          const Found& newest, Tally& tally, const std::stop_token& stop) {
  const auto begun = std::chrono::steady_clock::now();
  const auto sample = draw_sample(repository, newest.snapshot);
  if (!sample) return Unexpected(sample.error());
  if (sample->paths.empty()) return {};  // An empty folder of several sources is no fault.
  const std::string to = test.job.scratch + "/restored";
  backup::RestoreProgress progress;
  const auto report =
      restore(repository, newest.snapshot,
              {.to = to, .selective = sample->paths, .verify = true, .threads = test.threads},
              progress, stop);
  std::error_code ignored;
  std::filesystem::remove_all(to, ignored);
  if (!report) return Unexpected(report.error());
  if (report->problem_count > 0) return Unexpected(judged(*report));
  tally.files += progress.files.load();
  tally.bytes += progress.bytes.load();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
  tally.add(backup::hex(newest.id), newest.snapshot.time.seconds, took.count());
  return {};
}

Outcome<void> test_files(const backup::Repository& repository, const RestoreTest& test,
                         const JobSource* source, Tally& tally, const std::stop_token& stop) {
  const auto newest = newest_of(test, source);
  if (!newest) return Unexpected(newest.error());
  return test_sample(repository, test, **newest, tally, stop);
}

Outcome<void> test_source(const backup::Repository& repository, const RestoreTest& test,
                          const JobSource& source, Tally& tally, const std::stop_token& stop) {
  const auto drill = drill_source(repository, test.snapshots, source, test.job.scratch, stop);
  if (!drill) return Unexpected(drill.error());
  tally.files += drill->snapshots.size();
  tally.bytes += drill->bytes;
  tally.add(drill->snapshots.front(), drill->taken_at, drill->rto_seconds);
  tally.drills.push_back(json::object{{"source", drill->source},
                                      {"snapshots", json::value_from(drill->snapshots)},
                                      {"bytes", drill->bytes},
                                      {"asked", drill->answer.asked},
                                      {"answer", drill->answer.answer},
                                      {"rto_seconds", drill->rto_seconds}});
  return {};
}

}  // namespace

backup::Failure judged(const backup::RestoreReport& report) {
  if (report.passing) return *report.passing;
  return {.kind = FailureKind::Damaged, .message = report.problems.front()};
}

Outcome<const Found*> newest_of(const RestoreTest& test, const JobSource* source) {
  const auto& all = test.snapshots;
  const auto wanted = source == nullptr ? std::vector<std::string>() : paths_of(*source);
  const auto newest = std::find_if(all.rbegin(), all.rend(), [&](const Found& found) {
    return is_of_files(found) && !found.snapshot.is_partial() &&
           (source == nullptr || in_order(found.snapshot.paths) == wanted);
  });
  if (newest != all.rend()) return &*newest;
  return backup::fail(FailureKind::NotFound, "there is no backup of " + test.job.type +
                                                 (wanted.empty() ? "" : " with " + wanted.front()) +
                                                 " yet");
}

Outcome<json::object> test_restore(const backup::Repository& repository, const RestoreTest& test,
                                   const std::stop_token& stop) {
  const auto native = [](const JobSource& source) { return core::is_native(source.native); };
  Tally tally;
  if (test.job.sources.empty()) {
    auto done = test_files(repository, test, nullptr, tally, stop);
    if (!done) return Unexpected(std::move(done.error()));
  }
  for (const JobSource& source : test.job.sources) {
    auto done = native(source) ? test_source(repository, test, source, tally, stop)
                               : test_files(repository, test, &source, tally, stop);
    if (!done) return Unexpected(std::move(done.error()));
  }
  if (tally.snapshot.empty()) {
    return backup::fail(FailureKind::NotFound, "the newest backup holds no file");
  }
  json::object result{{"snapshot", tally.snapshot},
                      {"files", tally.files},
                      {"bytes", tally.bytes},
                      {"rto_seconds", tally.rto_seconds},
                      {"rpo_seconds", test.now - tally.oldest}};
  if (!tally.drills.empty()) result["drills"] = std::move(tally.drills);
  return result;
}

}  // namespace recover::apps
