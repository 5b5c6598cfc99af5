#include "core/backup_plan.h"

#include <algorithm>
#include <array>
#include <utility>

#include <recover/check.h>

#include "base/duration_text.h"

namespace recover::core {
namespace {

constexpr std::int64_t kClockSlack = 60;  // A clock set back by less settles itself.
constexpr Duration kVerifyTimeout = std::chrono::hours{24};  // And of drills.
// What trying again cannot help.
constexpr auto kFinal = std::to_array<std::string_view>(
    {"DAMAGED", "WRONG_PASSWORD", "INVALID", "UNSUPPORTED", "BAD_JOB", "RTO_MISSED", "RPO_MISSED"});

constexpr auto kTasks = std::to_array<std::string_view>(
    {"full", "incremental", "verify", "restore-test", "drill", "catch-up"});

std::int64_t whole_seconds(Duration duration) {
  return std::chrono::ceil<std::chrono::seconds>(duration).count();
}

std::string lasting(std::int64_t seconds) {
  return base::format_duration(std::chrono::seconds(std::max<std::int64_t>(seconds, 0)));
}

// So much earlier it stands in the queue; bounded, so that nobody waits forever.
std::int64_t head_start(Priority priority) {
  switch (priority) {
    case Priority::Critical: return 3600;
    case Priority::High: return 900;
    case Priority::Medium: return 0;
    case Priority::Low: return -900;
  }
  return 0;
}

bool is_backup(BackupTask task) {
  return task == BackupTask::Full || task == BackupTask::Incremental;
}

// It goes on for hours, and what changes meanwhile must not wait for it.
bool is_beside_backups(BackupTask task) {
  return task == BackupTask::Drill || task == BackupTask::CatchUp;
}

// Of one repository.
bool go_together(const BackupSlot& one, const BackupSlot& other) {
  if (is_beside_backups(one.key.task)) return is_backup(other.key.task);
  return is_beside_backups(other.key.task) && is_backup(one.key.task);
}

void note_measured(BackupRecord& record, const BackupEnd& end) {
  if (end.rpo_seconds >= 0) record.rpo_seconds = end.rpo_seconds;
  if (end.rto_seconds >= 0) record.rto_seconds = end.rto_seconds;
}

BackupSlot slot_of_repository(const BackupRepository& repository, std::uint32_t index) {
  const BackupType usual;
  return {.key = {BackupTask::Verify, repository.name},
          .type = 0,
          .repository = index,
          .cron = std::nullopt,
          .jitter = {},
          .catch_up = true,
          .attempts = usual.attempts,
          .retry_delay = usual.retry_delay,
          .timeout = kVerifyTimeout,
          .grace = std::nullopt,
          .priority = Priority::Medium};
}

}  // namespace

std::string_view to_string(BackupTask task) noexcept {
  return kTasks[static_cast<std::size_t>(task)];
}

std::optional<BackupTask> parse_backup_task(std::string_view name) noexcept {
  const auto* const found = std::ranges::find(kTasks, name);
  if (found == kTasks.end()) return std::nullopt;
  return static_cast<BackupTask>(found - kTasks.begin());
}

std::vector<BackupSlot> backup_slots(const BackupPolicy& policy) {
  std::vector<BackupSlot> slots;
  for (std::uint32_t index = 0; index < policy.types.size(); ++index) {
    const BackupType& type = policy.types[index];
    BackupSlot slot{.key = {BackupTask::Full, type.name},
                    .type = index,
                    .repository = type.repository,
                    .cron = type.schedule.full,
                    .jitter = type.schedule.jitter,
                    .catch_up = type.schedule.catch_up,
                    .attempts = type.attempts,
                    .retry_delay = type.retry_delay,
                    .timeout = type.timeout,
                    .grace = type.schedule.grace,
                    .priority = type.priority};
    slots.push_back(slot);
    slot.key.task = BackupTask::Incremental;
    slot.cron = type.schedule.incremental;
    slots.push_back(slot);
    slot.key.task = BackupTask::RestoreTest;
    slot.cron = policy.restore_test;
    slots.push_back(slot);
    slot.key.task = BackupTask::Drill;
    slot.cron = policy.drill;
    slot.timeout = kVerifyTimeout;
    slots.push_back(slot);
  }
  for (std::uint32_t index = 0; index < policy.repositories.size(); ++index) {
    BackupSlot slot = slot_of_repository(policy.repositories[index], index);
    slot.cron = policy.verification;
    slots.push_back(slot);
    if (policy.repositories[index].mirror.empty()) continue;
    slot.key.task = BackupTask::CatchUp;
    slot.cron = policy.catch_up;
    slots.push_back(slot);
  }
  return slots;
}

BackupPlan::BackupPlan(BackupPolicy policy, BackupBook book, ZoneOffset zone, std::int64_t now)
    : book_(std::move(book)), zone_(std::move(zone)), begun_(now) {
  slots_ = backup_slots(policy);
  // Nobody runs them any more.
  for (auto& [key, record] : book_.records) {
    if (!record.owed || record.owed->started_at == 0) continue;
    if (const BackupSlot* const known = slot(key)) {
      interrupt(*known, record, now);
    } else {
      tell(BackupTold::What::Interrupted, key, record.owed->run, "recoverd ended in mid-run");
      record.owed->started_at = 0;
    }
  }
  replace(std::move(policy), now);
  for (const BackupSlot& each : slots_) {
    BackupRecord& mine = book_.records[each.key];
    fix_clock(each, mine, now);
    const auto due = next_due(each);
    if (each.catch_up || !due || *due > now) continue;
    mine.cursor = now;
    tell(BackupTold::What::Skipped, each.key, 0,
         "it was due while recoverd was down, and `catch_up` is off");
  }
}

void BackupPlan::interrupt(const BackupSlot& known, BackupRecord& mine, std::int64_t now) {
  BackupOwed& owed = *mine.owed;
  tell(BackupTold::What::Interrupted, known.key, owed.run, "recoverd ended in mid-run");
  mine.fault = BackupFault{
      .at = now, .code = "INTERRUPTED", .error = "recoverd ended in mid-run", .run = owed.run};
  owed.started_at = 0;
  owed.token.clear();
  owed.retry_at = 0;
  if (owed.attempts < known.attempts) return;
  mine.given_up = true;
  mine.owed = std::exchange(mine.then, std::nullopt);
}

void BackupPlan::replace(BackupPolicy policy, std::int64_t now) {
  policy_ = std::move(policy);
  slots_ = backup_slots(policy_);
  for (auto each = book_.records.begin(); each != book_.records.end();) {
    const BackupRecord& mine = each->second;
    const bool runs = mine.owed && mine.owed->started_at != 0;
    if (slot(each->first) != nullptr || runs) {
      ++each;
      continue;
    }
    if (mine.owed) {
      tell(BackupTold::What::Dropped, each->first, mine.owed->run,
           "it is no longer in the configuration");
    }
    each = book_.records.erase(each);
  }
  for (const BackupSlot& each : slots_) fit_record(each, now);
}

// A schedule that is new has missed nothing.
void BackupPlan::fit_record(const BackupSlot& known, std::int64_t now) {
  BackupRecord& mine = book_.records[known.key];
  const std::string schedule = known.cron ? known.cron->text() : std::string();
  if (mine.since != 0 && mine.schedule == schedule) return;
  mine.schedule = schedule;
  mine.since = now;
  mine.cursor = now;
}

const BackupSlot* BackupPlan::slot(const BackupKey& key) const {
  const auto found = std::ranges::find(slots_, key, &BackupSlot::key);
  return found == slots_.end() ? nullptr : &*found;
}

const BackupRecord& BackupPlan::record(const BackupKey& key) const {
  static const BackupRecord kNone;
  const auto found = book_.records.find(key);
  return found == book_.records.end() ? kNone : found->second;
}

std::vector<BackupTold> BackupPlan::take_told() {
  return std::exchange(told_, {});
}

void BackupPlan::tell(BackupTold::What what, const BackupKey& key, std::uint64_t run,
                      std::string text) {
  told_.push_back({what, key, run, std::move(text)});
}

// ---- what is due

// What lies in the future cannot have happened: the clock was set back.
void BackupPlan::fix_clock(const BackupSlot& known, BackupRecord& mine, std::int64_t now) {
  if (mine.cursor > now + kClockSlack) {
    tell(BackupTold::What::ClockBack, known.key, 0,
         "the clock was set back by about " + lasting(mine.cursor - now));
    mine.cursor = now;
  }
  mine.since = std::min(mine.since, now);
  mine.succeeded_from = std::min(mine.succeeded_from, now);
  mine.succeeded_at = std::min(mine.succeeded_at, now);
  begun_ = std::min(begun_, now);
  for (std::optional<BackupOwed>* owed : {&mine.owed, &mine.then}) {
    if (!*owed) continue;
    (*owed)->due = std::min((*owed)->due, now);
    (*owed)->latest = std::min((*owed)->latest, now);
    (*owed)->started_at = std::min((*owed)->started_at, now);
    (*owed)->retry_at = std::min((*owed)->retry_at, now + whole_seconds(known.retry_delay));
  }
}

std::optional<std::int64_t> BackupPlan::next_due(const BackupSlot& known) const {
  if (!known.cron) return std::nullopt;
  const std::int64_t base = known.cron->next(record(known.key).cursor, zone_);
  const std::string named = known.key.name + "/" + std::string(to_string(known.key.task));
  return base + whole_seconds(jitter_of(named, base, known.jitter));
}

// However many were missed, one run makes up for all of them.
void BackupPlan::owe(const BackupSlot& known, BackupRecord& mine, std::int64_t now) {
  const auto due = next_due(known);
  if (!due || *due > now) return;
  mine.cursor = now;
  static_cast<void>(owe(mine, {.run = 0, .due = *due, .latest = now}));
}

// A run that has not begun will do; one that is under way began before.
std::uint64_t BackupPlan::owe(BackupRecord& mine, BackupOwed owed) {
  const bool runs = mine.owed && mine.owed->started_at != 0;
  std::optional<BackupOwed>& place = runs ? mine.then : mine.owed;
  if (place) {
    place->scheduled = place->scheduled || owed.scheduled;
    place->latest = std::max(place->latest, owed.latest);
    if (!owed.scheduled) place->retry_at = 0;
    if (place->actor.empty()) place->actor = std::move(owed.actor);
    return place->run;
  }
  owed.run = book_.next_run++;
  place = std::move(owed);
  return place->run;
}

bool BackupPlan::is_busy(const BackupSlot& wanted) const {
  return std::ranges::any_of(slots_, [&](const BackupSlot& each) {
    const BackupRecord& mine = record(each.key);
    const bool runs = mine.owed && mine.owed->started_at != 0;
    return runs && each.repository == wanted.repository && !go_together(each, wanted);
  });
}

bool BackupPlan::has_room(BackupTask task) const {
  const auto running = [&](bool drills) {
    return static_cast<std::size_t>(std::ranges::count_if(book_.records, [&](const auto& each) {
      const bool counts = !drills || each.first.task == BackupTask::Drill;
      return counts && each.second.owed && each.second.owed->started_at != 0;
    }));
  };
  if (running(false) >= kBackupRunsMax) return false;
  return task != BackupTask::Drill || running(true) < kBackupDrillsMax;
}

bool BackupPlan::may_start(const BackupSlot& known, std::int64_t now) const {
  const BackupRecord& mine = record(known.key);
  if (!mine.owed || mine.owed->started_at != 0 || mine.owed->retry_at > now) return false;
  if (known.key.task != BackupTask::Incremental) return true;
  // A full one is an incremental one as well.
  const BackupSlot* const full = slot({BackupTask::Full, known.key.name});
  return full == nullptr || !may_start(*full, now);
}

std::vector<BackupStart> BackupPlan::start_due(std::int64_t now) {
  std::vector<const BackupSlot*> ready;
  for (const BackupSlot& each : slots_) {
    BackupRecord& mine = book_.records[each.key];
    fix_clock(each, mine, now);
    owe(each, mine, now);
  }
  for (const BackupSlot& each : slots_) {
    if (may_start(each, now)) ready.push_back(&each);
  }
  std::ranges::stable_sort(ready, {}, [this](const BackupSlot* each) {
    return record(each->key).owed->due - head_start(each->priority);
  });
  std::vector<BackupStart> starts;
  for (const BackupSlot* const each : ready) {
    if (is_busy(*each) || !has_room(each->key.task)) continue;
    BackupOwed& owed = *book_.records[each->key].owed;
    owed.started_at = now;
    ++owed.attempts;
    starts.push_back({*each, owed});
  }
  return starts;
}

void BackupPlan::name_processes(const BackupKey& key, std::string token) {
  BackupRecord& mine = book_.records[key];
  if (mine.owed) mine.owed->token = std::move(token);
}

std::optional<std::uint64_t> BackupPlan::request(const BackupKey& key, std::string actor,
                                                 std::int64_t now) {
  if (slot(key) == nullptr) return std::nullopt;
  return owe(book_.records[key],
             {.run = 0, .due = now, .latest = now, .scheduled = false, .actor = std::move(actor)});
}

// ---- how it ended

bool BackupPlan::ended(const BackupKey& key, const BackupEnd& end, std::int64_t now) {
  BackupRecord& mine = book_.records[key];
  RECOVER_CHECK(mine.owed && mine.owed->started_at != 0);
  const BackupSlot* const known = slot(key);
  if (known == nullptr) {  // Taken out of the configuration meanwhile.
    book_.records.erase(key);
    return true;
  }
  if (end.good) {
    succeed(key, mine, end, now);
    return true;
  }
  BackupOwed& owed = *mine.owed;
  note_measured(mine, end);
  mine.fault = BackupFault{.at = now, .code = end.code, .error = end.error, .run = owed.run};
  const bool is_final = std::ranges::find(kFinal, end.code) != kFinal.end();
  const std::uint32_t attempts = owed.scheduled ? known->attempts : 1;
  if (!end.interrupted && (is_final || owed.attempts >= attempts)) {
    mine.given_up = true;
    mine.owed = std::exchange(mine.then, std::nullopt);
    return true;
  }
  if (end.interrupted) --owed.attempts;
  owed.retry_at = end.interrupted ? 0 : now + whole_seconds(known->retry_delay);
  owed.started_at = 0;
  owed.token.clear();
  // What came due meanwhile will have been made by the next attempt.
  if (mine.then && mine.then->actor.empty()) mine.then.reset();
  return false;
}

void BackupPlan::succeed(const BackupKey& key, BackupRecord& mine, const BackupEnd& end,
                         std::int64_t now) {
  mine.succeeded_from = mine.owed->started_at;
  mine.succeeded_at = now;
  mine.succeeded_run = mine.owed->run;
  note_measured(mine, end);
  mine.fault.reset();
  mine.given_up = false;
  mine.owed = std::exchange(mine.then, std::nullopt);
  if (key.task != BackupTask::Full) return;
  BackupRecord& less = book_.records[{BackupTask::Incremental, key.name}];
  less.succeeded_from = mine.succeeded_from;
  less.succeeded_at = mine.succeeded_at;
  less.succeeded_run = mine.succeeded_run;
  less.fault.reset();
  less.given_up = false;
  const bool covered = less.owed && less.owed->started_at == 0 && less.owed->actor.empty() &&
                       less.owed->latest <= mine.succeeded_from;
  if (covered) less.owed.reset();
}

}  // namespace recover::core
