#include "adapters/backup/job_text.h"

#include <boost/json.hpp>

#include <algorithm>

#include "adapters/backup/source_text.h"

namespace recover::adapters::backup {
namespace {

namespace json = boost::json;

std::string_view task_of(core::BackupTask task) {
  switch (task) {
    case core::BackupTask::Full:
    case core::BackupTask::Incremental: return "backup";
    case core::BackupTask::Verify: return "verify";
    case core::BackupTask::RestoreTest: return "restore-test";
    case core::BackupTask::Drill: return "drill";
    case core::BackupTask::CatchUp: return "catch-up";
  }
  return "backup";
}

std::uint64_t kib(std::uint64_t bytes) {
  return (bytes + 1023) / 1024;
}

json::array members_of(const core::BackupRepository& repository) {
  json::array members;
  for (const core::BackupMember& member : repository.mirror) {
    members.push_back(json::object{{"name", member.name},
                                   {"location", member.location},
                                   {"access_key", member.access_key},
                                   {"secret_key", member.secret_key.reveal()},
                                   {"region", member.region},
                                   {"ca_file", member.ca_file},
                                   {"append_only", member.append_only},
                                   {"later", member.later}});
  }
  return members;
}

// The lesser of two limits, 0 being none.
std::uint64_t lesser(std::uint64_t one, std::uint64_t other) {
  if (one == 0 || other == 0) return std::max(one, other);
  return std::min(one, other);
}

json::object repository_json(const core::BackupRepository& repository, const core::BackupLoad& load,
                             const JobPlace& place) {
  json::object object{{"location", repository.location},
                      {"password", repository.password.reveal()},
                      {"access_key", repository.access_key},
                      {"secret_key", repository.secret_key.reveal()},
                      {"region", repository.region},
                      {"ca_file", repository.ca_file},
                      {"append_only", repository.append_only},
                      {"upload_kib", kib(lesser(repository.upload, load.upload))},
                      {"download_kib", kib(lesser(repository.download, load.download))}};
  if (repository.mirror.empty()) return object;
  object["mirror"] = json::object{{"name", repository.name},
                                  {"state", mirror_state_path(place.folder, repository.name)},
                                  {"members", members_of(repository)}};
  return object;
}

std::int64_t milliseconds_of(Duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

std::string_view word_of(core::IoClass io_class) {
  switch (io_class) {
    case core::IoClass::Realtime: return "realtime";
    case core::IoClass::BestEffort: return "best-effort";
    case core::IoClass::Idle: return "idle";
  }
  return "best-effort";
}

json::object load_json(const core::BackupLoad& load) {
  json::object pause;
  const auto level = [&](const char* name, const std::optional<double>& share) {
    if (share) pause[name] = *share;
  };
  level("cpu", load.pause_cpu);
  level("memory", load.pause_memory);
  level("io", load.pause_io);
  return {{"nice", load.nice},
          {"io_class", word_of(load.ionice.io_class)},
          {"io_priority", load.ionice.priority},
          {"pause_on", std::move(pause)}};
}

json::object json_of(const core::BackupRetention& kept) {
  return {
      {"last", kept.last},
      {"hourly", kept.hourly},
      {"daily", kept.daily},
      {"weekly", kept.weekly},
      {"monthly", kept.monthly},
      {"yearly", kept.yearly},
      {"within_seconds", std::chrono::duration_cast<std::chrono::seconds>(kept.within).count()}};
}

}  // namespace

std::string mirror_state_path(const std::string& folder, const std::string& repository) {
  return folder + "/mirrors/" + repository + ".json";
}

std::string job_text(const core::BackupPolicy& policy, const core::BackupSlot& slot,
                     const JobPlace& place) {
  const bool whole = core::is_of_repository(slot.key.task);
  core::BackupLoad load = whole ? core::BackupLoad() : policy.types.at(slot.type).load;
  // What it measures is a recovery's time, and that one is not held back.
  if (slot.key.task == core::BackupTask::Drill) load.upload = load.download = 0;
  json::object job{
      {"task", task_of(slot.key.task)},
      {"repository", repository_json(policy.repositories.at(slot.repository), load, place)},
      {"load", load_json(load)},
      {"parent", place.parent}};
  if (slot.key.task == core::BackupTask::Verify) {
    job["ledgers"] = place.folder + "/ledgers";
    job["share"] =
        core::verified_share(policy.repositories.at(slot.repository), slot.cron, place.now);
  }
  if (whole) return json::serialize(job);
  const core::BackupType& type = policy.types.at(slot.type);
  job["load"].as_object()["pause_max_ms"] = milliseconds_of(core::pause_max_of(type));
  job["type"] = type.name;
  job["scratch"] = place.scratch;
  json::array sources;
  for (const core::BackupSource& source : type.sources) sources.push_back(source_text(source));
  job["sources"] = std::move(sources);
  if (slot.key.task == core::BackupTask::Drill) job["scratch_max"] = policy.scratch_max;
  const bool restores =
      slot.key.task == core::BackupTask::RestoreTest || slot.key.task == core::BackupTask::Drill;
  if (restores) return json::serialize(job);
  job["full"] = slot.key.task == core::BackupTask::Full;
  job["retention"] = json_of(type.retention);
  job["before"] = json::value_from(type.before);
  job["after"] = json::value_from(type.after);
  return json::serialize(job);
}

std::string restore_job_text(const core::BackupPolicy& policy, const core::BackupType& type,
                             const core::RestoreBackupAction& action, const JobPlace& place) {
  json::array sources;
  for (const core::BackupSource& source : type.sources) sources.push_back(source_text(source));
  return json::serialize(json::object{
      {"task", "restore"},
      {"type", type.name},
      {"repository",
       repository_json(policy.repositories.at(type.repository), core::BackupLoad(), place)},
      {"load", load_json(type.load)},
      {"parent", place.parent},
      {"sources", std::move(sources)},
      {"restore", json::object{{"snapshot", action.snapshot},
                               {"paths", json::value_from(action.paths)},
                               {"exact", action.exact},
                               {"dry_run", action.dry_run},
                               {"points", action.points}}}});
}

std::string protection_job(const core::BackupPolicy& policy, std::uint32_t index,
                           const JobPlace& place) {
  const core::BackupType& type = policy.types.at(index);
  json::object job{
      {"task", "protect"},
      {"type", type.name},
      {"repository", repository_json(policy.repositories.at(type.repository), type.load, place)},
      {"load", load_json(type.load)},
      {"parent", place.parent},
      {"rpo_ms", milliseconds_of(core::rpo_of(type))},
      {"retention", json_of(type.retention)}};
  if (type.reconcile) job["reconcile_ms"] = milliseconds_of(*type.reconcile);
  json::array sources;
  for (const core::BackupSource& source : type.sources) sources.push_back(source_text(source));
  job["sources"] = std::move(sources);
  return json::serialize(job);
}

}  // namespace recover::adapters::backup
