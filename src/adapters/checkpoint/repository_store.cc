#include "adapters/checkpoint/repository_store.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <ctime>
#include <map>
#include <mutex>
#include <optional>
#include <set>
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

constexpr std::string_view kManifestSuffix = ".json";

CheckpointError error(CheckpointFault fault, std::string message) {
  return {.fault = fault, .message = std::move(message)};
}

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_' || c == '@' || c == '.';
}

// A file name for any text: no slash, no dot in front, reversible.
std::string escaped(std::string_view text) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    if (is_plain(c) && !(out.empty() && c == '.')) {
      out.push_back(c);
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out.push_back('%');
      out.push_back(kDigits[byte >> 4U]);
      out.push_back(kDigits[byte & 0xfU]);
    }
  }
  return out;
}

std::string unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned byte = 0;
    const char* const digits = text.data() + i + 1;
    if (text[i] == '%' && i + 2 < text.size() &&
        std::from_chars(digits, digits + 2, byte, 16).ptr == digits + 2) {
      out.push_back(static_cast<char>(byte));
      i += 2;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

Done check_name(std::string_view name, std::string_view what) {
  if (!name.empty() && name.size() <= kNameBytesMax) return {};
  return Unexpected(error(CheckpointFault::Refused,
                          "a " + std::string(what) + " has 1 to " + std::to_string(kNameBytesMax) +
                              " bytes: " + std::string(name.substr(0, kNameBytesMax))));
}

// The names in a folder; none if there is no such folder.
Result<std::vector<std::string>, CheckpointError> names_if_any(const std::string& path) {
  const Descriptor folder = open_folder(path);
  if (!folder && errno == ENOENT) return std::vector<std::string>();
  if (!folder) return Unexpected(io_error("open", path));
  return names_in(folder.get(), path);
}

std::optional<std::string> id_in(const std::string& file_name) {
  if (!file_name.ends_with(kManifestSuffix)) return std::nullopt;
  return file_name.substr(0, file_name.size() - kManifestSuffix.size());
}

std::int64_t wall_now() {
  return std::chrono::duration_cast<Duration>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// Gives the file the time of now, to the nanosecond: the kernel's own stamp only moves every few
// milliseconds, and times order checkpoints.
bool stamp(const std::string& path) {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  const timespec times[2] = {now, now};
  return ::utimensat(AT_FDCWD, path.c_str(), times, 0) == 0;
}

// A pattern that means just this path.
std::string literally(const std::string& path) {
  std::string pattern;
  for (const char c : path) {
    if (std::string_view("*?[]\\").find(c) != std::string_view::npos) pattern.push_back('\\');
    pattern.push_back(c);
  }
  return pattern;
}

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

// A record's file, without its content.
struct RepositoryStore::Listed {
  std::string id;
  std::vector<std::string> names;
  std::int64_t taken_ns = 0;
};

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
    const std::scoped_lock lock(store->background_mutex_);
    store->begin_background(
        encode(WorkerJob{.task = WorkerTask::TakeOver, .root = root, .asked_by = ::getpid()}));
  }
  return store;
}

RepositoryStore::~RepositoryStore() = default;

std::string RepositoryStore::folder_of(std::string_view service) const {
  return options_.root + "/services/" + escaped(service);
}

std::string RepositoryStore::record_path(std::string_view service, const std::string& id) const {
  return folder_of(service) + "/" + id + std::string(kManifestSuffix);
}

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
  for (const std::string& path : seen->not_held) {
    if (path == options_.root) job.excludes.push_back(literally(path));
  }
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
  const auto all = listed(request.service);
  if (!all) return std::nullopt;
  for (const Listed& one : *all) {
    auto record = load(request.service, one.id);
    if (!record || record->fingerprint != fingerprint || record->info.paths != paths) continue;
    struct stat status {};
    const std::string file = options_.root + "/repository/snapshots/" + record->snapshot;
    if (::stat(file.c_str(), &status) == 0) return std::move(*record);
  }
  return std::nullopt;
}

std::optional<CheckpointRecord> RepositoryStore::newest(std::string_view service) const {
  const auto all = listed(service);
  if (!all) return std::nullopt;
  for (const Listed& one : *all) {
    if (auto record = load(service, one.id)) return std::move(*record);
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
    const auto latest = newest(request.service);
    const bool same = latest && latest->content == record.content;
    FieldDigest id;
    id.add(record.content);
    id.add(latest ? latest->info.id : "");
    record.info.id = same ? latest->info.id : id.id();
  }
  const auto held = load(request.service, record.info.id);
  TakenCheckpoint taken{.id = record.info.id,
                        .new_state = !held,
                        .files = record.info.files,
                        .bytes = record.info.bytes,
                        .bytes_stored = bytes_stored};
  if (held) record.info = held->info;
  const std::string path = record_path(request.service, record.info.id);
  const std::string text = encode(record);
  if (!held || encode(*held) != text) {
    Done done = make_folders(folder_of(request.service) + "/names");
    if (done) done = replace_file(path, text);
    if (!done) {
      drop_snapshot(record.snapshot);
      return Unexpected(std::move(done).error());
    }
    if (held && held->snapshot != record.snapshot) drop_snapshot(held->snapshot);
  }
  stamp(path);  // Without it the time is that of the kernel's last tick: good enough to go on with.
  Done done;
  if (!request.name.empty()) done = point(request.service, request.name, taken.id);
  if (!done) return Unexpected(std::move(done).error());
  return taken;
}

Done RepositoryStore::point(std::string_view service, std::string_view name,
                            const std::string& id) const {
  const std::string path = folder_of(service) + "/names/" + escaped(name);
  if (const auto now = read_file(path); now && *now == id) return {};
  return replace_file(path, id);
}

// What it held goes with the next sweep. One that stays is found by that too.
void RepositoryStore::drop_snapshot(const std::string& snapshot) const {
  ::unlink((options_.root + "/repository/snapshots/" + snapshot).c_str());
}

// ---- looking

Result<std::string, CheckpointError> RepositoryStore::resolve(std::string_view service,
                                                              std::string_view checkpoint) const {
  const auto all = listed(service);
  if (!all) return Unexpected(all.error());
  std::vector<std::string> found;
  for (const Listed& one : *all) {
    const bool named = std::find(one.names.begin(), one.names.end(), checkpoint) != one.names.end();
    if (named || one.id == checkpoint) return one.id;
    if (checkpoint.size() >= kIdPrefixMin && one.id.starts_with(checkpoint))
      found.push_back(one.id);
  }
  if (found.size() == 1) return found.front();
  return Unexpected(
      error(CheckpointFault::NotFound,
            "service " + std::string(service) + " has no checkpoint " + std::string(checkpoint)));
}

Result<CheckpointRecord, CheckpointError> RepositoryStore::load(std::string_view service,
                                                                const std::string& id) const {
  const std::string path = record_path(service, id);
  const auto text = read_file(path);
  if (!text) return Unexpected(text.error());
  return decode(*text, path);
}

Result<CheckpointRecord, CheckpointError> RepositoryStore::find(std::string_view service,
                                                                std::string_view checkpoint) {
  const std::scoped_lock lock(records_);
  const auto id = resolve(service, checkpoint);
  if (!id) return Unexpected(id.error());
  auto record = load(service, *id);
  const auto all = listed(service);
  for (const Listed& one : record&& all ? *all : std::vector<Listed>()) {
    if (one.id == *id) record->info.names = one.names;
  }
  return record;
}

// Newest first.
Result<std::vector<RepositoryStore::Listed>, CheckpointError> RepositoryStore::listed(
    std::string_view service) const {
  const std::string folder = folder_of(service);
  const auto files = names_if_any(folder);
  if (!files) return Unexpected(files.error());
  const auto names = names_if_any(folder + "/names");
  if (!names) return Unexpected(names.error());
  std::multimap<std::string, std::string> names_of;
  for (const std::string& name : *names) {
    if (name.starts_with('.')) continue;  // Left by a crash: no escaped name has a dot in front.
    if (const auto id = read_file(folder + "/names/" + name)) names_of.emplace(*id, name);
  }
  std::vector<Listed> all;
  for (const std::string& file : *files) {
    const auto id = id_in(file);
    struct stat status {};
    if (!id || file.starts_with('.') || ::stat((folder + "/" + file).c_str(), &status) != 0) {
      continue;
    }
    Listed one{.id = *id, .names = {}, .taken_ns = 0};
    one.taken_ns = std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec;
    const auto [from, to] = names_of.equal_range(*id);
    for (auto name = from; name != to; ++name) one.names.push_back(unescaped(name->second));
    all.push_back(std::move(one));
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const Listed& a, const Listed& b) { return a.taken_ns > b.taken_ns; });
  return all;
}

Result<void, CheckpointError> RepositoryStore::name(std::string_view service,
                                                    std::string_view checkpoint,
                                                    std::string_view name) {
  Done fits = check_name(name, "checkpoint name");
  if (fits) fits = wait_until_taken_over({});
  if (!fits) return fits;
  const std::scoped_lock lock(records_);
  const auto id = resolve(service, checkpoint);
  if (!id) return Unexpected(id.error());
  return point(service, name, *id);
}

Result<std::vector<CheckpointInfo>, CheckpointError> RepositoryStore::list(
    std::string_view service) {
  const std::scoped_lock lock(records_);
  const auto all = listed(service);
  if (!all) return Unexpected(all.error());
  std::vector<CheckpointInfo> infos;
  for (const Listed& one : *all) {
    auto record = load(service, one.id);
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
  static_cast<void>(point(record.info.service, ports::kBeforeRestore, taken->id));
}

// ---- forgetting

Result<std::vector<std::string>, CheckpointError> RepositoryStore::prune(
    const PruneRequest& request) {
  const std::scoped_lock background(background_mutex_);
  if (taking_over_) return std::vector<std::string>();
  std::vector<std::string> removed;
  {
    const std::scoped_lock lock(records_);
    const auto all = listed(request.service);
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
    for (const Listed& one : *all) {
      if (!load(request.service, one.id)) continue;  // Damaged, or not taken over yet.
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
  if (!due || background_runs_) return removed;
  if (auto job = sweep_job()) begin_background(std::move(*job));
  return removed;
}

// Names first: a name never points at nothing.
Done RepositoryStore::forget(std::string_view service, const Listed& checkpoint) {
  const auto record = load(service, checkpoint.id);
  const std::string folder = folder_of(service);
  for (const std::string& name : checkpoint.names) {
    ::unlink((folder + "/names/" + escaped(name)).c_str());
  }
  const std::string path = record_path(service, checkpoint.id);
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return Unexpected(io_error("remove", path));
  // Before anything of it goes.
  if (auto synced = sync_folder(folder); !synced) return synced;
  if (record) drop_snapshot(record->snapshot);
  return {};
}

// While any record cannot be read, nobody knows which snapshot it needs.
std::optional<std::string> RepositoryStore::sweep_job() const {
  const std::scoped_lock lock(records_);
  WorkerJob job{.task = WorkerTask::Sweep, .root = options_.root, .asked_by = ::getpid()};
  const auto services = names_if_any(options_.root + "/services");
  if (!services) return std::nullopt;
  for (const std::string& service : *services) {
    const auto all = listed(unescaped(service));
    if (!all) return std::nullopt;
    for (const Listed& one : *all) {
      const auto record = load(unescaped(service), one.id);
      job.keep_all = job.keep_all || !record;
      if (record) job.kept.push_back(record->snapshot);
    }
  }
  return encode(job);
}

// REQUIRES: background_mutex_ is held and nothing runs.
void RepositoryStore::begin_background(std::string task) {
  background_runs_ = true;
  background_ = std::jthread([this, job = std::move(task)](const std::stop_token& stop) {
    const auto answer = ask_worker(
        {.program = options_.worker, .job = job, .limits = {.stop = stop, .deadline = kNever}});
    const bool done = answer && decode_answer(*answer);
    const std::scoped_lock lock(background_mutex_);
    if (done && !taking_over_) forgotten_ = 0;
    taking_over_ = false;  // What could not be taken over is tried again at the next start.
    background_runs_ = false;
    background_ended_.notify_all();
  });
}

// A sweep is put off: what waits for it is more urgent.
void RepositoryStore::end_sweep() {
  std::unique_lock lock(background_mutex_);
  if (!background_runs_ || taking_over_) return;
  background_.request_stop();
  background_ended_.wait(lock, [this] { return !background_runs_; });
}

void RepositoryStore::settle() {
  std::unique_lock lock(background_mutex_);
  background_ended_.wait(lock, [this] { return !background_runs_; });
}

Done RepositoryStore::wait_until_taken_over(const CheckpointLimits& limits) {
  constexpr std::chrono::milliseconds kLookEvery{50};
  std::unique_lock lock(background_mutex_);
  while (taking_over_) {
    if (auto go = go_on(limits); !go) return go;
    background_ended_.wait_for(lock, kLookEvery);
  }
  return {};
}

}  // namespace recover::adapters::checkpoint
