// What to think of the backups: late, failed, or as they should be; and when to look again.
#include <algorithm>
#include <utility>

#include "base/duration_text.h"
#include "core/backup_plan.h"

namespace recover::core {
namespace {

constexpr std::int64_t kGraceMax = 3600;
constexpr std::int64_t kHeldUpMax = std::int64_t{24} * 3600;

std::int64_t ceil_seconds(Duration duration) {
  return std::chrono::ceil<std::chrono::seconds>(duration).count();
}

std::string time_words(std::int64_t seconds) {
  return base::format_duration(std::chrono::seconds(std::max<std::int64_t>(seconds, 0)));
}

std::string_view phrase_of(BackupTask task) {
  switch (task) {
    case BackupTask::Full: return "full backup";
    case BackupTask::Incremental: return "incremental backup";
    case BackupTask::Verify: return "verification";
    case BackupTask::RestoreTest: return "restore test";
    case BackupTask::Drill: return "recovery drill";
    case BackupTask::CatchUp: return "catching up of the members";
  }
  return "run";
}

bool makes_one(BackupTask task) {
  return task == BackupTask::Full || task == BackupTask::Incremental;
}

std::int64_t latest(const BackupRecord& record) {
  return std::max(record.since, record.succeeded_from);
}

// Of a proof: so much later it may be because others went before it. Those of a month are all due
// at once and run one at a time. A backup that waits is late all the same.
std::int64_t held_up(BackupTask task, const BackupRecord& record) {
  if (makes_one(task) || !record.owed) return 0;
  const BackupOwed& owed = *record.owed;
  if (owed.started_at != 0) {
    return std::clamp<std::int64_t>(owed.started_at - owed.due, 0, kHeldUpMax);
  }
  return owed.attempts == 0 ? kHeldUpMax : 0;
}

double seconds_in(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

double verified_share(const BackupRepository& repository, const std::optional<Cron>& cron,
                      std::int64_t now) {
  if (!cron || repository.unread_for <= Duration::zero()) return 1;
  const auto utc = [](std::int64_t /*at*/) -> std::int64_t { return 0; };
  const std::int64_t next = cron->next(now, utc);
  const auto between = static_cast<double>(cron->next(next, utc) - next);
  return std::min(1.0, 1.25 * between / seconds_in(repository.unread_for));
}

BackupEnd judged_by_objectives(const BackupType& type, BackupEnd end) {
  if (!end.good) return end;
  const auto miss = [&](std::string code, std::string error) {
    end.good = false;
    end.code = std::move(code);
    end.error = std::move(error);
    return end;
  };
  const auto took = static_cast<std::int64_t>(end.rto_seconds);
  if (end.rto_seconds > seconds_in(rto_of(type))) {
    return miss("RTO_MISSED", "everything was restored and is right, but it took " +
                                  time_words(took) + ", and an RTO of " +
                                  base::format_duration(rto_of(type)) + " is wanted");
  }
  const auto rpo = wanted_rpo(type);
  if (rpo && end.rpo_seconds > seconds_in(*rpo)) {
    return miss("RPO_MISSED", "everything was restored and is right, but it is " +
                                  time_words(static_cast<std::int64_t>(end.rpo_seconds)) +
                                  " old, and an RPO of " + base::format_duration(*rpo) +
                                  " is wanted");
  }
  return end;
}

std::optional<std::int64_t> BackupPlan::deadline(const BackupSlot& known) const {
  if (!known.cron) return std::nullopt;
  const BackupRecord& mine = record(known.key);
  const std::int64_t due = known.cron->next(latest(mine), zone_);
  std::int64_t grace = 0;
  if (known.grace) {
    grace = ceil_seconds(*known.grace);
  } else {
    const std::int64_t took = mine.succeeded_at - mine.succeeded_from;
    const bool first = mine.succeeded_at == 0 && mine.owed && mine.owed->started_at != 0;
    grace = std::min(known.cron->next(due, zone_) - due, kGraceMax) +
            (first ? ceil_seconds(known.timeout) : 2 * took);
  }
  return std::max(due + ceil_seconds(known.jitter), begun_) + grace + held_up(known.key.task, mine);
}

std::int64_t BackupPlan::next_change(std::int64_t now) const {
  std::int64_t next = INT64_MAX;
  const auto consider = [&](std::int64_t at) {
    if (at > now) next = std::min(next, at);
  };
  for (const BackupSlot& each : slots_) {
    const BackupRecord& mine = record(each.key);
    if (const auto due = next_due(each)) next = std::min(next, std::max(*due, now));
    if (mine.owed && mine.owed->started_at == 0) consider(mine.owed->retry_at);
    // The first second of being late.
    if (const auto limit = deadline(each)) consider(*limit + 1);
  }
  return next;
}

void BackupPlan::judge(const BackupSlot& known, std::int64_t now, BackupVerdict& worst) const {
  if (worst.health == BackupHealth::Bad) return;
  const BackupRecord& mine = record(known.key);
  const std::string what = std::string(phrase_of(known.key.task)) + " of " + known.key.name;
  if (mine.given_up && mine.fault) {
    worst = {BackupHealth::Bad, mine.fault->code, what + " failed: " + mine.fault->error};
    return;
  }
  const auto limit = deadline(known);
  if (limit && *limit < now) {
    worst = {BackupHealth::Bad, "OVERDUE",
             what + " is overdue: none succeeded " +
                 (mine.succeeded_at == 0 ? "yet" : "for " + time_words(now - mine.succeeded_from)) +
                 (mine.fault ? "; the last attempt failed: " + mine.fault->error : "")};
    return;
  }
  if (mine.succeeded_at == 0) return;
  worst.health = BackupHealth::Good;
}

BackupVerdict BackupPlan::made(std::uint32_t type, std::int64_t now) const {
  BackupVerdict verdict;
  for (const BackupSlot& each : slots_) {
    if (makes_one(each.key.task) && each.type == type) judge(each, now, verdict);
  }
  if (verdict.health == BackupHealth::Unknown) verdict.detail = "no backup was due yet";
  if (verdict.health == BackupHealth::Good) verdict.detail = "made as scheduled";
  return verdict;
}

BackupVerdict BackupPlan::proven(std::uint32_t type, std::int64_t now) const {
  BackupVerdict verdict;
  const BackupType& asked = policy_.types.at(type);
  for (const BackupSlot& each : slots_) {
    const bool restores =
        each.key.task == BackupTask::RestoreTest || each.key.task == BackupTask::Drill;
    const bool is_test = restores && each.type == type;
    const bool is_read = each.key.task == BackupTask::Verify && each.repository == asked.repository;
    if (is_test || is_read) judge(each, now, verdict);
  }
  if (verdict.health == BackupHealth::Bad) return verdict;
  verdict.detail = verdict.health == BackupHealth::Good ? "proven in time" : "no proof was due yet";
  verdict.health = BackupHealth::Good;
  return verdict;
}

}  // namespace recover::core
