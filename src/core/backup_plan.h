// What of the backups is due, what is under way, what has failed: a book kept in wall-clock
// seconds.
//
// Pure: time and zone go in, what to start comes out; whoever runs it says how it ended. Invariant:
// a due time is settled only by a run that began at or after it, or by a failure that is told.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/backup_policy.h"
#include "core/cron.h"

namespace recover::core {

enum class BackupTask : std::uint8_t { Full, Incremental, Verify, RestoreTest, Drill, CatchUp };
std::string_view to_string(BackupTask task) noexcept;  // "full", …, "restore-test", "catch-up"
std::optional<BackupTask> parse_backup_task(std::string_view name) noexcept;

// Of a repository, not of a type.
inline bool is_of_repository(BackupTask task) {
  return task == BackupTask::Verify || task == BackupTask::CatchUp;
}

// A task of a type, or of a repository.
struct BackupKey {
  BackupTask task = BackupTask::Full;
  std::string name;
  friend auto operator<=>(const BackupKey&, const BackupKey&) = default;
};

// A run that is due, until it was done or given up.
struct BackupOwed {
  std::uint64_t run = 0;
  std::int64_t due = 0;        // The first that it is for …
  std::int64_t latest = 0;     // … and the last, when several came together.
  std::uint32_t attempts = 0;  // Begun so far.
  std::int64_t retry_at = 0;   // Not before.
  bool scheduled = true;
  std::string actor = {};       // Who asked for it; empty: the schedule.
  std::int64_t started_at = 0;  // Of the attempt under way; 0: none is.
  std::string token = {};       // Of its processes.
  friend bool operator==(const BackupOwed&, const BackupOwed&) = default;
};

struct BackupFault {
  std::int64_t at = 0;
  std::string code;
  std::string error;
  std::uint64_t run = 0;
  friend bool operator==(const BackupFault&, const BackupFault&) = default;
};

// What is remembered of one key. Seconds since 1970; 0: never.
struct BackupRecord {
  std::int64_t since = 0;   // Known with this schedule since.
  std::string schedule;     // As text; empty: none.
  std::int64_t cursor = 0;  // Due times up to here are owed, or settled.
  std::optional<BackupOwed> owed;
  std::optional<BackupOwed> then;   // Came due while that was under way.
  std::int64_t succeeded_from = 0;  // When the last run that succeeded began …
  std::int64_t succeeded_at = 0;    // … and when it had ended.
  std::uint64_t succeeded_run = 0;
  double rpo_seconds = -1;           // Measured by the last restore test or drill; negative: none.
  double rto_seconds = -1;           // Likewise.
  std::optional<BackupFault> fault;  // Of the last attempt, if it failed.
  bool given_up = false;             // All attempts of a run failed; until a run succeeds.
  friend bool operator==(const BackupRecord&, const BackupRecord&) = default;
};

struct BackupBook {
  std::map<BackupKey, BackupRecord> records;
  std::uint64_t next_run = 1;
};

// What a key means under the policy.
struct BackupSlot {
  BackupKey key;
  std::uint32_t type = 0;  // Position in the policy; of a repository's: none.
  std::uint32_t repository = 0;
  std::optional<Cron> cron;  // None: only when asked for.
  Duration jitter{};
  bool catch_up = true;
  std::uint32_t attempts = 3;
  Duration retry_delay{};
  Duration timeout{};
  std::optional<Duration> grace;
  Priority priority = Priority::Medium;
};
// In the order of the policy.
std::vector<BackupSlot> backup_slots(const BackupPolicy& policy);

// What one verification reads so that nothing stays unread for longer than it may: a share of all,
// 0 to 1. With a quarter on top, for a run that is missed.
double verified_share(const BackupRepository& repository, const std::optional<Cron>& cron,
                      std::int64_t now);

enum class BackupHealth : std::uint8_t { Unknown, Good, Bad };
struct BackupVerdict {
  BackupHealth health = BackupHealth::Unknown;
  std::string code;    // Of Bad: "OVERDUE", "UNREACHABLE", …
  std::string detail;  // For people.
};

struct BackupStart {
  BackupSlot slot;
  BackupOwed owed;
};

// How an attempt ended.
struct BackupEnd {
  bool good = false;
  bool interrupted = false;  // We were told to stop: it does not count as an attempt.
  std::string code = {};     // Of one that is not good.
  std::string error = {};
  double rpo_seconds = -1;
  double rto_seconds = -1;
};

// Runs of all repositories together, and drills among them: one takes hours.
inline constexpr std::size_t kBackupRunsMax = 4;
inline constexpr std::size_t kBackupDrillsMax = 1;

// A drill that restored everything, but too late or of too old a backup, has failed.
BackupEnd judged_by_objectives(const BackupType& type, BackupEnd end);

// Something that must not pass in silence.
struct BackupTold {
  enum class What : std::uint8_t { Interrupted, Skipped, Dropped, ClockBack };
  What what = What::Interrupted;
  BackupKey key;
  std::uint64_t run = 0;
  std::string text;
};

class BackupPlan {
 public:
  // `book` is what was remembered; attempts under way in it were interrupted.
  BackupPlan(BackupPolicy policy, BackupBook book, ZoneOffset zone, std::int64_t now);

  // Goes on under another policy. Attempts under way go on; what is no longer there is dropped once
  // it has ended.
  void replace(BackupPolicy policy, std::int64_t now);

  // What is due becomes owed; then what is to be started now, which counts as under way at once.
  // At most one a repository; but a drill, which only reads, holds up no backup.
  std::vector<BackupStart> start_due(std::int64_t now);
  // Names the processes of an attempt under way, so that they are found after a crash.
  void name_processes(const BackupKey& key, std::string token);
  // Returns whether the run is over: done, or given up.
  bool ended(const BackupKey& key, const BackupEnd& end, std::int64_t now);
  // A run as soon as possible: its number, also when one that was waiting will do. One that is
  // under way does not: it began before. Nothing: there is no such key.
  std::optional<std::uint64_t> request(const BackupKey& key, std::string actor, std::int64_t now);

  // The next moment at which start_due() or a verdict may differ.
  std::int64_t next_change(std::int64_t now) const;
  // Of its schedule, after what is owed; none: it has no schedule.
  std::optional<std::int64_t> next_due(const BackupSlot& slot) const;
  // When the last success is too old; none: it has no schedule.
  std::optional<std::int64_t> deadline(const BackupSlot& slot) const;

  // Full and incremental backups are made as their schedule says.
  BackupVerdict made(std::uint32_t type, std::int64_t now) const;
  // Its restore test, its drill and the verification of its repository have succeeded in time.
  BackupVerdict proven(std::uint32_t type, std::int64_t now) const;

  const BackupPolicy& policy() const noexcept { return policy_; }
  const std::vector<BackupSlot>& slots() const noexcept { return slots_; }
  const BackupSlot* slot(const BackupKey& key) const;
  const BackupRecord& record(const BackupKey& key) const;
  const BackupBook& book() const noexcept { return book_; }
  // What was to be told since the last call.
  std::vector<BackupTold> take_told();

 private:
  void fit_record(const BackupSlot& slot, std::int64_t now);
  void interrupt(const BackupSlot& slot, BackupRecord& record, std::int64_t now);
  void fix_clock(const BackupSlot& slot, BackupRecord& record, std::int64_t now);
  void owe(const BackupSlot& slot, BackupRecord& record, std::int64_t now);
  std::uint64_t owe(BackupRecord& record, BackupOwed owed);
  bool may_start(const BackupSlot& slot, std::int64_t now) const;
  bool is_busy(const BackupSlot& slot) const;
  bool has_room(BackupTask task) const;
  void succeed(const BackupKey& key, BackupRecord& record, const BackupEnd& end, std::int64_t now);
  void judge(const BackupSlot& slot, std::int64_t now, BackupVerdict& worst) const;
  void tell(BackupTold::What what, const BackupKey& key, std::uint64_t run, std::string text);

  BackupPolicy policy_;
  std::vector<BackupSlot> slots_;
  BackupBook book_;
  ZoneOffset zone_;
  std::int64_t begun_ = 0;  // Nothing is overdue before it could be made up for.
  std::vector<BackupTold> told_;
};

}  // namespace recover::core
