#include "sim/checker.h"

#include <algorithm>

#include "core/plan.h"

namespace recover::sim {
namespace {

std::uint64_t mix(std::uint64_t hash, std::uint64_t number) {
  char bytes[8];
  for (unsigned at = 0; at < 8; ++at) bytes[at] = static_cast<char>(number >> (8U * at));
  return core::fnv1a({bytes, 8}, hash);
}

std::uint64_t number(Instant at) {
  return static_cast<std::uint64_t>(at.time_since_epoch().count());
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
      hash_(core::kFnvBasis),
      hash_without_wall_(core::kFnvBasis),
      trace_lines_(trace_lines) {}

void Checker::note(Instant now, std::string line) {
  if (trace_lines_ == 0) return;
  if (trace_.size() == trace_lines_) trace_.pop_front();
  trace_.push_back(seconds_of(now) + "  " + std::move(line));
}

void Checker::absorb(const ports::Entry& entry) {
  std::uint64_t hash = core::fnv1a(entry.type, mix(hash_without_wall_, number(entry.at)));
  hash = core::fnv1a(entry.body, core::fnv1a(entry.service, hash));
  hash_without_wall_ = mix(hash, entry.incident * 31 + entry.recovery);
  hash_ = mix(mix(hash_, hash_without_wall_), static_cast<std::uint64_t>(entry.wall_ns));
}

void Checker::entry(const ports::Entry& entry, std::uint64_t sequence) {
  absorb(entry);
  const Seen seen = read(entry, sequence);
  // Looks are most of a journal and say little.
  const bool told = seen.type != "probe_finished" && entry.kind != ports::EntryKind::Snapshot;
  if (trace_lines_ > 0 && told) {
    constexpr std::size_t kShown = 240;
    const std::string_view shown = seen.body.substr(0, kShown);
    note(seen.at, "#" + std::to_string(sequence) + " " + entry.type + " " + entry.service +
                      (entry.recovery == 0 ? "" : " r" + std::to_string(entry.recovery)) + " " +
                      std::string(shown));
  }
  for (const auto& each : invariants_) each->on_entry(seen, books_);
  collect();
  count_goals(seen);
  books_.apply(seen);
}

void Checker::command(const core::Command& command, Instant now) {
  hash_ = mix(hash_, command.id.value);
  hash_without_wall_ = mix(hash_without_wall_, command.id.value);
  note(now, "perform " + std::to_string(command.id.value) + " " +
                std::string(core::to_string(command.action)));
  for (const auto& each : invariants_) each->on_command(command, books_);
  collect();
}

void Checker::effect(const core::Command& command, Instant now) {
  note(now, "effect of " + std::to_string(command.id.value) + " " +
                std::string(core::to_string(command.action)));
  for (const auto& each : invariants_) each->on_effect(command);
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
  for (const auto& each : invariants_) each->on_timer_armed(at);
}

void Checker::end(const WorldTruth& world) {
  for (const auto& each : invariants_) each->on_end(world, books_);
  collect();
}

void Checker::collect() {
  if (violation_) return;
  for (const auto& each : invariants_) {
    if (each->violation()) {
      violation_ = each->violation();
      return;
    }
  }
}

void Checker::count_flapping(const Seen& seen) {
  const auto* look = seen.event ? std::get_if<core::ProbeFinished>(&*seen.event) : nullptr;
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
  const BookRecovery* of = books_.recovery(seen.recovery);
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
