// Back to where we were: the policy in force, the latest snapshot, and every event after it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <recover/result.h>

#include "core/engine.h"
#include "ports/journal.h"
#include "runtime/record.h"

namespace recover::runtime {

// What a Policy entry holds: the configuration as written, secrets unexpanded, and how the engine's
// time relates to this boot of the machine.
struct PolicyText {
  std::vector<std::pair<std::string, std::string>>
      sources;  // Path and text; the first is the main.
  std::string boot_id;
  std::int64_t offset_ns = 0;  // Engine time minus CLOCK_MONOTONIC, within that boot.
};
std::string encode(const PolicyText& text);
Result<PolicyText, std::string> decode_policy_text(std::string_view body);

// Builds the policy from its text. Never null.
using PolicyLoader =
    std::function<Result<std::shared_ptr<const core::Policy>, std::string>(const PolicyText&)>;

struct Restored {
  core::Engine engine;
  PolicyText text;
  Instant last;                       // The engine's time of the newest entry.
  std::uint64_t sequence = 0;         // Of the newest entry.
  std::uint64_t since_snapshot = 0;   // Entries behind the snapshot.
  bool is_older = false;              // The snapshot was written by an earlier program.
  std::uint64_t replayed = 0;         // Events stepped again.
  std::vector<std::string> warnings;  // Entries that could not be read again.
};

// None: the journal is empty. Error: it cannot be read, or its policy or snapshot is unusable.
// `codec` is that of the loop that wrote it; null: JSON.
Result<std::optional<Restored>, std::string> restore(ports::Journal& journal,
                                                     const PolicyLoader& load,
                                                     Codec* codec = nullptr);

// The engine's time in this boot: it never goes backwards from one run of recoverd to the next,
// stands still while the machine is off, and does not hear of the wall clock.
std::int64_t clock_offset_ns(const std::optional<Restored>& before, const std::string& boot_id,
                             std::int64_t monotonic_now_ns);

}  // namespace recover::runtime
