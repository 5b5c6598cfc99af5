#include "apps/recoverd_backup/worker.h"

#include <boost/json.hpp>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "apps/recoverd_backup/job_store.h"
#include "apps/recoverd_backup/machine.h"
#include "apps/recoverd_backup/program_run.h"
#include "apps/recoverd_backup/proof_tasks.h"
#include "apps/recoverd_backup/protect.h"
#include "apps/recoverd_backup/protected_source.h"
#include "apps/recoverd_backup/put_back.h"
#include "apps/recoverd_backup/sources/program_dump.h"
#include "apps/recoverd_backup/sources/source_backup.h"
#include "apps/recoverd_backup/status_line.h"
#include "backup/archive/archiver.h"
#include "backup/archive/stream.h"
#include "backup/local/file.h"
#include "backup/repo/index_cache.h"
#include "backup/repo/lock.h"
#include "backup/restore/in_place.h"
#include "backup/retain/shared_prune.h"

namespace recover::apps {
namespace {

namespace json = boost::json;
using backup::Failure;
using backup::FailureKind;
using backup::Outcome;
using backup::Repository;

// One job from its lock to its result.
class Worker {
 public:
  Worker(const Job& job, std::ostream& out, std::stop_token stop)
      : job_(job), out_(out), stop_(std::move(stop)), door_(job.load, read_pressure, stop_) {}

  Outcome<json::object> run() {
    auto opened = open_job_store(job_);
    if (!opened) return Unexpected(std::move(opened.error()));
    if (job_.task != Task::Restore) opened->store = behind_door(std::move(opened->store), door_);
    auto done = run_on(*opened);
    if (done) done = with_pause(door_, std::move(*done));
    if (opened->mirror == nullptr) return done;
    if (done && job_.task == Task::Backup) {
      static_cast<void>(catch_up_shortly(*opened->mirror, true, stop_));
    }
    const json::array members = members_told(*opened->mirror);
    result_["members"] = members;
    if (done) (*done)["members"] = members;
    return done;
  }

  // What was done before it failed: snapshots that are there all the same.
  const json::object& so_far() const { return result_; }

 private:
  Outcome<json::object> run_on(const JobStore& store) {
    auto repository = Repository::open(*store.store, job_.password);
    if (!repository) return Unexpected(std::move(repository.error()));
    repository->set_cache_folder(backup::default_cache_folder());
    // Who stays behind is told. Once it is known whose config opens: no other is copied.
    if (store.mirror != nullptr && job_.task == Task::Backup) {
      static_cast<void>(catch_up_shortly(*store.mirror, false, stop_));
    }
    const ProofTask proof{
        .job = job_, .store = store, .repository = *repository, .door = door_, .out = out_};
    switch (job_.task) {
      case Task::Protect: break;  // protect() does it.
      case Task::Backup: return back_up(*repository);
      case Task::Verify: return verify(proof, stop_);
      case Task::RestoreTest: return prove(proof, stop_);
      case Task::Drill: return drill(proof, stop_);
      case Task::CatchUp: return catch_up(proof, stop_);
      case Task::Restore: return put_back(*repository);
    }
    return backup::fail(FailureKind::Invalid, "no such task");
  }

  // ---- a backup

  Outcome<json::object> back_up(const Repository& repository) {
    auto done = run_hooks(job_.before);
    if (done) done = take_all(repository);
    auto after = run_hooks(job_.after);  // Also when the rest has failed.
    if (!done) return Unexpected(std::move(done.error()));
    if (!after) return Unexpected(std::move(after.error()));
    if (!job_.retention.is_empty()) {
      if (auto kept = forget_old(repository); !kept) return Unexpected(std::move(kept.error()));
    }
    return result_;
  }

  static Outcome<void> run_hooks(const std::vector<std::vector<std::string>>& hooks) {
    for (const auto& hook : hooks) {
      auto run = ProgramRun::start(hook, false);
      if (!run) return Unexpected(std::move(run.error()));
      if (auto ended = (*run)->wait(); !ended) return ended;
    }
    return {};
  }

  Outcome<void> take_all(const Repository& repository) {
    auto lock = backup::acquire_patiently(repository, backup::LockKind::Shared,
                                          backup::kLockPatience, stop_);
    if (!lock) return Unexpected(std::move(lock.error()));
    json::array snapshots;
    json::array problems;
    std::uint64_t problem_count = 0;
    std::uint64_t added = 0;
    backup::ArchiveProgress progress;
    const StatusLine line(out_, [&] {
      return with_pause(door_, {{"phase", "backup"},
                                {"files_done", progress.files_new + progress.files_changed +
                                                   progress.files_unmodified},
                                {"bytes_done", progress.bytes.load()}});
    });
    for (const JobSource& source : job_.sources) {
      const auto reports = take(repository, source, **lock, progress);
      if (!reports) return Unexpected(reports.error());
      for (const backup::ArchiveReport& report : *reports) {
        snapshots.emplace_back(backup::hex(report.id));
        problem_count += report.problem_count;
        added += report.snapshot.summary.value().data_added_packed;
        for (const std::string& problem : report.problems) {
          if (problems.size() < kProblemsTold) problems.emplace_back(problem);
        }
      }
    }
    repository.store().keep_reserve();
    result_["snapshots"] = std::move(snapshots);
    result_["files"] = progress.files_new + progress.files_changed + progress.files_unmodified;
    result_["bytes"] = progress.bytes.load();
    result_["bytes_added"] = added;
    result_["problem_count"] = problem_count;
    result_["problems"] = std::move(problems);
    if (!remotes_.empty()) result_["remotes"] = remotes_;
    // The backup is there; what was asked for as well is not.
    if (!mirror_trouble_.empty()) return backup::fail(FailureKind::Unreachable, mirror_trouble_);
    return {};
  }

  using Reports = std::vector<backup::ArchiveReport>;

  Outcome<Reports> take(const Repository& repository, const JobSource& source,
                        backup::RepositoryLock& lock, backup::ArchiveProgress& progress) {
    if (core::is_native(source.native)) return take_native(repository, source, lock, progress);
    auto report = source.command.empty() ? take_paths(repository, source, lock, progress)
                                         : take_output(repository, source, lock, progress);
    if (!report) return Unexpected(std::move(report.error()));
    Reports reports;
    reports.push_back(std::move(*report));
    return reports;
  }

  Outcome<backup::ArchiveReport> take_paths(const Repository& repository, const JobSource& source,
                                            backup::RepositoryLock& lock,
                                            backup::ArchiveProgress& progress) {
    backup::ArchiveOptions options;
    options.paths = source.paths;
    options.excludes = source.excludes;
    options.one_file_system = source.one_file_system;
    options.tags = {job_.type};
    options.host = this_host();
    options.user = this_user();
    options.program_version = "recoverd " RECOVER_VERSION;
    options.now = wall_time();
    options.ignore_parent = job_.full;
    options.threads = threads_within(job_.memory);
    options.pack_bytes = job_.memory.pack_bytes();
    options.still_locked = [&] { return lock.is_held(); };
    return archive(repository, options, progress, stop_);
  }

  Outcome<backup::ArchiveReport> take_output(const Repository& repository, const JobSource& source,
                                             backup::RepositoryLock& lock,
                                             backup::ArchiveProgress& progress) {
    auto program = ProgramRun::start(source.command, true);
    if (!program) return Unexpected(std::move(program.error()));
    auto options = stream_options(lock);
    options.name = source.name;
    options.is_whole = [&] { return (*program)->wait(); };
    // However long it says nothing: it is told to stop at once when we are.
    const auto read = [&](std::span<std::uint8_t> room) -> Outcome<std::size_t> {
      const int output = (*program)->output().get();
      if (auto ready = wait_readable(output, stop_); !ready) return Unexpected(ready.error());
      const ssize_t got = ::read(output, room.data(), room.size());
      if (got < 0) return backup::system_failure("reading from", source.name);
      return static_cast<std::size_t>(got);
    };
    return archive_stream(repository, read, options, progress, stop_);
  }

  // Of a database or a git repository; also its mirrors, told in the result.
  Outcome<Reports> take_native(const Repository& repository, const JobSource& source,
                               backup::RepositoryLock& lock, backup::ArchiveProgress& progress) {
    auto report =
        back_up_source(repository, source, job_.scratch, stream_options(lock), progress, stop_);
    if (!report) {
      report.error().message = source.name + ": " + report.error().message;
      return Unexpected(std::move(report.error()));
    }
    for (const RemoteReport& remote : report->remotes) {
      remotes_.push_back(json::object{{"source", source.name},
                                      {"remote", remote.remote},
                                      {"ok", remote.error.empty()},
                                      {"error", remote.error},
                                      {"refs", remote.refs},
                                      {"gone_from_source", json::value_from(remote.gone)}});
      if (remote.error.empty()) continue;
      mirror_trouble_ += (mirror_trouble_.empty() ? "" : "; ") + source.name + " to " +
                         remote.remote + ": " + remote.error;
    }
    return std::move(report->snapshots);
  }

  backup::StreamOptions stream_options(backup::RepositoryLock& lock) const {
    return {.name = {},
            .tags = {job_.type},
            .host = this_host(),
            .user = this_user(),
            .program_version = "recoverd " RECOVER_VERSION,
            .now = wall_time(),
            .is_whole = {},
            .still_locked = [&lock] { return lock.is_held(); }};
  }

  // Of this type only. Somebody else's lock puts it off to the next backup.
  Outcome<void> forget_old(const Repository& repository) {
    auto own = snapshots_of_type(repository, job_.type);
    if (!own) return Unexpected(std::move(own.error()));
    // Those of continuous protection would be the newest of every hour; it thins them itself.
    std::erase_if(*own, is_continuous);
    auto old = undos_too_old(repository);
    if (!old) return Unexpected(std::move(old.error()));
    std::vector<backup::Digest> forgotten = std::move(*old);
    for (const auto& verdict : backup::judge(std::move(*own), job_.retention)) {
      if (verdict.kept_by.empty()) forgotten.push_back(verdict.snapshot.id);
    }
    const std::size_t count = forgotten.size();
    result_["snapshots_forgotten"] = 0;
    if (forgotten.empty()) return {};
    backup::PruneProgress progress;
    const StatusLine line(out_, [&] {
      return json::object{{"phase", "prune"},
                          {"packs_done", progress.packs_done.load()},
                          {"total_packs", progress.packs_total.load()},
                          {"bytes_done", progress.bytes.load()}};
    });
    const auto pruned = prune_beside_others(
        repository, {.prune = {.forget = std::move(forgotten), .progress = &progress}}, stop_);
    if (!pruned && pruned.error().kind == FailureKind::Locked) {
      result_["retention_put_off"] = pruned.error().message;
      return {};
    }
    if (!pruned) return Unexpected(pruned.error());
    result_["snapshots_forgotten"] = count;
    result_["bytes_freed"] = pruned->bytes_freed;
    return {};
  }

  // Whether it is what stood at paths of ours before a restore. It has no type.
  bool is_undo(const Repository::FoundSnapshot& found) const {
    const auto& snapshot = found.snapshot;
    const bool tagged =
        std::ranges::find(snapshot.tags, backup::kBeforeRestoreTag) != snapshot.tags.end();
    const auto is_ours = [&](const std::string& path) {
      return std::ranges::any_of(job_.sources, [&](const JobSource& source) {
        return std::ranges::any_of(source.paths, [&](const std::string& root) {
          return path == root || root == "/" || path.starts_with(root + "/");
        });
      });
    };
    return tagged && snapshot.host == this_host() && std::ranges::all_of(snapshot.paths, is_ours);
  }

  // Those of more than kUndoKept ago; never the newest of its paths.
  Outcome<std::vector<backup::Digest>> undos_too_old(const Repository& repository) const {
    auto undos = repository.snapshots();
    if (!undos) return Unexpected(std::move(undos.error()));
    std::erase_if(*undos, [&](const auto& found) { return !is_undo(found); });
    const std::int64_t oldest = wall_time().seconds - std::chrono::seconds(kUndoKept).count();
    std::vector<backup::Digest> old;
    for (const auto& verdict : backup::judge(std::move(*undos), {.last = 1})) {
      const auto& found = verdict.snapshot;
      const bool is_old = found.snapshot.time.seconds < oldest;
      if (is_old && verdict.kept_by.empty()) old.push_back(found.id);
    }
    return old;
  }

  // ---- a recovery

  Outcome<json::object> put_back(const Repository& repository) {
    auto lock = backup::RepositoryLock::acquire(repository, backup::LockKind::Shared);
    if (!lock) return Unexpected(std::move(lock.error()));
    backup::RestoreProgress progress;
    const StatusLine line(out_, [&] {
      return json::object{{"files_restored", progress.files.load()},
                          {"bytes_restored", progress.bytes.load()}};
    });
    const backup::InPlaceOptions options{.owners = ::geteuid() == 0,
                                         .threads = threads_within(job_.memory),
                                         .host = this_host(),
                                         .user = this_user(),
                                         .program_version = "recoverd " RECOVER_VERSION,
                                         .now = wall_time(),
                                         .still_locked = [&] { return (*lock)->is_held(); }};
    return restore_backup(repository, job_, options, progress, stop_);
  }

  static constexpr std::size_t kProblemsTold = 20;
  static constexpr std::chrono::days kUndoKept{30};

  const Job& job_;
  std::ostream& out_;
  std::stop_token stop_;
  Door door_;
  json::object result_;
  json::array remotes_;
  std::string mirror_trouble_;
};

}  // namespace

bool do_job(const Job& job, std::ostream& out, const std::stop_token& stop) {
  Worker worker(job, out, stop);
  auto done = job.task == Task::Protect ? protect(job, out, stop) : worker.run();
  json::object message{{"message_type", "result"}, {"ok", done.has_value()}};
  if (done) {
    for (const auto& field : *done) message[field.key()] = field.value();
  } else {
    for (const auto& field : worker.so_far()) message[field.key()] = field.value();
    message["code"] = code_of(done.error().kind);
    message["error"] = done.error().message;
  }
  out << json::serialize(message) << "\n" << std::flush;
  return done.has_value();
}

}  // namespace recover::apps
