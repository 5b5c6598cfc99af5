// The journal of a simulated recoverd as values: what JSON would say, without the JSON.
//
// An entry's body is the position of its row. The twin of a history runs with the real JSON behind
// it, and must give the same hash.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/command.h"
#include "core/event.h"
#include "runtime/record.h"

namespace recover::sim {

using Row = std::variant<core::Event, core::Notice, core::Command>;

class Log final : public runtime::Codec {
 public:
  // `json`: what is replayed is what runtime::encode() wrote and runtime::decode() reads.
  explicit Log(bool json) : json_(json) { rows_.reserve(kRowsUsual); }

  void record(const core::Event* event, const core::Output& output, const core::Policy& policy,
              runtime::Stamp stamp, std::vector<ports::Entry>& entries) override;
  Result<core::Event, std::string> event_of(const ports::StoredEntry& stored) override;

  // nullptr: a policy or a snapshot. Valid until the next record().
  const Row* row_of(const ports::Entry& entry) const;
  // Of an entry that is nothing but its row; none: there is more to it.
  std::optional<std::uint64_t> position_of(const ports::Entry& entry) const;
  // The entry of which position_of() is this.
  static ports::Entry entry_of(ports::EntryKind kind, std::uint64_t position, runtime::Stamp stamp);

 private:
  static constexpr std::size_t kRowsUsual = 512;

  template <class Value>
  void add(ports::EntryKind kind, const Value& value, runtime::Stamp stamp,
           std::vector<ports::Entry>& entries);

  bool json_;
  std::vector<Row> rows_;
  std::vector<ports::Entry> written_;  // The JSON of one step.
};

}  // namespace recover::sim
