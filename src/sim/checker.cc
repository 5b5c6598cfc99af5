#include "sim/checker.h"

#include <algorithm>

#include "runtime/event_codec.h"

namespace recover::sim {
namespace {

// What is known of a value, and no more than what is known, goes into the hash.
void absorb_row(const core::Event& event, Digest& digest) {
  digest.add(event.index());
  // One description of the fields serves both directions; a Digest changes nothing.
  auto& fields_of =
      const_cast<core::Event&>(event);  // NOLINT(cppcoreguidelines-pro-type-const-cast)
  std::visit([&digest](auto& each) { runtime::fields(digest, each); }, fields_of);
}
void absorb_row(const core::Notice& notice, Digest& digest) {
  digest.add(notice.type);
  digest.add(notice.severity);
  digest.add(notice.service);
  digest.add(notice.incident);
  digest.add(notice.recovery);
  digest.add(notice.actor);
  digest.add(notice.message);
  digest.add(notice.reasons.size());
  for (const core::Reason& reason : notice.reasons) {
    digest.add(reason.rule);
    digest.add(reason.verdict);
    digest.add(reason.detail);
  }
}
void absorb_row(const core::Command& command, Digest& digest) {
  digest.add(command.id);
  digest.add(command.service);
  digest.add(command.action);
  digest.add(command.part);
  digest.add(command.playbook);
  digest.add(command.index);
  digest.add(command.recovery);
  digest.add(command.attempt);
  digest.add(command.epoch);
  digest.add(command.idempotent);
  digest.add(command.settle);
  digest.add(command.deadline);
  digest.add(command.text);
}

Watchable watchable_of(const Seen& seen) {
  if (seen.notice != nullptr) return Watchable::Notice;
  if (seen.command != nullptr) return Watchable::Command;
  if (seen.event == nullptr) return Watchable::Other;
  const bool look = std::holds_alternative<core::ProbeFinished>(*seen.event);
  return look ? Watchable::Look : Watchable::Event;
}

std::string seconds_of(Instant at) {
  const auto ms = std::chrono::duration_cast<core::milliseconds>(at.time_since_epoch()).count();
  const std::string rest = std::to_string(1'000 + ms % 1'000).substr(1);
  return std::to_string(ms / 1'000) + "." + rest;
}

}  // namespace

Checker::Checker(const core::Policy& policy, std::size_t trace_lines)
    : policy_(policy),
      books_(policy),
      invariants_(make_invariants(policy)),
      trace_lines_(trace_lines) {
  for (const auto& each : invariants_) {
    each->report_to(alarm_);
    for (std::size_t what = 0; what < kWatchableCount; ++what) {
      if (each->watches(static_cast<Watchable>(what))) watching_[what].push_back(each.get());
    }
  }
}

void Checker::note(Instant now, std::string line) {
  if (trace_lines_ == 0) return;
  if (trace_.size() == trace_lines_) trace_.pop_front();
  trace_.push_back(seconds_of(now) + "  " + std::move(line));
}

void Checker::absorb(const ports::Entry& entry, const Row* row) {
  hash_without_wall_.add(entry.kind);
  hash_without_wall_.add(entry.at);
  if (row != nullptr) {
    std::visit([this](const auto& what) { absorb_row(what, hash_without_wall_); }, *row);
  } else {
    hash_without_wall_.add(entry.body);
  }
  hash_.add(hash_without_wall_.value());
  hash_.add(entry.wall_ns);
}

// Looks are most of a journal and say little.
void Checker::tell(const Seen& seen) {
  const Watchable what = watchable_of(seen);
  if (trace_lines_ == 0 || what == Watchable::Look || what == Watchable::Other) return;
  std::string line = "#" + std::to_string(seen.sequence) + " " + std::string(seen.type);
  if (seen.service >= 0) line += " s" + std::to_string(seen.service);
  if (seen.recovery != 0) line += " r" + std::to_string(seen.recovery);
  if (seen.notice != nullptr) {
    line += " " + seen.notice->message;
    for (const core::Reason& reason : seen.notice->reasons) line += "; " + reason.detail;
  }
  if (seen.event != nullptr) line += " " + runtime::encode(*seen.event);
  if (seen.command != nullptr) {
    line += " command " + std::to_string(seen.command->id.value) + ", attempt " +
            std::to_string(seen.command->attempt) + ", epoch " +
            std::to_string(seen.command->epoch) + (seen.command->settle ? ", to settle" : "") +
            (seen.command->text.empty() ? "" : ", " + seen.command->text);
  }
  constexpr std::size_t kShown = 240;
  note(seen.at, line.substr(0, kShown));
}

void Checker::entry(const ports::Entry& entry, const Row* row, std::uint64_t sequence) {
  absorb(entry, row);
  const Seen seen = read(entry, row, sequence);
  tell(seen);
  for (Invariant* each : watching(watchable_of(seen))) {
    each->on_entry(seen, books_);
  }
  collect();
  count_goals(seen);
  books_.apply(seen);
}

void Checker::command(const core::Command& command, Instant now) {
  hash_.add(command.id);
  hash_without_wall_.add(command.id);
  if (trace_lines_ > 0)
    note(now, "perform " + std::to_string(command.id.value) + " " +
                  std::string(core::to_string(command.action)));
  for (Invariant* each : watching(Watchable::Performed)) each->on_command(command, books_);
  collect();
}

void Checker::effect(const core::Command& command, Instant now) {
  if (trace_lines_ > 0)
    note(now, "effect of " + std::to_string(command.id.value) + " " +
                  std::string(core::to_string(command.action)));
  for (Invariant* each : watching(Watchable::Effect)) each->on_effect(command);
  collect();
}

void Checker::journal_is_gone() {
  if (!durable_) durable_ = books_;
}
void Checker::journal_is_back() {
  durable_.reset();
}

bool Checker::crashed() {
  const bool rolling_back = std::ranges::any_of(books_.recoveries, [](const auto& each) {
    return each.second.state == core::RecoveryState::RollingBack;
  });
  if (rolling_back) goals_.reach(Goal::CrashInRollback);
  if (!durable_) return false;
  books_ = std::move(*durable_);
  durable_.reset();
  for (const auto& each : invariants_) each->on_journal_lost();
  return true;
}

void Checker::restarted(std::uint64_t live_hash, std::uint64_t replayed_hash) {
  for (const auto& each : invariants_) each->on_restart(live_hash, replayed_hash);
  collect();
}

void Checker::timer_armed(Instant at) {
  for (Invariant* each : watching(Watchable::Timer)) each->on_timer_armed(at);
}

void Checker::end(const WorldTruth& world) {
  for (const auto& each : invariants_) each->on_end(world, books_);
  collect();
}

void Checker::collect() {
  if (violation_ || !alarm_) return;
  for (const auto& each : invariants_) {
    if (each->violation()) {
      violation_ = each->violation();
      return;
    }
  }
}

void Checker::count_flapping(const Seen& seen) {
  const auto* look = seen.event != nullptr ? std::get_if<core::ProbeFinished>(seen.event) : nullptr;
  if (look == nullptr || look->outcome != core::ProbeOutcome::Failed) return;
  for (const auto& [id, each] : books_.recoveries) {
    if (each.state != core::RecoveryState::Validating || each.service != seen.service) continue;
    const auto& looks = books_.services.at(look->service.value).looks;
    const auto before = looks.find(look->probe);
    const bool passed = before != looks.end() && before->second.passed &&
                        before->second.started_at >= each.last_effect_end;
    if (passed) goals_.reach(Goal::ValidationFlapped);
  }
}

void Checker::count_goals(const Seen& seen) {
  if (watchable_of(seen) == Watchable::Look) return count_flapping(seen);
  const BookRecovery* of = books_.recovery(seen.recovery);
  if (seen.type == "incident:opened" && books_.cause == "pattern_seen") {
    goals_.reach(Goal::PatternStartedRecovery);
  }
  if (seen.kind == ports::EntryKind::Event) {
    const bool trigger = seen.type == "process_exited" || seen.type == "pattern_seen" ||
                         seen.type == "watchdog_expired" || seen.type == "operator_recover" ||
                         seen.type == "resource_level_changed";
    if (trigger && seen.service >= 0) {
      const auto last = triggered_.find(seen.service);
      if (last != triggered_.end() && last->second == seen.at)
        goals_.reach(Goal::TwoTriggersAtOnce);
      triggered_[seen.service] = seen.at;
    }
    count_flapping(seen);
    return;
  }
  if (first_plan_.empty() && seen.type == "recovery:planned") {
    first_plan_ = seconds_of(seen.at) + " " + seen.notice->message;
  }
  if (seen.type == "playbook:demoted") goals_.reach(Goal::LearningDemoted);
  if (seen.type == "storm:left") goals_.reach(Goal::StormEnteredAndLeft);
  if (seen.type == "playbook:breaker_open") goals_.reach(Goal::PlaybookBreakerTripped);
  if (of == nullptr) {
    if (seen.type != "recovery:planned" || seen.says("asked for by")) return;
    if (books_.in_effect() >= policy_.recovery.max_concurrent_recoveries) {
      goals_.reach(Goal::BudgetRefused);
    }
    const BookIncident* incident = books_.incident(seen.incident);
    const auto book = policy_.find_playbook(seen.message.substr(0, seen.message.find(' ')));
    if (incident == nullptr || !book) return;
    for (const core::PlaybookIndex each :
         policy_.services.at(static_cast<std::size_t>(seen.service)).playbooks) {
      const int index = static_cast<int>(each.value);
      const bool out = std::ranges::find(incident->tried, index) != incident->tried.end() ||
                       std::ranges::find(incident->refused, index) != incident->refused.end() ||
                       books_.playbook_open.at(each.value);
      if (out) continue;
      if (each != *book) goals_.reach(Goal::LearningChangedOrder);
      break;
    }
    return;
  }
  if (!seen.to) return;
  if (seen.says("nobody approved in time")) goals_.reach(Goal::ApprovalExpired);
  const bool was_validating = of->state == core::RecoveryState::Validating;
  if (was_validating && seen.to != core::RecoveryState::Succeeded && seen.says("not met")) {
    goals_.reach(Goal::LieCaught);
  }
}

}  // namespace recover::sim
