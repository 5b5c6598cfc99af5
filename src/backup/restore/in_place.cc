#include "backup/restore/in_place.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <utility>

#include "backup/local/file.h"
#include "backup/restore/removal.h"

namespace recover::backup {
namespace {

namespace fs = std::filesystem;

constexpr int kFolder = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

std::vector<std::string> paths_of(const Snapshot& snapshot, const InPlaceOptions& options) {
  std::vector<std::string> paths;
  for (const std::string& path : options.selective.empty() ? snapshot.paths : options.selective) {
    paths.push_back((fs::path("/") / path).lexically_normal().string());
    if (paths.back().size() > 1 && paths.back().ends_with('/')) paths.back().pop_back();
  }
  return paths;
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

RestoreOptions restore_options(const InPlaceOptions& options, std::vector<std::string> paths) {
  return {.to = "/",
          .selective = std::move(paths),
          .sparse = options.sparse,
          .verify = true,
          .owners = options.owners,
          .exact = options.exact,
          .in_place = true,
          .threads = options.threads};
}

Outcome<std::optional<Digest>> save_what_stands(const Repository& repository,
                                                const Repository::FoundSnapshot& snapshot,
                                                const std::vector<std::string>& standing,
                                                const InPlaceOptions& options,
                                                const std::stop_token& stop) {
  if (standing.empty()) return std::optional<Digest>();
  ArchiveOptions archive_options;
  archive_options.paths = standing;
  archive_options.tags = {kBeforeRestoreTag};
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
  return std::optional(kept->id);
}

void note(RestoreReport& report, std::string problem) {
  ++report.problem_count;
  if (report.problems.size() < RestoreReport::kProblemsMax) {
    report.problems.push_back(std::move(problem));
  }
}

void remove_path(const std::string& path, RestoreReport& report) {
  const fs::path name(path);
  const Descriptor folder(::open(name.parent_path().c_str(), kFolder));
  const auto removed = folder ? remove_entry(folder.get(), name.filename().string())
                              : Outcome<void>(system_failure("opening", name.parent_path()));
  if (!removed && removed.error().kind != FailureKind::NotFound) {
    note(report, path + ": " + removed.error().message);
  }
}

// What stood there comes back, what did not goes.
RestoreReport roll_back(const Repository& repository, const std::optional<Digest>& undo,
                        const std::vector<std::string>& standing,
                        const std::vector<std::string>& absent, InPlaceOptions options) {
  RestoreReport report;
  for (const std::string& path : absent) remove_path(path, report);
  if (!undo) return report;
  const auto kept = repository.find_snapshot(hex(*undo));
  if (!kept) {
    note(report, kept.error().message);
    return report;
  }
  options.exact = true;
  RestoreProgress progress;
  auto restored = restore(repository, kept->snapshot, restore_options(options, standing), progress);
  if (!restored) {
    note(report, restored.error().message);
    return report;
  }
  for (std::string& problem : restored->problems) note(report, std::move(problem));
  report.problem_count += restored->problem_count - restored->problems.size();
  return report;
}

}  // namespace

Outcome<InPlaceReport> restore_in_place(const Repository& repository,
                                        const Repository::FoundSnapshot& snapshot,
                                        const InPlaceOptions& options, RestoreProgress& progress,
                                        const std::stop_token& stop) {
  const std::vector<std::string> paths = paths_of(snapshot.snapshot, options);
  std::vector<std::string> standing;
  std::vector<std::string> absent;
  for (const std::string& path : paths) {
    if (auto way = check_way(path); !way) return Unexpected(std::move(way.error()));
    (is_there(path) ? standing : absent).push_back(path);
  }
  // A path that the snapshot does not hold is told before anything is kept or touched.
  RestoreOptions look = restore_options(options, paths);
  look.dry_run = true;
  RestoreProgress looked;
  if (const auto held = restore(repository, snapshot.snapshot, look, looked, stop); !held) {
    return Unexpected(held.error());
  }
  const auto undo = save_what_stands(repository, snapshot, standing, options, stop);
  if (!undo) return Unexpected(undo.error());

  InPlaceReport report;
  report.undo = *undo;
  auto restored =
      restore(repository, snapshot.snapshot, restore_options(options, paths), progress, stop);
  if (restored) report.restored = std::move(*restored);
  if (!restored) note(report.restored, restored.error().message);
  if (report.restored.problem_count == 0) {
    ::sync();
    return report;
  }
  report.rolled_back = true;
  report.roll_back_report = roll_back(repository, report.undo, standing, absent, options);
  ::sync();
  return report;
}

}  // namespace recover::backup
