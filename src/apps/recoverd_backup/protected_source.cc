#include "apps/recoverd_backup/protected_source.h"

#include <algorithm>
#include <utility>

#include "apps/recoverd_backup/machine.h"
#include "backup/archive/exclude.h"
#include "backup/retain/retention.h"

namespace recover::apps {
namespace {

using backup::ChangeSet;
using backup::ChangeWatch;
using backup::Outcome;
using backup::Repository;

// Of the wanted RPO: so long changes are gathered.
constexpr int kPaceShare = 3;

// Of a repository in a folder of this machine: what we write there is no reason to write again.
std::string local_folder(const std::string& location) {
  const std::string path = location.starts_with("local:") ? location.substr(6) : location;
  return path.starts_with('/') ? path : std::string();
}

backup::ChangeWatchOptions watch_options(const Job& job, const JobSource& source) {
  backup::ChangeWatchOptions options;
  options.wish = job.protection.feed;
  options.feed.paths = source.paths;
  options.feed.one_file_system = source.one_file_system;
  const std::string own = local_folder(job.location);
  options.feed.ignored = [own, excludes =
                                   backup::ExcludeList(source.excludes)](const std::string& path) {
    return (!own.empty() && backup::is_at_or_below(path, own)) || excludes.matches(path);
  };
  return options;
}

}  // namespace

bool is_continuous(const Repository::FoundSnapshot& snapshot) {
  const auto& tags = snapshot.snapshot.tags;
  return std::find(tags.begin(), tags.end(), backup::kContinuousTag) != tags.end();
}

ProtectedSource::ProtectedSource(const Job& job, const JobSource& source)
    : job_(job), source_(source), watch_(watch_options(job, source)) {
  ChangeSet all;
  all.add_everything("the first walk");
  watch_.add(all, std::nullopt);
}

ProtectedSource::Clock::time_point ProtectedSource::due() const {
  const Clock::duration rpo = job_.protection.rpo;
  const Clock::duration pace = rpo / kPaceShare;
  if (!made_ || !walked_) return Clock::time_point::min();
  Clock::time_point due = *walked_ + job_.protection.reconcile;
  // Nobody tells: everything is walked, at the same pace, but not all the time.
  if (!watch_.kind()) due = std::min(due, *walked_ + std::max(pace, 2 * walk_took_));
  const ChangeWatch::Waiting waiting = watch_.waiting();
  if (!waiting.oldest) return due;
  Clock::duration gather = pace;
  if (waiting.everything) gather = std::clamp(rpo - 3 * walk_took_, Clock::duration(), pace);
  return std::min(due, *waiting.oldest + gather);
}

std::optional<ProtectedSource::Clock::time_point> ProtectedSource::protected_until() const {
  if (!made_) return std::nullopt;
  if (!watch_.kind()) return walked_;
  return watch_.waiting().oldest.value_or(Clock::now());
}

void ProtectedSource::find_parent(const Repository& repository,
                                  const std::vector<Repository::FoundSnapshot>& snapshots) {
  if (std::exchange(repository_, repository.config().id) != repository.config().id) {
    own_parent_.reset();
  }
  backup::ArchiveOptions options;
  options.paths = source_.paths;
  options.host = this_host();
  options.now = wall_time();
  found_parent_ = parent_of(snapshots, options);
}

// Somebody may have forgotten it, and pruned what only it had.
std::optional<Repository::FoundSnapshot> ProtectedSource::if_there(
    const Repository& repository, const std::optional<Repository::FoundSnapshot>& parent) {
  const bool is_there =
      parent &&
      repository.store().size({.kind = backup::FileKind::Snapshot, .id = parent->id}).has_value();
  return is_there ? parent : std::nullopt;
}

backup::ArchiveOptions ProtectedSource::options(backup::RepositoryLock& lock) {
  backup::ArchiveOptions options;
  options.paths = source_.paths;
  options.excludes = source_.excludes;
  options.one_file_system = source_.one_file_system;
  options.tags = {job_.type, backup::kContinuousTag};
  options.host = this_host();
  options.user = this_user();
  options.program_version = "recoverd " RECOVER_VERSION;
  options.now = wall_time();
  options.threads = threads_within(job_.memory);
  options.pack_bytes = job_.memory.pack_bytes();
  options.still_locked = [&lock] { return lock.is_held(); };
  options.on_linked = [this](const std::string& path, const backup::Node& node) {
    links_.saw(path, node);
  };
  options.skip_unchanged = true;
  return options;
}

Outcome<ProtectedSource::Made> ProtectedSource::make(const Repository& repository,
                                                     backup::LiveIndex& index,
                                                     backup::RepositoryLock& lock,
                                                     const std::stop_token& stop) {
  const Clock::time_point begun = Clock::now();
  auto parent = if_there(repository, own_parent_);
  const bool known = parent.has_value();
  if (!known) parent = if_there(repository, found_parent_);
  const bool reconciles = walked_ && begun >= *walked_ + job_.protection.reconcile;
  const bool told = watch_.kind().has_value();
  ChangeWatch::Taken taken = watch_.take();
  if (!known) taken.changes.add_everything("there is no snapshot to go on from");
  if (reconciles) taken.changes.add_everything("all is compared now and then");
  if (!told) taken.changes.add_everything("changes are not told: " + watch_.trouble());
  links_.begin(taken.changes);
  backup::ArchiveProgress progress;
  auto report = archive_onto(
      repository, {.index = index.index(), .parent = std::move(parent), .changes = &taken.changes},
      options(lock), progress, stop);
  if (!report) {
    watch_.put_back(taken);
    return Unexpected(std::move(report.error()));
  }
  own_parent_ = {.id = report->id, .snapshot = report->snapshot};
  made_ = begun;
  const Clock::time_point ended = Clock::now();
  if (taken.changes.is_everything()) {
    walked_ = begun;
    walk_took_ = ended - begun;
  }
  if (const ChangeSet rest = links_.finish(); !rest.empty()) {
    watch_.add(rest, taken.oldest.value_or(begun));
  }
  ChangeSet unread;
  for (const std::string& path : report->unread) unread.add(path, true);
  watch_.add(unread, std::nullopt);
  Made made{.report = std::move(*report),
            .changes = taken.changes.size(),
            .everything = taken.changes.is_everything(),
            .why = taken.changes.why(),
            .took = ended - begun,
            .rpo = std::nullopt};
  if (taken.oldest) made.rpo = ended - *taken.oldest;
  return made;
}

}  // namespace recover::apps
