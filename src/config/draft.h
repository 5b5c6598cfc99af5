// The policy while names are still words with a place: what the tables fill and resolve() finishes.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/place.h"
#include "core/backup_policy.h"
#include "core/policy.h"

namespace recover::config {

struct ProbeDraft {
  core::ProbeSpec spec;
  std::optional<Duration> interval;
  std::optional<Duration> timeout;
  std::optional<std::uint32_t> failure_threshold;
  std::optional<std::uint32_t> success_threshold;
};

struct ServiceDraft : core::ServicePolicy {
  Place place;
  std::optional<Duration> rto_given;
  std::vector<Named> depends_on_named;
  std::optional<Named> standby_named;
  std::optional<std::vector<Named>> playbooks_named;
  std::vector<ProbeDraft> probe_drafts;
};

// What a free_resources step frees; expanded into steps before anybody else sees it.
struct FreeResources {
  std::optional<core::CleanFilesAction> files;
  std::optional<core::KillLongQueriesAction> queries;
  bool drop_caches = false;
};

struct StepDraft : core::StepPolicy {
  Place place;
  std::optional<FreeResources> free_resources;
  std::optional<Duration> timeout_given;
  std::optional<core::Risk> risk_given;
  std::optional<bool> idempotent_given;
  std::optional<Named> target_named;
};

struct TriggerDraft : core::TriggerPolicy {
  std::optional<Named> pattern_named;
};

struct PlaybookDraft : core::PlaybookPolicy {
  Place place;
  std::optional<Duration> within_given;
  std::vector<TriggerDraft> trigger_drafts;
  std::vector<StepDraft> step_drafts;
  std::vector<StepDraft> rollback_drafts;
};

struct PatternActionDraft : core::PatternAction {
  std::optional<Named> type_named;
  std::optional<Named> target_named;
};
struct PatternDraft : core::PatternPolicy {
  Place place;
  std::optional<core::FailureClass> failure_given;
  std::vector<PatternActionDraft> recovery_drafts;
};

// Full daily at 02:00, incremental every hour; of databases alone, every six hours.
core::BackupSchedule default_backup_schedule();

struct BackupTypeDraft : core::BackupType {
  BackupTypeDraft() { schedule = default_backup_schedule(); }
  std::optional<Named> repository_named;
  std::optional<Place> never_at;  // Of a schedule that says never.
};
struct BackupDraft : core::BackupPolicy {
  BackupDraft();
  std::vector<BackupTypeDraft> type_drafts;
};

struct Draft : core::Policy {
  std::vector<ServiceDraft> service_drafts;
  std::vector<PlaybookDraft> playbook_drafts;  // Of files, then of recovery_actions, then built-in.
  std::vector<PlaybookDraft> short_forms;      // Of recovery_actions.
  std::vector<PatternDraft> pattern_drafts;
  std::vector<Named> playbook_globs;
  std::vector<Named> includes;
  std::vector<Named> groups_named;  // Under safety.
  BackupDraft backup;
  std::string environment;
};

}  // namespace recover::config
