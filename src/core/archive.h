// How each part of the state becomes bytes: one description for writing and reading.
//
// Writer, HashWriter and Reader have the same face, so no field can be written and then read
// elsewhere. A field added to a struct of state.h is added here, and kSnapshotVersion grows.
#pragma once

#include <algorithm>
#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/state.h"

namespace recover::core {

// Snapshots from this version on hold PlaybookHealth::rows.
inline constexpr std::uint64_t kRowsSince = 3;
inline constexpr std::uint64_t kCrashesSince = 3;  // And InstanceHealth::crashes.
inline constexpr std::uint64_t kHeldSince = 4;     // InstanceHealth::held and Command::held.

class Writer {
 public:
  static constexpr bool kReads = false;

  void number(std::uint64_t value, unsigned bytes) {
    // All eight at once, little-endian; those too many are overwritten by what follows.
    constexpr std::size_t kWord = 8;
    if (bytes_.size() < size_ + kWord) bytes_.resize(2 * bytes_.size() + kFirst);
    for (unsigned byte = 0; byte < kWord; ++byte) {
      bytes_[size_ + byte] = static_cast<char>(value >> (8U * byte));
    }
    size_ += bytes;
  }
  void text(const std::string& value) {
    number(value.size(), 4);
    if (bytes_.size() < size_ + value.size()) bytes_.resize(2 * size_ + value.size() + kFirst);
    std::copy(value.begin(), value.end(), bytes_.begin() + static_cast<std::ptrdiff_t>(size_));
    size_ += value.size();
  }
  std::string take() {
    bytes_.resize(size_);
    return std::move(bytes_);
  }

 private:
  static constexpr std::size_t kFirst = 4'096;  // What a small state takes.

  std::string bytes_;  // Longer than what was written, so that numbers need no check a byte.
  std::size_t size_ = 0;
};

// Of what a Writer would write, without writing it: equal states have equal hashes. Not for secrets
// and not to be kept: the same on one machine only.
class HashWriter {
 public:
  static constexpr bool kReads = false;

  void number(std::uint64_t value, unsigned /*bytes*/) {
    hash_ = (hash_ ^ value) * 0x9e3779b97f4a7c15U;
    hash_ ^= hash_ >> 29U;
  }
  void text(std::string_view value) {
    constexpr std::size_t kWord = 8;
    number(value.size(), kWord);
    while (!value.empty()) {
      std::uint64_t word = 0;
      const std::size_t taken = std::min(value.size(), kWord);
      std::memcpy(&word, value.data(), taken);
      number(word, kWord);
      value.remove_prefix(taken);
    }
  }
  std::uint64_t value() const noexcept { return hash_; }

 private:
  std::uint64_t hash_ = 0;
};

// After the first thing that is wrong, everything reads as zero and ok() is false.
class Reader {
 public:
  static constexpr bool kReads = true;

  explicit Reader(std::string_view bytes) : left_(bytes) {}

  std::uint64_t number(unsigned bytes) {
    if (left_.size() < bytes) fail();
    if (!ok_) return 0;
    std::uint64_t value = 0;
    for (unsigned byte = 0; byte < bytes; ++byte) {
      value |= static_cast<std::uint64_t>(static_cast<unsigned char>(left_[byte])) << (8U * byte);
    }
    left_.remove_prefix(bytes);
    return value;
  }
  std::string text() {
    const std::uint64_t size = number(4);
    if (size > left_.size()) fail();
    if (!ok_) return {};
    std::string value(left_.substr(0, size));
    left_.remove_prefix(size);
    return value;
  }
  // Of a list: no more items than bytes are left, so no size makes us reserve without bound.
  std::size_t size() {
    const std::uint64_t size = number(4);
    if (size > left_.size()) fail();
    return ok_ ? static_cast<std::size_t>(size) : 0;
  }
  void fail() { ok_ = false; }
  bool ok() const noexcept { return ok_; }
  bool at_end() const noexcept { return left_.empty(); }
  // Of the snapshot that is read: fields that came later are left as they are.
  void of_version(std::uint64_t version) { version_ = version; }
  std::uint64_t version() const noexcept { return version_; }

 private:
  std::string_view left_;
  std::uint64_t version_ = 0;
  bool ok_ = true;
};

// ---- scalars ---------------------------------------------------------------------------------

template <class A, std::integral T>
void archive(A& a, T& value) {
  if constexpr (A::kReads) {
    const std::uint64_t read = a.number(sizeof(T));
    if (std::is_same_v<T, bool> && read > 1) a.fail();
    value = static_cast<T>(read);
  } else {
    a.number(static_cast<std::uint64_t>(value), sizeof(T));
  }
}
// The last enumerator is named, so that nothing beyond it is read.
template <class A, class T>
void archive_enum(A& a, T& value, T last) {
  std::uint8_t number = static_cast<std::uint8_t>(value);
  archive(a, number);
  if constexpr (A::kReads) {
    if (number > static_cast<std::uint8_t>(last)) {
      a.fail();
      number = 0;
    }
    value = static_cast<T>(number);
  }
}
#define RECOVER_ARCHIVE_ENUM(Enum, last) \
  template <class A>                     \
  void archive(A& a, Enum& value) {      \
    archive_enum(a, value, Enum::last);  \
  }
RECOVER_ARCHIVE_ENUM(FailureClass, DependencyFailure)
RECOVER_ARCHIVE_ENUM(Symptom, RecoveryRequested)
RECOVER_ARCHIVE_ENUM(Severity, Critical)
RECOVER_ARCHIVE_ENUM(Mode, Automatic)
RECOVER_ARCHIVE_ENUM(ServiceState, Stopped)
RECOVER_ARCHIVE_ENUM(ProbeState, Failing)
RECOVER_ARCHIVE_ENUM(InstanceState, Stopping)
RECOVER_ARCHIVE_ENUM(BreakerState, HalfOpen)
RECOVER_ARCHIVE_ENUM(IncidentState, Escalated)
RECOVER_ARCHIVE_ENUM(RecoveryState, Rejected)
RECOVER_ARCHIVE_ENUM(StepState, Skipped)
RECOVER_ARCHIVE_ENUM(ActionKind, Thaw)
RECOVER_ARCHIVE_ENUM(Rule, Operator)
RECOVER_ARCHIVE_ENUM(Verdict, Info)
RECOVER_ARCHIVE_ENUM(Part, Rollback)
#undef RECOVER_ARCHIVE_ENUM

template <class A>
void archive(A& a, double& value) {
  std::uint64_t bits = std::bit_cast<std::uint64_t>(value);
  archive(a, bits);
  if constexpr (A::kReads) value = std::bit_cast<double>(bits);
}
template <class A>
void archive(A& a, std::string& value) {
  if constexpr (A::kReads) {
    value = a.text();
  } else {
    a.text(value);
  }
}
// Far from the ends of the range, or at them, so that no sum of instants can overflow.
template <class A>
void archive(A& a, Instant& value) {
  constexpr std::int64_t kFar = std::int64_t{1} << 61;
  std::int64_t ticks = value.time_since_epoch().count();
  archive(a, ticks);
  if constexpr (A::kReads) {
    value = Instant{Duration{ticks}};
    if (value != kNever && value != Instant::min() && (ticks > kFar || ticks < -kFar)) a.fail();
  }
}
template <class A>
void archive(A& a, Duration& value) {
  std::int64_t ticks = value.count();
  archive(a, ticks);
  if constexpr (A::kReads) value = Duration{ticks};
}
template <class A, class Tag>
void archive(A& a, base::Id<Tag>& value) {
  archive(a, value.value);
}
template <class A, class Tag>
void archive(A& a, base::Index<Tag>& value) {
  archive(a, value.value);
}

// ---- structs: declared before the containers look for them ------------------------------------

template <class A>
void archive(A& a, Incarnation& v);
template <class A>
void archive(A& a, ProbeHealth& v);
template <class A>
void archive(A& a, InstanceHealth& v);
template <class A>
void archive(A& a, ServiceHealth& v);
template <class A>
void archive(A& a, Reason& v);
template <class A>
void archive(A& a, Incident& v);
template <class A>
void archive(A& a, StepProgress& v);
template <class A>
void archive(A& a, CriterionResult& v);
template <class A>
void archive(A& a, Recovery& v);
template <class A>
void archive(A& a, Outcomes& v);
template <class A>
void archive(A& a, Signature& v);
template <class A>
void archive(A& a, PlaybookRow& v);
template <class A>
void archive(A& a, PlaybookHealth& v);
template <class A>
void archive(A& a, ResourceLevel& v);
template <class A>
void archive(A& a, Command& v);

// ---- containers ------------------------------------------------------------------------------

template <class A, class T>
void archive(A& a, std::optional<T>& value) {
  bool present = value.has_value();
  archive(a, present);
  if constexpr (A::kReads) {
    value = present ? std::optional<T>(T{}) : std::nullopt;
  }
  if (value) archive(a, *value);
}
template <class A, class T, class U>
void archive(A& a, std::pair<T, U>& value) {
  archive(a, value.first);
  archive(a, value.second);
}
template <class A, class List>
void archive_list(A& a, List& list) {
  if constexpr (A::kReads) {
    const std::size_t size = a.size();
    list.clear();
    for (std::size_t index = 0; index < size && a.ok(); ++index) archive(a, list.emplace_back());
  } else {
    a.number(list.size(), 4);
    for (auto& item : list) archive(a, item);
  }
}
template <class A, class T>
void archive(A& a, std::vector<T>& list) {
  archive_list(a, list);
}
template <class A, class T>
void archive(A& a, std::deque<T>& list) {
  archive_list(a, list);
}
// Keys ascend; anything else is refused, so equal maps have one form only.
template <class A, class K, class V>
void archive(A& a, std::map<K, V>& map) {
  if constexpr (A::kReads) {
    const std::size_t size = a.size();
    map.clear();
    for (std::size_t index = 0; index < size && a.ok(); ++index) {
      K key{};
      archive(a, key);
      if (!map.empty() && !(map.rbegin()->first < key)) return a.fail();
      archive(a, map.emplace_hint(map.end(), key, V{})->second);
    }
  } else {
    a.number(map.size(), 4);
    for (auto& [key, value] : map) {
      K copy = key;
      archive(a, copy);
      archive(a, value);
    }
  }
}

template <class A, class... Ts>
void archive_all(A& a, Ts&... fields) {
  (archive(a, fields), ...);
}

// ---- the structs of state.h ------------------------------------------------------------------

template <class A>
void archive(A& a, Incarnation& v) {
  archive_all(a, v.pid, v.start_time);
}
template <class A>
void archive(A& a, LookWindow& v) {
  archive(a, v.newest);
  for (std::uint32_t& count : v.passed) archive(a, count);
  for (std::uint32_t& count : v.failed) archive(a, count);
}
template <class A>
void archive(A& a, ProbeHealth& v) {
  archive_all(a, v.state, v.passes, v.failures, v.first_failure, v.observed_from, v.latency,
              v.symptom, v.failure, v.detail, v.queue_depth, v.looks);
}
template <class A>
void archive(A& a, InstanceHealth& v) {
  archive_all(a, v.state, v.incarnation, v.since, v.restarts, v.exit_code, v.exit_signal, v.hung,
              v.adopted);
  if constexpr (A::kReads) {
    if (a.version() < kCrashesSince) return;
  }
  for (Instant& crash : v.crashes) archive(a, crash);
  if constexpr (A::kReads) {
    if (a.version() < kHeldSince) return;
  }
  archive(a, v.held);
}
template <class A>
void archive(A& a, ServiceHealth& v) {
  archive_all(a, v.state, v.since, v.wanted, v.replaced_by, v.probes, v.instances, v.desired,
              v.start_pending, v.start_deadline, v.counts_from, v.grace_until, v.changes,
              v.flapping, v.quarantined, v.maintenance_until, v.mode, v.breaker, v.breaker_failures,
              v.breaker_until, v.breaker_trials, v.incident, v.supervision, v.last_good, v.epoch,
              v.healthy_since, v.state_is_new, v.state_started, v.state_fingerprint, v.candidate,
              v.candidate_started, v.candidate_at, v.trial_since, v.last_checkpoint,
              v.last_checkpoint_at);
}
template <class A>
void archive(A& a, Reason& v) {
  archive_all(a, v.rule, v.verdict, v.detail);
}
template <class A>
void archive(A& a, Incident& v) {
  archive_all(a, v.id, v.service, v.failure, v.symptoms, v.pattern, v.severity, v.state, v.cause,
              v.confidence, v.began_at, v.opened_at, v.closed_at, v.analysis_until, v.retry_at,
              v.suppressed_by, v.recoveries, v.tried, v.refused, v.attempts, v.in_health,
              v.last_symptom_at, v.recheck_from, v.escalated_by, v.announced, v.requested_by,
              v.requested, v.reasons, v.detail);
}
template <class A>
void archive(A& a, StepProgress& v) {
  archive_all(a, v.action, v.part, v.index, v.state, v.attempts, v.in_doubt, v.command,
              v.started_at, v.ended_at, v.output);
}
template <class A>
void archive(A& a, CriterionResult& v) {
  archive_all(a, v.criterion, v.observed, v.met);
}
template <class A>
void archive(A& a, Recovery& v) {
  archive_all(a, v.id, v.incident, v.service, v.playbook, v.mode, v.state, v.plan_hash,
              v.requested_by, v.approved_by, v.approval_until, v.reasons, v.checkpoint, v.steps,
              v.rollback, v.rollback_attempts, v.validation, v.planned_at, v.started_at, v.ended_at,
              v.deadline, v.last_effect_at, v.validation_until, v.stable_since, v.wake_at,
              v.probes_passed, v.probes_failed, v.rto_met, v.prerequisites_at, v.aborting,
              v.crashed, v.trial, v.successor);
}
template <class A>
void archive(A& a, Outcomes& v) {
  archive_all(a, v.succeeded, v.failed);
}
template <class A>
void archive(A& a, Signature& v) {
  archive_all(a, v.service, v.failure, v.symptom, v.playbook);
}
template <class A>
void archive(A& a, PlaybookRow& v) {
  archive_all(a, v.failures, v.counted, v.breaker_open);
}
template <class A>
void archive(A& a, PlaybookHealth& v) {
  archive_all(a, v.failures_in_row, v.breaker_open, v.demoted);
  if constexpr (A::kReads) {
    if (a.version() < kRowsSince) return;
  }
  archive(a, v.rows);
}
template <class A>
void archive(A& a, ResourceLevel& v) {
  archive_all(a, v.what, v.symptom, v.ratio, v.level);
}
template <class A>
void archive(A& a, Command& v) {
  archive_all(a, v.id, v.service, v.action, v.part, v.playbook, v.index, v.recovery, v.attempt,
              v.epoch, v.idempotent, v.settle, v.deadline, v.text, v.incident, v.checkpoint);
  if constexpr (A::kReads) {
    if (a.version() < kHeldSince) return;
  }
  archive(a, v.held);
}
// `open` and `active` follow from the rest.
template <class A>
void archive(A& a, State& v) {
  archive_all(a, v.services, v.playbooks, v.incidents, v.recoveries, v.outcomes, v.learned,
              v.outcomes_are_new, v.learned_at, v.resources, v.pattern_seen, v.recoveries_started,
              v.last_ended, v.mode, v.maintenance_until, v.kill_switch, v.storm, v.storm_calm_since,
              v.journal_degraded, v.unsettled, v.in_flight, v.next_incident, v.next_recovery,
              v.next_command);
}

}  // namespace recover::core
