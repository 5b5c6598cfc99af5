#include "adapters/backup/job_text.h"

#include <boost/json.hpp>

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
  }
  return "backup";
}

std::uint64_t kib(std::uint64_t bytes) {
  return (bytes + 1023) / 1024;
}

json::object json_of(const core::BackupRepository& repository) {
  return {{"location", repository.location},
          {"password", repository.password.reveal()},
          {"access_key", repository.access_key},
          {"secret_key", repository.secret_key.reveal()},
          {"region", repository.region},
          {"ca_file", repository.ca_file},
          {"append_only", repository.append_only},
          {"upload_kib", kib(repository.upload)},
          {"download_kib", kib(repository.download)}};
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

std::string job_text(const core::BackupPolicy& policy, const core::BackupSlot& slot,
                     const JobPlace& place) {
  json::object job{{"task", task_of(slot.key.task)},
                   {"repository", json_of(policy.repositories.at(slot.repository))},
                   {"parent", place.parent}};
  if (slot.key.task == core::BackupTask::Verify) return json::serialize(job);
  const core::BackupType& type = policy.types.at(slot.type);
  job["type"] = type.name;
  job["scratch"] = place.scratch;
  json::array sources;
  for (const core::BackupSource& source : type.sources) sources.push_back(source_text(source));
  job["sources"] = std::move(sources);
  if (slot.key.task == core::BackupTask::RestoreTest) return json::serialize(job);
  job["full"] = slot.key.task == core::BackupTask::Full;
  job["retention"] = json_of(type.retention);
  job["before"] = json::value_from(type.before);
  job["after"] = json::value_from(type.after);
  return json::serialize(job);
}

std::string restore_job_text(const core::BackupPolicy& policy, const core::BackupType& type,
                             const core::RestoreBackupAction& action, std::int64_t parent) {
  json::array sources;
  for (const core::BackupSource& source : type.sources) sources.push_back(source_text(source));
  return json::serialize(
      json::object{{"task", "restore"},
                   {"type", type.name},
                   {"repository", json_of(policy.repositories.at(type.repository))},
                   {"parent", parent},
                   {"sources", std::move(sources)},
                   {"restore", json::object{{"snapshot", action.snapshot},
                                            {"paths", json::value_from(action.paths)},
                                            {"exact", action.exact},
                                            {"dry_run", action.dry_run},
                                            {"points", action.points}}}});
}

std::string protection_job(const core::BackupPolicy& policy, std::uint32_t index,
                           std::int64_t parent) {
  const core::BackupType& type = policy.types.at(index);
  const auto milliseconds = [](Duration duration) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
  };
  json::object job{{"task", "protect"},
                   {"type", type.name},
                   {"repository", json_of(policy.repositories.at(type.repository))},
                   {"parent", parent},
                   {"rpo_ms", milliseconds(core::rpo_of(type))},
                   {"retention", json_of(type.retention)}};
  if (type.reconcile) job["reconcile_ms"] = milliseconds(*type.reconcile);
  json::array sources;
  for (const core::BackupSource& source : type.sources) sources.push_back(source_text(source));
  job["sources"] = std::move(sources);
  return json::serialize(job);
}

}  // namespace recover::adapters::backup
