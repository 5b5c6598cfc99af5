#include "apps/recoverd_backup/proof_tasks.h"

#include <boost/json.hpp>

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "apps/recoverd_backup/drill_task.h"
#include "apps/recoverd_backup/machine.h"
#include "apps/recoverd_backup/restore_task.h"
#include "apps/recoverd_backup/status_line.h"
#include "backup/check/checker.h"
#include "backup/repo/lock.h"

namespace recover::apps {
namespace {

namespace json = boost::json;
using backup::FailureKind;
using backup::Outcome;
using backup::Repository;

// None: the repository cannot be written to, and is read all the same.
Outcome<std::unique_ptr<backup::RepositoryLock>> reading_lock(const Repository& repository) {
  auto lock = backup::RepositoryLock::acquire(repository, backup::LockKind::Shared);
  const bool unwritable = !lock && (lock.error().kind == FailureKind::NotPermitted ||
                                    lock.error().kind == FailureKind::Full);
  if (unwritable) return std::unique_ptr<backup::RepositoryLock>();
  return lock;
}

// Where it is kept when each pack was last read; empty: nowhere.
std::string ledger_of(const ProofTask& task) {
  if (task.job.ledgers.empty()) return {};
  return task.job.ledgers + "/" + task.repository.config().id + "/packs-read";
}

// A part at a time comes round to everything only when somebody remembers what was read.
double share_of(const ProofTask& task) {
  return task.job.ledgers.empty() ? 1 : task.job.share;
}

struct Members {
  json::array told;
  std::string damaged;  // What of whom stays wrong; empty: nothing.
};

// Each member's files against their names. One that does not answer is told, and as late as it is.
Outcome<Members> verify_members(const ProofTask& task, const std::stop_token& stop) {
  std::map<std::string, backup::ReadLedger> ledgers;
  const std::string ledger = ledger_of(task);
  for (const JobMember& member : task.job.members) {
    if (ledger.empty()) break;
    ledgers.try_emplace(member.name, ledger + "-" + task.job.mirror_name + "-" + member.name);
  }
  backup::ScrubProgress progress;
  const StatusLine line(task.out, [&] {
    return json::object{{"phase", "members"},
                        {"files_done", progress.files.load()},
                        {"bytes_done", progress.bytes.load()}};
  });
  const auto found = task.store.mirror->scrub(
      {.ledger = [&](const std::string& name) -> backup::ReadLedger* {
         const auto known = ledgers.find(name);
         return known == ledgers.end() ? nullptr : &known->second;
       },
       .is_config = [&](backup::View sealed) { return task.repository.is_own_config(sealed); },
       .now = wall_time().seconds,
       .share = share_of(task),
       .stop = stop},
      progress);
  Members members;
  for (const backup::MemberScrub& member : found) {
    members.told.push_back(json::object{{"name", member.name},
                                        {"files_read", member.files},
                                        {"bytes_read", member.bytes},
                                        {"mended", member.mended},
                                        {"mended_files", json::value_from(member.mended_files)},
                                        {"problems", json::value_from(member.problems)}});
    if (member.wrong == 0 || member.problems.empty()) continue;
    members.damaged +=
        (members.damaged.empty() ? "" : "; ") + member.name + ": " + member.problems.front();
  }
  if (stop.stop_requested()) return backup::fail(FailureKind::Invalid, "it was stopped");
  return members;
}

}  // namespace

Outcome<json::object> verify(const ProofTask& task, const std::stop_token& stop) {
  const auto lock = reading_lock(task.repository);
  if (!lock) return Unexpected(lock.error());
  json::object result;
  std::string damaged;
  if (task.store.mirror != nullptr) {
    auto members = verify_members(task, stop);
    if (!members) return Unexpected(std::move(members.error()));
    result["verified_members"] = std::move(members->told);
    damaged = std::move(members->damaged);
  }
  backup::CheckProgress progress;
  const StatusLine line(task.out, [&] {
    return with_pause(task.door, {{"phase", "check"},
                                  {"packs_done", progress.packs.load()},
                                  {"total_packs", progress.packs_total.load()},
                                  {"bytes_done", progress.bytes.load()}});
  });
  const std::string path = ledger_of(task);
  backup::ReadLedger ledger(path);
  const auto report = check(task.repository,
                            {.read_data = true,
                             .ledger = path.empty() ? nullptr : &ledger,
                             .now = wall_time().seconds,
                             .share = share_of(task),
                             .threads = threads_within(task.job.memory)},
                            progress, stop);
  if (!path.empty()) static_cast<void>(ledger.save());  // Lost, it is read once more.
  if (!report) return Unexpected(report.error());
  if (!report->is_sound()) {
    damaged += (damaged.empty() ? "" : "; ") + report->errors.front();
    if (!report->damaged_files.empty()) damaged += "; " + report->damaged_files.front();
  }
  if (!damaged.empty()) return backup::fail(FailureKind::Damaged, damaged);
  result["snapshots_checked"] = report->snapshots;
  result["packs"] = report->packs;
  result["packs_read"] = progress.packs.load();
  result["bytes_read"] = progress.bytes.load();
  return result;
}

Outcome<json::object> prove(const ProofTask& task, const std::stop_token& stop) {
  const auto lock = reading_lock(task.repository);
  if (!lock) return Unexpected(lock.error());
  const auto own = snapshots_of_type(task.repository, task.job.type);
  if (!own) return Unexpected(own.error());
  return test_restore(task.repository,
                      {.job = task.job,
                       .snapshots = *own,
                       .now = wall_time().seconds,
                       .threads = threads_within(task.job.memory)},
                      stop);
}

Outcome<json::object> drill(const ProofTask& task, const std::stop_token& stop) {
  const auto lock = reading_lock(task.repository);
  if (!lock) return Unexpected(lock.error());
  const auto own = snapshots_of_type(task.repository, task.job.type);
  if (!own) return Unexpected(own.error());
  DrillProgress progress;
  const StatusLine line(task.out, [&] { return with_pause(task.door, progress.told()); });
  return drill_all(task.repository,
                   {.job = task.job,
                    .snapshots = *own,
                    .now = wall_time().seconds,
                    .threads = threads_within(task.job.memory),
                    .paused = [&] { return task.door.paused(); }},
                   progress, stop);
}

Outcome<json::object> catch_up(const ProofTask& task, const std::stop_token& stop) {
  if (task.store.mirror == nullptr) return json::object{};
  const backup::CatchUpReport report = task.store.mirror->catch_up({.stop = stop});
  return json::object{{"copied_files", report.files},
                      {"copied_bytes", report.bytes},
                      {"removed_files", report.removed},
                      {"problem_count", report.problems.size()},
                      {"problems", json::value_from(report.problems)}};
}

json::array members_told(const backup::MirrorStore& mirror) {
  json::array told;
  for (const backup::MemberStatus& member : mirror.status()) {
    const std::string_view state = !member.behind ? "sound" : member.later ? "later" : "behind";
    told.push_back(json::object{{"name", member.name},
                                {"location", member.location},
                                {"state", state},
                                {"why", member.why},
                                {"since", member.since}});
  }
  return told;
}

Outcome<std::vector<Repository::FoundSnapshot>> snapshots_of_type(const Repository& repository,
                                                                  const std::string& type) {
  auto snapshots = repository.snapshots();
  if (!snapshots) return snapshots;
  std::erase_if(*snapshots, [&](const Repository::FoundSnapshot& found) {
    const auto& tags = found.snapshot.tags;
    return found.snapshot.host != this_host() || found.snapshot.is_partial() ||
           std::find(tags.begin(), tags.end(), type) == tags.end();
  });
  return snapshots;
}

}  // namespace recover::apps
