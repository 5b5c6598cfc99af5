#include "backup/restore/in_place.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <set>
#include <utility>

#include "backup/archive/exclude.h"
#include "backup/local/file.h"
#include "backup/restore/removal.h"
#include "backup/store/local_folders.h"

namespace recover::backup {
namespace {

namespace fs = std::filesystem;

constexpr int kFolder = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

using Paths = std::vector<std::string>;

bool is_within(const std::string& path, const std::string& root) {
  return path == root || root == "/" || path.starts_with(root + "/");
}

bool is_within_any(const std::string& path, const Paths& roots) {
  return std::any_of(roots.begin(), roots.end(),
                     [&](const std::string& root) { return is_within(path, root); });
}

std::string clean(const std::string& path) {
  std::string text = (fs::path("/") / path).lexically_normal().string();
  while (text.size() > 1 && text.ends_with('/')) text.pop_back();
  return text;
}

Paths paths_of(const Snapshot& snapshot, const InPlaceOptions& options) {
  Paths paths;
  for (const std::string& path : options.selective.empty() ? snapshot.paths : options.selective) {
    paths.push_back(clean(path));
  }
  return paths;
}

// Without those that lie within others: one walk keeps both.
Paths outermost(const Paths& paths) {
  Paths outer;
  for (const std::string& path : std::set<std::string>(paths.begin(), paths.end())) {
    if (!is_within_any(path, outer)) outer.push_back(path);
  }
  return outer;
}

// The paths that `those` has not.
Paths without(const Paths& paths, const Paths& those) {
  Paths rest = paths;
  std::erase_if(rest, [&](const std::string& path) {
    return std::find(those.begin(), those.end(), path) != those.end();
  });
  return rest;
}

// As a pattern of exclude.h that fits it alone.
std::string pattern_of(const std::string& path) {
  std::string pattern;
  for (const char c : path) {
    if (c == '*' || c == '?' || c == '[' || c == '\\') pattern += '\\';
    pattern += c;
  }
  return pattern;
}

// The snapshot has folders on the way to what it holds; where the machine has a link today, the
// restore would go elsewhere or be refused half-way.
Outcome<void> check_way(const std::string& path) {
  fs::path at = "/";
  for (const fs::path& part : fs::path(path).relative_path().parent_path()) {
    at /= part;
    struct stat info {};
    if (::lstat(at.c_str(), &info) != 0) return {};
    if (!S_ISDIR(info.st_mode)) {
      return fail(FailureKind::Invalid,
                  path + ": " + at.string() + " is not a folder here; restore with --to");
    }
  }
  return {};
}

bool is_there(const std::string& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0;
}

// What one restore in place is about.
struct Plan {
  Paths wanted;    // The snapshot has something there.
  Paths unwanted;  // It knows that there was nothing.
  Paths standing;  // Of both: something is there now …
  Paths absent;    // … or not.
  Paths repository;

  Paths all() const {
    Paths paths = standing;
    paths.insert(paths.end(), absent.begin(), absent.end());
    return paths;
  }
};

RestoreOptions restore_options(const InPlaceOptions& options, const Plan& plan, Paths paths) {
  return {.to = "/",
          .selective = std::move(paths),
          .sparse = options.sparse,
          .verify = true,
          .owners = options.owners,
          .exact = options.exact,
          .in_place = true,
          .keep = plan.repository,
          .threads = options.threads};
}

// What the backup left out is left out here too: nothing of it is touched. No folder that is
// mounted below a path is touched either, but for one that was backed up by its own path.
Outcome<Digest> save_what_stands(const Repository& repository,
                                 const Repository::FoundSnapshot& snapshot, const Plan& plan,
                                 const InPlaceOptions& options, const std::stop_token& stop) {
  ArchiveOptions archive_options;
  archive_options.paths = plan.all();
  archive_options.excludes = snapshot.snapshot.excludes;
  for (const std::string& folder : plan.repository) {
    archive_options.excludes.push_back(pattern_of(folder));
  }
  const Paths& taken = snapshot.snapshot.paths;
  archive_options.takes_mount = [&taken](const std::string& path) {
    return std::find(taken.begin(), taken.end(), path) != taken.end();
  };
  archive_options.absent_is_fine = true;
  archive_options.tags = {kBeforeRestoreTag};
  for (const std::string& path : plan.absent) archive_options.tags.push_back(kAbsentTag + path);
  archive_options.host = options.host;
  archive_options.user = options.user;
  archive_options.program_version = options.program_version;
  archive_options.now = options.now;
  archive_options.parent = snapshot;
  archive_options.threads = options.threads;
  archive_options.still_locked = options.still_locked;
  ArchiveProgress progress;
  const auto kept = archive(repository, archive_options, progress, stop);
  if (!kept) return Unexpected(kept.error());
  // What cannot be read cannot be put back.
  if (kept->problem_count > 0) {
    return fail(FailureKind::Io, "nothing was restored, for what stands there could not be kept: " +
                                     kept->problems.front());
  }
  return kept->id;
}

void note(RestoreReport& report, std::string problem) {
  ++report.problem_count;
  if (report.problems.size() < RestoreReport::kProblemsMax) {
    report.problems.push_back(std::move(problem));
  }
}

void remove_path(const std::string& path, const Plan& plan, const ExcludeList& excluded,
                 RestoreReport& report) {
  const fs::path name(path);
  const Descriptor folder(::open(name.parent_path().c_str(), kFolder));
  if (!folder && errno == ENOENT) return;
  const Keep keep = [&](const std::string& below) {
    const std::string entry = (name.parent_path() / below).string();
    return excluded.matches(entry) || std::find(plan.repository.begin(), plan.repository.end(),
                                                entry) != plan.repository.end();
  };
  const auto removed = folder ? remove_entry(folder.get(), name.filename().string(), keep)
                              : Outcome<void>(system_failure("opening", name.parent_path()));
  if (!removed && removed.error().kind != FailureKind::NotFound) {
    note(report, path + ": " + removed.error().message);
  }
}

// What stood there comes back, what did not goes.
RestoreReport roll_back(const Repository& repository, const Digest& undo, const Plan& plan,
                        InPlaceOptions options) {
  RestoreReport report;
  const auto kept = repository.find_snapshot(hex(undo));
  if (!kept) {
    note(report, kept.error().message);
    return report;
  }
  const ExcludeList excluded(kept->snapshot.excludes);
  for (const std::string& path : plan.absent) remove_path(path, plan, excluded, report);
  if (plan.standing.empty()) return report;
  options.exact = true;
  RestoreProgress progress;
  auto restored =
      restore(repository, kept->snapshot, restore_options(options, plan, plan.standing), progress);
  if (!restored) {
    note(report, restored.error().message);
    return report;
  }
  for (std::string& problem : restored->problems) note(report, std::move(problem));
  report.problem_count += restored->problem_count - restored->problems.size();
  return report;
}

Outcome<Plan> plan_of(const Repository& repository, const Snapshot& snapshot,
                      const InPlaceOptions& options, const std::stop_token& stop) {
  Plan plan;
  plan.repository = local_folders(repository.store());
  const Paths paths = paths_of(snapshot, options);
  const Paths held = present_paths(snapshot, paths);
  for (const std::string& path : paths) {
    if (auto way = check_way(path); !way) return Unexpected(std::move(way.error()));
  }
  // A path that the snapshot does not hold is told before anything is kept or touched.
  RestoreOptions look = restore_options(options, plan, held);
  look.dry_run = true;
  RestoreProgress looked;
  if (!held.empty()) {
    const auto found = restore(repository, snapshot, look, looked, stop);
    if (!found) return Unexpected(found.error());
  }
  plan.wanted = outermost(held);
  if (options.exact) plan.unwanted = outermost(without(paths, held));
  Paths both = plan.wanted;
  both.insert(both.end(), plan.unwanted.begin(), plan.unwanted.end());
  for (const std::string& path : outermost(both)) {
    (is_there(path) ? plan.standing : plan.absent).push_back(path);
  }
  return plan;
}

RestoreReport do_restore(const Repository& repository, const Snapshot& snapshot, const Plan& plan,
                         const InPlaceOptions& options, RestoreProgress& progress,
                         const std::stop_token& stop) {
  RestoreReport report;
  if (!plan.wanted.empty()) {
    auto restored =
        restore(repository, snapshot, restore_options(options, plan, plan.wanted), progress, stop);
    if (restored) report = std::move(*restored);
    if (!restored) note(report, restored.error().message);
  }
  if (report.problem_count > 0) return report;
  const ExcludeList excluded(snapshot.excludes);
  for (const std::string& path : plan.unwanted) remove_path(path, plan, excluded, report);
  return report;
}

}  // namespace

std::vector<std::string> present_paths(const Snapshot& snapshot,
                                       const std::vector<std::string>& paths) {
  Paths absent;
  for (const std::string& tag : snapshot.tags) {
    if (tag.starts_with(kAbsentTag)) absent.push_back(tag.substr(std::strlen(kAbsentTag)));
  }
  Paths present = paths;
  std::erase_if(present, [&](const std::string& path) { return is_within_any(path, absent); });
  return present;
}

Outcome<InPlaceReport> restore_in_place(const Repository& repository,
                                        const Repository::FoundSnapshot& snapshot,
                                        const InPlaceOptions& options, RestoreProgress& progress,
                                        const std::stop_token& stop) {
  const auto plan = plan_of(repository, snapshot.snapshot, options, stop);
  if (!plan) return Unexpected(plan.error());
  InPlaceReport report;
  report.absent = plan->absent;
  if (plan->all().empty()) return report;  // It knows of nothing there, and is not exact.
  if (options.keep_undo) {
    const auto undo = save_what_stands(repository, snapshot, *plan, options, stop);
    if (!undo) return Unexpected(undo.error());
    report.undo = *undo;
  }
  report.restored = do_restore(repository, snapshot.snapshot, *plan, options, progress, stop);
  if (report.restored.problem_count > 0 && report.undo) {
    report.rolled_back = true;
    report.roll_back_report = roll_back(repository, *report.undo, *plan, options);
  }
  ::sync();
  return report;
}

}  // namespace recover::backup
