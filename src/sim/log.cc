#include "sim/log.h"

#include <array>
#include <cstring>

#include <recover/check.h>

#include "runtime/event_codec.h"

namespace recover::sim {
namespace {

using Position = std::uint64_t;

std::string as_text(Position at) {
  std::array<char, sizeof at> bytes{};
  std::memcpy(bytes.data(), &at, sizeof at);
  return {bytes.data(), bytes.size()};
}

// REQUIRES: is_row(entry).
Position position_in(const ports::Entry& entry) {
  Position at = 0;
  RECOVER_CHECK(entry.body.size() >= sizeof at);
  std::memcpy(&at, entry.body.data(), sizeof at);
  return at;
}

bool is_row(const ports::Entry& entry) {
  return entry.kind == ports::EntryKind::Event || entry.kind == ports::EntryKind::Notice ||
         entry.kind == ports::EntryKind::Command;
}

}  // namespace

template <class Value>
void Log::add(ports::EntryKind kind, const Value& value, runtime::Stamp stamp,
              std::vector<ports::Entry>& entries) {
  entries.push_back(entry_of(kind, rows_.size(), stamp));
  rows_.emplace_back(std::in_place_type<Value>, value);
}

ports::Entry Log::entry_of(ports::EntryKind kind, Position position, runtime::Stamp stamp) {
  return {.kind = kind, .wall_ns = stamp.wall_ns, .at = stamp.at, .body = as_text(position)};
}

std::optional<Position> Log::position_of(const ports::Entry& entry) const {
  if (json_ || !is_row(entry)) return std::nullopt;
  return position_in(entry);
}

void Log::record(const core::Event* event, const core::Output& output, const core::Policy& policy,
                 runtime::Stamp stamp, std::vector<ports::Entry>& entries) {
  const bool silent = output.notices.empty() && output.commands.empty() && output.cancels.empty();
  if (!output.changed && silent) return;
  const std::size_t first = entries.size();
  if (event != nullptr) add(ports::EntryKind::Event, *event, stamp, entries);
  for (const core::Notice& each : output.notices) {
    add(ports::EntryKind::Notice, each, stamp, entries);
  }
  for (const core::Command& each : output.commands) {
    add(ports::EntryKind::Command, each, stamp, entries);
  }
  if (!json_) return;
  written_.clear();
  if (event != nullptr) {
    runtime::record(*event, output, policy, stamp, written_);
  } else {
    runtime::record(output, policy, stamp, written_);
  }
  RECOVER_CHECK(written_.size() == entries.size() - first);
  for (std::size_t at = 0; at < written_.size(); ++at) {
    ports::Entry& entry = entries[first + at];
    RECOVER_CHECK(entry.kind == written_[at].kind);
    written_[at].body.insert(0, entry.body);
    entry = std::move(written_[at]);
  }
}

const Row* Log::row_of(const ports::Entry& entry) const {
  return is_row(entry) ? &rows_.at(position_in(entry)) : nullptr;
}

Result<core::Event, std::string> Log::event_of(const ports::StoredEntry& stored) {
  const std::string_view body = stored.entry.body;
  if (json_) return runtime::decode(stored.entry.type, body.substr(sizeof(Position)));
  return std::get<core::Event>(*row_of(stored.entry));
}

}  // namespace recover::sim
