#include "runtime/record.h"

#include "base/overloaded.h"
#include "runtime/event_codec.h"
#include "runtime/json_text.h"

namespace recover::runtime {
namespace {

template <class Event>
std::string service_name(const Event& event, const core::Policy& policy) {
  if constexpr (requires { event.service.value; }) {
    return policy.service(event.service).name;
  } else if constexpr (requires { event.service->value; }) {
    return event.service ? policy.service(*event.service).name : std::string();
  } else {
    return {};
  }
}

template <class Event>
std::uint64_t recovery_of(const Event& event) {
  if constexpr (requires { event.recovery.value; }) {
    return event.recovery.value;
  } else {
    return 0;
  }
}

std::string_view part_name(core::Part part) {
  switch (part) {
    case core::Part::Supervision: return "supervision";
    case core::Part::Checkpoint: return "checkpoint";
    case core::Part::Step: return "step";
    case core::Part::Undo: return "undo";
    case core::Part::Rollback: return "rollback";
  }
  return "";
}

ports::Entry event_entry(const core::Event& event, const core::Policy& policy, Stamp stamp) {
  ports::Entry entry{.kind = ports::EntryKind::Event,
                     .wall_ns = stamp.wall_ns,
                     .at = stamp.at,
                     .type = std::string(core::name_of(event)),
                     .body = encode(event)};
  std::visit(
      [&](const auto& alternative) {
        entry.service = service_name(alternative, policy);
        entry.recovery = recovery_of(alternative);
      },
      event);
  return entry;
}

ports::Entry notice_entry(const core::Notice& notice, const core::Policy& policy, Stamp stamp) {
  JsonText body;
  body.begin('{')
      .field("severity", core::to_string(notice.severity))
      .field("actor", notice.actor)
      .field("message", notice.message)
      .key("reasons")
      .begin('[');
  for (const core::Reason& reason : notice.reasons) {
    body.begin('{')
        .field("rule", core::to_string(reason.rule))
        .field("verdict", core::to_string(reason.verdict))
        .field("detail", reason.detail)
        .end('}');
  }
  body.end(']').end('}');
  return {.kind = ports::EntryKind::Notice,
          .wall_ns = stamp.wall_ns,
          .at = stamp.at,
          .type = notice.type,
          .service = notice.service ? policy.service(*notice.service).name : std::string(),
          .incident = notice.incident.value,
          .recovery = notice.recovery.value,
          .body = body.take()};
}

ports::Entry command_entry(const core::Command& command, const core::Policy& policy, Stamp stamp) {
  JsonText body;
  body.begin('{')
      .field("id", command.id.value)
      .field("action", core::to_string(command.action))
      .field("part", part_name(command.part))
      .key("playbook");
  if (command.playbook) {
    body.value(policy.playbook(*command.playbook).id);
  } else {
    body.value(nullptr);
  }
  body.field("index", command.index)
      .field("attempt", command.attempt)
      .field("epoch", command.epoch)
      .field("idempotent", command.idempotent)
      .field("settle", command.settle)
      .field("text", command.text);
  if (!command.checkpoint.empty()) body.field("checkpoint", command.checkpoint);
  body.end('}');
  return {.kind = ports::EntryKind::Command,
          .wall_ns = stamp.wall_ns,
          .at = stamp.at,
          .type = std::string(core::to_string(command.action)),
          .service = policy.service(command.service).name,
          .incident = command.incident.value,
          .recovery = command.recovery.value,
          .body = body.take()};
}

}  // namespace

void record(const core::Event& event, const core::Output& output, const core::Policy& policy,
            Stamp stamp, std::vector<ports::Entry>& entries) {
  const bool silent = output.notices.empty() && output.commands.empty() && output.cancels.empty();
  if (!output.changed && silent) return;
  entries.push_back(event_entry(event, policy, stamp));
  record(output, policy, stamp, entries);
}

void record(const core::Output& output, const core::Policy& policy, Stamp stamp,
            std::vector<ports::Entry>& entries) {
  for (const core::Notice& notice : output.notices) {
    entries.push_back(notice_entry(notice, policy, stamp));
  }
  for (const core::Command& command : output.commands) {
    entries.push_back(command_entry(command, policy, stamp));
  }
}

ports::Entry snapshot_entry(const core::Engine& engine, Stamp stamp) {
  return {.kind = ports::EntryKind::Snapshot,
          .wall_ns = stamp.wall_ns,
          .at = stamp.at,
          .type = "snapshot",
          .body = engine.snapshot()};
}

}  // namespace recover::runtime
