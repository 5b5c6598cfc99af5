#include "apps/recoverd_backup/put_back.h"

#include <boost/json.hpp>

#include <algorithm>
#include <filesystem>
#include <utility>
#include <vector>

#include "backup/format/documents.h"

namespace recover::apps {
namespace {

namespace json = boost::json;
using backup::Failure;
using backup::FailureKind;
using backup::InPlaceOptions;
using backup::Outcome;
using backup::Repository;
using Found = Repository::FoundSnapshot;
using Paths = std::vector<std::string>;

bool is_tagged(const Found& found, const std::string& tag) {
  const auto& tags = found.snapshot.tags;
  return std::find(tags.begin(), tags.end(), tag) != tags.end();
}

Paths clean(const Paths& paths) {
  Paths all;
  for (const std::string& path : paths) {
    all.push_back(std::filesystem::path(path).lexically_normal().string());
  }
  std::sort(all.begin(), all.end());
  return all;
}

bool is_within(const std::string& path, const Paths& roots) {
  return std::any_of(roots.begin(), roots.end(), [&](const std::string& root) {
    return path == root || root == "/" || path.starts_with(root + "/");
  });
}

std::string time_text(const backup::Timestamp& time) {
  std::string text;
  backup::append_json_time(text, time);
  return text.substr(1, text.size() - 2);
}

class RestoreTask {
 public:
  RestoreTask(const Repository& repository, const Job& job, const InPlaceOptions& options,
              backup::RestoreProgress& progress, const std::stop_token& stop)
      : repository_(repository), job_(job), options_(options), progress_(progress), stop_(stop) {}

  Outcome<json::object> run() {
    auto all = repository_.snapshots();
    if (!all) return Unexpected(std::move(all.error()));
    // A partial one lacks files that were there.
    std::erase_if(*all, [&](const Found& one) {
      return one.snapshot.host != options_.host || one.snapshot.is_partial();
    });
    // Everything is looked up before anything is touched.
    std::vector<Choice> choices;
    for (const JobSource& source : job_.sources) {
      if (source.paths.empty()) continue;
      auto choice = choose(*all, source);
      if (!choice) return Unexpected(std::move(choice.error()));
      if (!choice->points.empty()) choices.push_back(std::move(*choice));
    }
    if (choices.empty()) return nothing_to_restore();
    for (const Choice& choice : choices) {
      if (job_.restore.dry_run) {
        if (auto looked = look_at(choice); !looked) return Unexpected(std::move(looked.error()));
        continue;
      }
      if (auto done = restore_one(choice); !done) return take_back(std::move(done.error()));
    }
    return result();
  }

 private:
  // What to restore of one source, and from which snapshots, best first.
  struct Choice {
    Paths paths;
    std::vector<Found> points;
  };

  Outcome<json::object> nothing_to_restore() const {
    return backup::fail(FailureKind::NotFound,
                        job_.restore.paths.empty()
                            ? job_.type + " backs up no paths; its dumps are restored by hand"
                            : "none of the paths is within the sources of " + job_.type);
  }

  // No points: none of the wanted paths is of this source.
  Outcome<Choice> choose(const std::vector<Found>& all, const JobSource& source) const {
    const Paths sources = clean(source.paths);
    Choice choice{.paths = sources, .points = {}};
    if (!job_.restore.paths.empty()) {
      choice.paths = clean(job_.restore.paths);
      std::erase_if(choice.paths, [&](const auto& path) { return !is_within(path, sources); });
      if (choice.paths.empty()) return choice;
    }
    const std::string& wanted = job_.restore.snapshot;
    for (auto one = all.rbegin(); one != all.rend(); ++one) {
      if (choice.points.size() >= (wanted == "latest" ? job_.restore.points : 1)) break;
      if (fits(*one, sources, choice.paths)) choice.points.push_back(*one);
    }
    if (choice.points.empty()) {
      return backup::fail(
          FailureKind::NotFound,
          "of " + sources.front() + " there is no snapshot `" + wanted + "` of " + job_.type);
    }
    if (wanted == "before") choice.paths = clean(choice.points.front().snapshot.paths);
    return choice;
  }

  bool fits(const Found& found, const Paths& sources, const Paths& paths) const {
    const std::string& wanted = job_.restore.snapshot;
    const Paths held = clean(found.snapshot.paths);
    if (wanted == "before") {
      return is_tagged(found, backup::kBeforeRestoreTag) && !held.empty() &&
             std::all_of(held.begin(), held.end(),
                         [&](const std::string& path) { return is_within(path, paths); });
    }
    if (!is_tagged(found, job_.type) || held != sources) return false;
    return wanted == "latest" || backup::hex(found.id).starts_with(wanted);
  }

  // The newest point whose trees can be read and hold the paths.
  Outcome<void> look_at(const Choice& choice) {
    Failure last{.kind = FailureKind::NotFound, .message = "there is no snapshot"};
    for (const Found& point : choice.points) {
      auto looked = look_at(point.snapshot, choice.paths);
      if (looked) {
        note(point);
        return {};
      }
      last = std::move(looked.error());
      ++passed_over_;
    }
    return Unexpected(std::move(last));
  }

  Outcome<void> look_at(const backup::Snapshot& snapshot, const Paths& paths) {
    const Paths present = backup::present_paths(snapshot, paths);
    if (present.empty()) return {};  // It knows that nothing was there.
    const auto report =
        restore(repository_, snapshot, {.to = "/", .selective = present, .dry_run = true},
                progress_, stop_);
    if (!report) return Unexpected(report.error());
    if (report->problem_count > 0) {
      return backup::fail(FailureKind::Damaged, report->problems.front());
    }
    return {};
  }

  void note(const Found& point) {
    restored_.push_back(backup::hex(point.id));
    const std::string time = time_text(point.snapshot.time);
    if (oldest_.empty() || time < oldest_) oldest_ = time;
  }

  Outcome<void> restore_one(const Choice& choice) {
    Failure last{.kind = FailureKind::NotFound, .message = "there is no snapshot"};
    for (const Found& point : choice.points) {
      auto options = options_;
      options.selective = choice.paths;
      options.exact = job_.restore.exact || job_.restore.snapshot == "before";
      const auto report = restore_in_place(repository_, point, options, progress_, stop_);
      const bool good = report && !report->rolled_back;
      if (good) {
        note(point);
        if (report->undo) undo_.push_back(*report->undo);
        left_alone_.insert(left_alone_.end(), report->restored.left_alone.begin(),
                           report->restored.left_alone.end());
        return {};
      }
      last = report ? failure_of(*report) : report.error();
      if (report && report->roll_back_report.problem_count > 0) break;
      if (stop_.stop_requested()) break;
      ++passed_over_;
    }
    return Unexpected(std::move(last));
  }

  static Failure failure_of(const backup::InPlaceReport& report) {
    Failure failure{.kind = FailureKind::Damaged,
                    .message = report.restored.problems.front() + "; what stood there "};
    const auto& back = report.roll_back_report;
    failure.message +=
        back.problem_count == 0 ? "is back" : "is not wholly back: " + back.problems.front();
    return failure;
  }

  // The sources that were restored before the one that could not be.
  Unexpected<Failure> take_back(Failure failure) const {
    for (auto id = undo_.rbegin(); id != undo_.rend(); ++id) {
      const auto kept = repository_.find_snapshot(backup::hex(*id));
      auto options = options_;
      options.exact = true;
      options.keep_undo = false;
      backup::RestoreProgress progress;
      const auto report = kept ? restore_in_place(repository_, *kept, options, progress)
                               : Outcome<backup::InPlaceReport>(Unexpected(kept.error()));
      if (report && report->restored.problem_count == 0) continue;
      failure.message += "; snapshot " + backup::hex(*id).substr(0, 8) + " could not be put back";
    }
    return Unexpected(std::move(failure));
  }

  json::object result() const {
    json::array undo;
    for (const backup::Digest& id : undo_) undo.emplace_back(backup::hex(id));
    return {{"snapshots", json::value_from(restored_)},
            {"dry_run", job_.restore.dry_run},
            {"time", oldest_},
            {"files", progress_.files.load()},
            {"files_unchanged", progress_.skipped.load()},
            {"bytes", progress_.bytes.load()},
            {"undo", std::move(undo)},
            {"left_alone", json::value_from(left_alone_)},
            {"points_passed_over", passed_over_}};
  }

  const Repository& repository_;
  const Job& job_;
  const InPlaceOptions& options_;
  backup::RestoreProgress& progress_;
  const std::stop_token& stop_;
  std::vector<std::string> restored_;
  std::vector<backup::Digest> undo_;
  Paths left_alone_;    // Other file systems, and the repository.
  std::string oldest_;  // Of the snapshots restored.
  std::uint32_t passed_over_ = 0;
};

}  // namespace

Outcome<json::object> restore_backup(const Repository& repository, const Job& job,
                                     const InPlaceOptions& options,
                                     backup::RestoreProgress& progress,
                                     const std::stop_token& stop) {
  return RestoreTask(repository, job, options, progress, stop).run();
}

}  // namespace recover::apps
