// Where every input and decision is recorded before its effect starts: append, replay, verify.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <recover/result.h>
#include <recover/time.h>

namespace recover::ports {

enum class EntryKind : std::uint8_t {
  Event,     // Input of the engine; replayed.
  Notice,    // What was decided and why.
  Command,   // Intent: about to be performed.
  Policy,    // The configuration's text; replay goes on under it.
  Snapshot,  // The engine's state: replay starts at the latest.
};

// One row. `body` is JSON, or the bytes of a snapshot.
struct Entry {
  EntryKind kind = EntryKind::Event;
  std::int64_t wall_ns = 0;  // Since 1970, for people only.
  Instant at = {};           // The engine's time.
  std::string type = {};     // "process_exited", "recovery:action", …
  std::string service = {};  // Name; empty: none.
  std::uint64_t incident = 0;
  std::uint64_t recovery = 0;
  std::string body = {};
};

struct StoredEntry {
  std::uint64_t sequence = 0;  // 1, 2, 3, … without gaps.
  Entry entry;
};

enum class Durability : std::uint8_t {
  ProcessCrash,  // Survives kill -9 of recoverd: with the kernel.
  PowerLoss,     // Survives the machine: on the disk.
};

enum class JournalFault : std::uint8_t {
  Io,        // The disk or the file system said no.
  Full,      // No space left, the reserve included.
  ReadOnly,  // The file system or the files refuse writing.
  Corrupt,   // What is there cannot be read as a journal.
  WrongKey,  // Bodies are encrypted, and not with this key (or there is none).
  Version,   // Written by a later recoverd.
  Locked,    // Another recoverd writes it.
  Invalid,   // The entries themselves: too many or too large at once.
};

struct JournalError {
  std::string message;  // With the path and the system's reason.
  JournalFault fault = JournalFault::Io;
};

struct Filter {
  std::uint64_t after = 0;  // Sequences above.
  std::optional<std::int64_t> since_wall_ns = {};
  std::optional<EntryKind> kind = {};
  std::string type = {};     // Prefix; empty: any.
  std::string service = {};  // Empty: any.
  std::uint64_t recovery = 0;
  std::uint64_t incident = 0;
  std::size_t limit = 1'000;  // The newest of those that match, oldest first.
  bool oldest = false;        // The oldest of them instead: to read on page by page.
};

// Verdict over the hash chain: how many entries were read, and the first that does not fit.
struct Verification {
  std::uint64_t entries = 0;
  std::uint64_t broken_at = 0;  // Sequence; 0: the chain is whole.
  std::string message;
};

// One thread. Never throws.
class Journal {
 public:
  Journal() = default;
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;
  virtual ~Journal() = default;

  // All entries in one transaction, all or none. Returns the last sequence.
  virtual Result<std::uint64_t, JournalError> append(std::span<const Entry> entries,
                                                     Durability durability) = 0;
  // Entries in order from `first` on; stops when `visit` returns false.
  virtual Result<void, JournalError> replay(
      std::uint64_t first, const std::function<bool(const StoredEntry&)>& visit) = 0;
  // The newest entry of that kind, if any.
  virtual Result<std::optional<StoredEntry>, JournalError> latest(EntryKind kind) = 0;
  virtual Result<std::vector<StoredEntry>, JournalError> find(const Filter& filter) = 0;
  virtual Result<Verification, JournalError> verify() = 0;
};

}  // namespace recover::ports
