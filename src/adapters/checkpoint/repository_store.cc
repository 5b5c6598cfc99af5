#include "adapters/checkpoint/repository_store.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <optional>
#include <utility>

#include "adapters/checkpoint/protocol.h"
#include "adapters/checkpoint/survey.h"
#include "adapters/checkpoint/worker_call.h"

namespace recover::adapters::checkpoint {
namespace {

using ports::CheckpointContents;
using ports::CheckpointInfo;
using ports::CheckpointLimits;
using ports::PruneRequest;
using ports::RestoreReport;
using ports::RestoreRequest;
using ports::TakenCheckpoint;
using ports::TakeRequest;

std::int64_t wall_now() {
  return std::chrono::duration_cast<Duration>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

constexpr std::chrono::milliseconds kLookEvery{50};

// A history's name is "@configuration", or "@configuration:production".
std::vector<std::string> tags_of(const std::string& service) {
  std::vector<std::string> tags = {std::string(kCheckpointTag)};
  if (!service.starts_with('@')) {
    tags.push_back("service:" + service);
    return tags;
  }
  const std::size_t colon = service.find(':');
  tags.push_back(service.substr(1, colon - 1));
  if (colon != std::string::npos) tags.push_back("environment:" + service.substr(colon + 1));
  return tags;
}

WorkerResult ask(const StoreOptions& options, WorkerJob job, const CheckpointLimits& limits) {
  job.root = options.root;
  job.asked_by = ::getpid();
  const auto answer =
      ask_worker({.program = options.worker,
                  .job = encode(job),
                  .limits = limits,
                  .changes_state = job.task == WorkerTask::Restore && !job.dry_run});
  if (!answer) return Unexpected(answer.error());
  return decode_answer(*answer);
}

}  // namespace

Result<std::unique_ptr<RepositoryStore>, CheckpointError> RepositoryStore::open(
    StoreOptions options) {
  const std::string root = options.root;
  std::unique_ptr<RepositoryStore> store(new RepositoryStore(std::move(options)));
  if (auto done = make_folders(root + "/services"); !done) {
    return Unexpected(std::move(done).error());
  }
  struct stat status {};
  store->taking_over_ = ::stat((root + "/objects").c_str(), &status) == 0;
  if (store->taking_over_) {
    // What could not be taken over is tried again at the next start.
    store->background_.begin(
        encode(WorkerJob{.task = WorkerTask::TakeOver, .root = root, .asked_by = ::getpid()}),
        [own = store.get()](bool) { own->taking_over_ = false; });
  }
  return store;
}

RepositoryStore::~RepositoryStore() = default;

// ---- taking

Result<TakenCheckpoint, CheckpointError> RepositoryStore::take(const TakeRequest& request) {
  Done fits = check_name(request.service, "service");
  if (fits && !request.name.empty()) fits = check_name(request.name, "checkpoint name");
  if (fits) fits = wait_until_taken_over(request.limits);
  if (!fits) return Unexpected(std::move(fits).error());
  auto paths = normal_paths(request.paths);
  if (!paths) return Unexpected(std::move(paths).error());
  const std::int64_t now = wall_now();
  auto seen = survey(*paths, options_.root, request.limits);
  if (!seen) return Unexpected(std::move(seen).error());
  if (auto known = seen_already(request, *paths, seen->fingerprint)) {
    return keep(request, std::move(*known), 0);
  }
  end_sweep();
  WorkerJob job{.task = WorkerTask::Take,
                .service = request.service,
                .tags = tags_of(request.service),
                .paths = *paths,
                .present = std::move(seen->present),
                .absent = seen->absent,
                .not_held = seen->not_held};
  if (seen->has_strays) job.excludes.push_back(std::string(kTemporaryPrefix) + "*");
  auto answer = ask(options_, std::move(job), request.limits);
  if (!answer) return Unexpected(std::move(answer).error());
  CheckpointRecord record{.info = {.id = answer->content,
                                   .service = request.service,
                                   .wall_ns = now,
                                   .paths = std::move(*paths),
                                   .facts = request.facts,
                                   .files = answer->files,
                                   .bytes = answer->bytes},
                          .snapshot = answer->snapshot,
                          .content = answer->content,
                          .absent = std::move(seen->absent),
                          .not_held = std::move(seen->not_held)};
  if (seen->newest_ns <= now - options_.clock_step.count())
    record.fingerprint = std::move(seen->fingerprint);
  return keep(request, std::move(record), answer->bytes_stored);
}

// The checkpoint that saw the very same: no byte of it need be read.
std::optional<CheckpointRecord> RepositoryStore::seen_already(const TakeRequest& request,
                                                              const std::vector<std::string>& paths,
                                                              const std::string& fingerprint) {
  const std::scoped_lock lock(records_);
  const auto all = shelf_.listed(request.service);
  if (!all) return std::nullopt;
  for (const RecordShelf::Listed& one : *all) {
    auto record = shelf_.load(request.service, one.id);
    if (!record || record->fingerprint != fingerprint || record->info.paths != paths) continue;
    struct stat status {};
    const std::string file = options_.root + "/repository/snapshots/" + record->snapshot;
    if (::stat(file.c_str(), &status) == 0) return std::move(*record);
  }
  return std::nullopt;
}

// The record's rename is what makes the checkpoint be there. The one that is stays what it was, but
// stands for the newer snapshot; its time says that the state was seen again.
Result<TakenCheckpoint, CheckpointError> RepositoryStore::keep(const TakeRequest& request,
                                                               CheckpointRecord record,
                                                               std::uint64_t bytes_stored) {
  const std::scoped_lock lock(records_);
  if (request.versioned) {
    const auto latest = shelf_.newest(request.service);
    const bool same = latest && latest->content == record.content;
    FieldDigest id;
    id.add(record.content);
    id.add(latest ? latest->info.id : "");
    record.info.id = same ? latest->info.id : id.id();
  }
  const auto held = shelf_.load(request.service, record.info.id);
  TakenCheckpoint taken{.id = record.info.id,
                        .new_state = !held,
                        .files = record.info.files,
                        .bytes = record.info.bytes,
                        .bytes_stored = bytes_stored};
  if (held) record.info = held->info;
  if (auto done = shelf_.put(record); !done) {
    drop_snapshot(record.snapshot);
    return Unexpected(std::move(done).error());
  }
  if (held && held->snapshot != record.snapshot) drop_snapshot(held->snapshot);
  Done done;
  if (!request.name.empty()) done = shelf_.point(request.service, request.name, taken.id);
  if (!done) return Unexpected(std::move(done).error());
  return taken;
}

// What it held goes with the next sweep. One that stays is found by that too.
void RepositoryStore::drop_snapshot(const std::string& snapshot) const {
  ::unlink((options_.root + "/repository/snapshots/" + snapshot).c_str());
}

// ---- looking

Result<CheckpointRecord, CheckpointError> RepositoryStore::find(std::string_view service,
                                                                std::string_view checkpoint) {
  const std::scoped_lock lock(records_);
  const auto id = shelf_.resolve(service, checkpoint);
  if (!id) return Unexpected(id.error());
  auto record = shelf_.load(service, *id);
  const auto all = shelf_.listed(service);
  for (const RecordShelf::Listed& one : record&& all ? *all : std::vector<RecordShelf::Listed>()) {
    if (one.id == *id) record->info.names = one.names;
  }
  return record;
}

Result<void, CheckpointError> RepositoryStore::name(std::string_view service,
                                                    std::string_view checkpoint,
                                                    std::string_view name) {
  Done fits = check_name(name, "checkpoint name");
  if (fits) fits = wait_until_taken_over({});
  if (!fits) return fits;
  const std::scoped_lock lock(records_);
  const auto id = shelf_.resolve(service, checkpoint);
  if (!id) return Unexpected(id.error());
  return shelf_.point(service, name, *id);
}

Result<std::vector<CheckpointInfo>, CheckpointError> RepositoryStore::list(
    std::string_view service) {
  const std::scoped_lock lock(records_);
  const auto all = shelf_.listed(service);
  if (!all) return Unexpected(all.error());
  std::vector<CheckpointInfo> infos;
  for (const RecordShelf::Listed& one : *all) {
    auto record = shelf_.load(service, one.id);
    if (!record) continue;
    record->info.names = one.names;
    infos.push_back(std::move(record->info));
  }
  return infos;
}

Result<CheckpointContents, CheckpointError> RepositoryStore::show(std::string_view service,
                                                                  std::string_view checkpoint) {
  auto record = find(service, checkpoint);
  if (!record) return Unexpected(std::move(record).error());
  auto answer = ask(options_,
                    {.task = WorkerTask::Show,
                     .paths = record->info.paths,
                     .absent = record->absent,
                     .not_held = record->not_held,
                     .snapshot = record->snapshot},
                    {});
  if (!answer) return Unexpected(std::move(answer).error());
  return CheckpointContents{.info = std::move(record->info),
                            .files = std::move(answer->entries),
                            .not_held = std::move(record->not_held)};
}

Result<std::string, CheckpointError> RepositoryStore::difference(std::string_view service,
                                                                 std::string_view before,
                                                                 std::string_view after) {
  const auto earlier = find(service, before);
  if (!earlier) return Unexpected(earlier.error());
  const auto later = find(service, after);
  if (!later) return Unexpected(later.error());
  auto answer =
      ask(options_,
          {.task = WorkerTask::Diff, .snapshot = earlier->snapshot, .other = later->snapshot}, {});
  if (!answer) return Unexpected(std::move(answer).error());
  return std::move(answer->text);
}

// ---- restoring

Result<RestoreReport, CheckpointError> RepositoryStore::restore(const RestoreRequest& request) {
  if (auto ready = wait_until_taken_over(request.limits); !ready) {
    return Unexpected(std::move(ready).error());
  }
  auto record = find(request.service, request.checkpoint);
  if (!record) return Unexpected(record.error());
  auto only = normal_paths(request.paths);
  if (!only) return Unexpected(std::move(only).error());
  RestoreReport undo;
  if (!request.dry_run) {
    take_undo(*record, request.limits, undo);
    record = find(request.service, record->info.id);  // A newer snapshot may stand for it.
    if (!record) return Unexpected(record.error());
  }
  end_sweep();
  auto answer = ask(options_,
                    {.task = WorkerTask::Restore,
                     .paths = record->info.paths,
                     .absent = record->absent,
                     .not_held = record->not_held,
                     .snapshot = record->snapshot,
                     .only = std::move(*only),
                     .dry_run = request.dry_run},
                    request.limits);
  if (!answer) return Unexpected(std::move(answer).error());
  RestoreReport report = std::move(answer->report);
  report.id = record->info.id;
  report.undo = std::move(undo.undo);
  report.no_undo = std::move(undo.no_undo);
  return report;
}

// A state that cannot be taken, because the disk is full say, must not keep a recovery from putting
// a good one back.
void RepositoryStore::take_undo(const CheckpointRecord& record, const CheckpointLimits& limits,
                                RestoreReport& report) {
  const auto taken = take({.service = record.info.service,
                           .name = {},
                           .paths = record.info.paths,
                           .facts = {},
                           .limits = limits});
  if (!taken) {
    report.no_undo = taken.error().message;
    return;
  }
  report.undo = taken->id;
  if (taken->id == record.info.id) return;
  const std::scoped_lock lock(records_);
  static_cast<void>(shelf_.point(record.info.service, ports::kBeforeRestore, taken->id));
}

// ---- forgetting

Result<std::vector<std::string>, CheckpointError> RepositoryStore::prune(
    const PruneRequest& request) {
  if (taking_over_) return std::vector<std::string>();
  std::vector<std::string> removed;
  {
    const std::scoped_lock lock(records_);
    const auto all = shelf_.listed(request.service);
    if (!all) return Unexpected(all.error());
    const auto in_use = [&request](const std::string& word) {
      return std::find(request.in_use.begin(), request.in_use.end(), word) != request.in_use.end();
    };
    const auto named_use = [&in_use](const std::string& name) {
      return name == ports::kLastGood || name == ports::kLastGoodStarted || in_use(name);
    };
    const auto lasting = [](const std::string& name) {
      return !std::string_view(name).starts_with(kPassingPrefix);
    };
    std::size_t seen = 0;
    std::size_t named = 0;
    for (const RecordShelf::Listed& one : *all) {
      if (!shelf_.load(request.service, one.id)) continue;  // Damaged, or not taken over yet.
      const bool recent = seen++ < request.keep;
      if (recent || in_use(one.id) || std::ranges::any_of(one.names, named_use)) continue;
      if (std::ranges::any_of(one.names, lasting) && ++named <= kNamedKeptMax) continue;
      if (auto done = forget(request.service, one); !done) {
        return Unexpected(std::move(done).error());
      }
      removed.push_back(one.id);
    }
  }
  forgotten_ += removed.size();
  const bool due = forgotten_ >= kForgottenMax || (request.make_room && !removed.empty());
  auto job = due ? sweep_job() : std::nullopt;
  if (job) {
    background_.begin(std::move(*job), [this](bool done) {
      if (done) forgotten_ = 0;
    });
  }
  return removed;
}

Done RepositoryStore::forget(std::string_view service, const RecordShelf::Listed& checkpoint) {
  const auto record = shelf_.load(service, checkpoint.id);
  if (auto removed = shelf_.remove(service, checkpoint); !removed) return removed;
  if (record) drop_snapshot(record->snapshot);
  return {};
}

// While any record cannot be read, nobody knows which snapshot it needs.
std::optional<std::string> RepositoryStore::sweep_job() const {
  const std::scoped_lock lock(records_);
  WorkerJob job{.task = WorkerTask::Sweep, .root = options_.root, .asked_by = ::getpid()};
  const auto services = shelf_.services();
  if (!services) return std::nullopt;
  for (const std::string& service : *services) {
    const auto all = shelf_.listed(service);
    if (!all) return std::nullopt;
    for (const RecordShelf::Listed& one : *all) {
      const auto record = shelf_.load(service, one.id);
      job.keep_all = job.keep_all || !record;
      if (record) job.kept.push_back(record->snapshot);
    }
  }
  return encode(job);
}

// A sweep is put off: what waits for it is more urgent.
void RepositoryStore::end_sweep() {
  if (!taking_over_) background_.stop();
}

void RepositoryStore::settle() {
  while (!background_.wait(kLookEvery)) {
  }
}

Done RepositoryStore::wait_until_taken_over(const CheckpointLimits& limits) {
  while (taking_over_) {
    if (auto go = go_on(limits); !go) return go;
    background_.wait(kLookEvery);
  }
  return {};
}

}  // namespace recover::adapters::checkpoint
