#include "runtime/loop.h"

#include <algorithm>
#include <string>
#include <utility>

#include <recover/check.h>

#include "base/utf8.h"

namespace recover::runtime {

namespace {

// Room a list keeps for the next turn; what the start of a thousand services needed is given back.
constexpr std::size_t kRoomKept = 64;

template <class Value>
void clear_list(std::vector<Value>& list) {
  list.clear();
  // `list = {}` would keep the room: it assigns an empty initializer list.
  if (list.capacity() > kRoomKept) std::vector<Value>().swap(list);
}

}  // namespace

void Loop::Batch::clear() {
  clear_list(entries);
  clear_list(commands);
  clear_list(cancels);
  clear_list(probes);
  clear_list(notices);
}

Loop::Loop(core::Engine engine, Edges edges)
    : engine_(std::move(engine)), edges_(std::move(edges)) {
  RECOVER_CHECK(edges_.journal != nullptr && edges_.now && edges_.wake && edges_.publish);
}

void Loop::begin(std::string policy_body) {
  policy_body_ = std::move(policy_body);
  record_state();
  watch();
  edges_.wake();
}

void Loop::go_on(std::string policy_body, std::uint64_t since_snapshot) {
  policy_body_ = std::move(policy_body);
  since_snapshot_ = since_snapshot;
  if (since_snapshot_ > kSnapshotEvery / 2) record_state();
  watch();
  edges_.wake();
}

// A snapshot grows with the services, and is not worth a few events of each.
bool Loop::is_replay_long() const {
  return since_snapshot_ > kReplayShort + engine_.policy().services.size();
}

void Loop::rest() {
  if (is_replay_long() && inbox_.empty()) record_state();
}

void Loop::record_state() {
  const Stamp stamp = edges_.now();
  batch_.clear();
  add_snapshot(stamp);
  store(stamp);
  batch_.clear();
}

void Loop::watch() {
  policies_.push_back(engine_.shared_policy());
  for (ports::EventSource* source : edges_.sources) source->watch(*policies_.back());
}

// Together with its policy, so that older entries may be pruned.
void Loop::add_snapshot(Stamp stamp) {
  batch_.entries.push_back({.kind = ports::EntryKind::Policy,
                            .wall_ns = stamp.wall_ns,
                            .at = stamp.at,
                            .type = "policy",
                            .body = policy_body_});
  batch_.entries.push_back(snapshot_entry(engine_, stamp));
  since_snapshot_ = 0;
}

void Loop::post(core::Event event) {
  if (inbox_.size() >= kInboxMax && std::holds_alternative<core::ProbeFinished>(event)) {
    ++metrics_.dropped;
    return;
  }
  redact(event);
  if (inbox_.empty()) edges_.wake();
  inbox_.push_back(std::move(event));
  if (!edges_.on_error_text) return;
  const auto* probe = std::get_if<core::ProbeFinished>(&inbox_.back());
  if (probe == nullptr || probe->outcome != core::ProbeOutcome::Failed) return;
  edges_.on_error_text(probe->service, std::string(probe->detail));
}

void Loop::redact(core::Event& event) const {
  const auto clean = [this](std::string& text, std::size_t size_max = std::string::npos) {
    if (text.empty()) return;
    if (edges_.redact) text = edges_.redact(std::move(text));
    if (text.size() > size_max) text.resize(size_max);
    text = base::valid_utf8(std::move(text));  // Or the journal could not be read again.
  };
  if (auto* probe = std::get_if<core::ProbeFinished>(&event)) clean(probe->detail);
  if (auto* command = std::get_if<core::CommandFinished>(&event)) clean(command->detail);
  if (auto* pattern = std::get_if<core::PatternSeen>(&event)) clean(pattern->text, kPatternTextMax);
}

Instant Loop::turn() {
  const Stamp stamp = edges_.now();
  if (inbox_.empty() && engine_.next_timer() > stamp.at) return engine_.next_timer();
  batch_.clear();
  if (engine_.next_timer() <= stamp.at) decide(core::TimerFired{}, stamp);
  for (std::size_t taken = 0; taken < kBatchMax && !inbox_.empty(); ++taken) {
    decide(inbox_.front(), stamp);
    inbox_.pop_front();
  }
  if (store(stamp)) perform(stamp);
  batch_.clear();
  clear_list(output_.notices);
  clear_list(output_.commands);
  if (!inbox_.empty()) edges_.wake();
  return engine_.next_timer();
}

void Loop::decide(const core::Event& event, Stamp stamp) {
  ++metrics_.events;
  // The journal that is back may be a new one: it gets all we know.
  const auto* journal = std::get_if<core::JournalDegraded>(&event);
  if (journal != nullptr && !journal->degraded) since_snapshot_ = kSnapshotEvery;
  engine_.step(event, stamp.at, output_);
  note(&event, stamp);
  collect();
}

void Loop::note(const core::Event* event, Stamp stamp) {
  if (edges_.codec != nullptr) {
    edges_.codec->record(event, output_, engine_.policy(), stamp, batch_.entries);
  } else if (event != nullptr) {
    record(*event, output_, engine_.policy(), stamp, batch_.entries);
  } else {
    record(output_, engine_.policy(), stamp, batch_.entries);
  }
}

// Moves what the step brought into the batch.
void Loop::collect() {
  std::ranges::move(output_.commands, std::back_inserter(batch_.commands));
  std::ranges::move(output_.cancels, std::back_inserter(batch_.cancels));
  std::ranges::move(output_.probes, std::back_inserter(batch_.probes));
  std::ranges::move(output_.notices, std::back_inserter(batch_.notices));
}

bool Loop::store(Stamp stamp) {
  if (batch_.entries.empty()) return true;
  since_snapshot_ += batch_.entries.size();
  if (since_snapshot_ >= kSnapshotEvery) add_snapshot(stamp);
  const bool power_loss =
      std::ranges::any_of(batch_.commands, [](const auto& command) { return !command.idempotent; });
  const auto durability =
      power_loss ? ports::Durability::PowerLoss : ports::Durability::ProcessCrash;
  ++metrics_.batches;
  stored_ = true;
  if (edges_.journal->append(batch_.entries, durability)) {
    metrics_.recorded += batch_.entries.size();
    return true;
  }
  ++metrics_.record_failed;
  // The journal takes nothing that must outlive power loss now: what is idempotent may still go on
  // when it can be kept in memory; the rest is refused.
  if (!power_loss || !edges_.journal->append(batch_.entries, ports::Durability::ProcessCrash)) {
    for (const core::Command& command : batch_.commands) {
      refuse(command, "the journal cannot be written");
    }
    return stored_ = false;
  }
  std::erase_if(batch_.commands, [this](const core::Command& command) {
    if (command.idempotent) return false;
    refuse(command, "the journal cannot be written to the disk, and this cannot be repeated");
    return true;
  });
  return true;
}

void Loop::perform(Stamp stamp) {
  for (const core::CommandId command : batch_.cancels) {
    for (ports::Effector* effector : edges_.effectors) {
      if (effector != nullptr) effector->cancel(command);
    }
  }
  for (const core::Command& command : batch_.commands) perform(command);
  for (const core::ProbeRequest& request : batch_.probes) {
    for (ports::EventSource* source : edges_.sources) source->look(request.service);
  }
  // Last: nobody who is down waits for what is told about it.
  for (const core::Notice& notice : batch_.notices) edges_.publish(notice, stamp);
}

void Loop::perform(const core::Command& command) {
  ports::Effector* effector = edges_.effectors[static_cast<std::size_t>(command.action)];
  if (effector == nullptr) {
    refuse(command, "nothing here performs " + std::string(core::to_string(command.action)));
    return;
  }
  ++in_flight_;
  const core::Policy* policy = policies_.back().get();
  effector->perform(command, *policy, [this, command, policy](core::CommandFinished finished) {
    --in_flight_;
    finish(command, policy, std::move(finished));
  });
}

void Loop::finish(const core::Command& command, const core::Policy* policy,
                  core::CommandFinished finished) {
  const bool failed = finished.outcome == core::CommandOutcome::Failed ||
                      finished.outcome == core::CommandOutcome::Unknown;
  // Of a call for people the text is about the messenger; under another policy, positions differ.
  const bool told = failed && command.action != core::ActionKind::Notify &&
                    policy == policies_.back().get() && edges_.on_error_text;
  const std::string text = told ? finished.detail : std::string();
  report(std::move(finished));
  if (told) {
    edges_.on_error_text(command.service, edges_.redact ? edges_.redact(text) : text);
  }
}

void Loop::refuse(const core::Command& command, std::string why) {
  report(
      {.command = command.id, .outcome = core::CommandOutcome::Refused, .detail = std::move(why)});
}

void Loop::report(core::CommandFinished finished) {
  post(std::move(finished));
}

void Loop::replace_policy(core::Policy policy, std::string policy_body) {
  while (!inbox_.empty()) turn();  // Their indices are those of the old policy.
  const Stamp stamp = edges_.now();
  batch_.clear();
  engine_.replace_policy(std::move(policy), stamp.at, output_);
  policy_body_ = std::move(policy_body);
  note(nullptr, stamp);
  add_snapshot(stamp);
  collect();
  if (in_flight_ == 0) policies_.clear();
  watch();
  if (store(stamp)) perform(stamp);
  edges_.wake();
}

}  // namespace recover::runtime
