// What becomes of a corrupt journal: it is kept for people to look at, and recoverd goes on.
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <utility>

#include "journal/sqlite_journal.h"

namespace recover::journal {
namespace {

using ports::Durability;
using ports::Entry;
using ports::EntryKind;
using ports::JournalError;
using ports::JournalFault;

std::string corrupt_name(const std::string& path, int number) {
  return beside(path, "corrupt-" + std::to_string(number) + ".db");
}

// The quoted form of JSON.
std::string json_text(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += std::string("\\") + c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      std::array<char, 8> escape{};
      (void)std::snprintf(escape.data(), escape.size(), "\\u%04x",
                          static_cast<unsigned>(static_cast<unsigned char>(c)));
      out += escape.data();
    } else {
      out += c;
    }
  }
  return out + "\"";
}

// Everything that belongs to the journal but its lock and its reserve.
Result<std::string, JournalError> move_aside(const std::string& path) {
  int number = 1;
  std::error_code ignored;
  while (number < kCorruptKeptMax && std::filesystem::exists(corrupt_name(path, number), ignored)) {
    ++number;
  }
  std::string target = corrupt_name(path, number);
  // The -wal first: left beside a new journal it would be taken for a part of that.
  const std::array<std::pair<std::string, std::string>, 4> moves = {{
      {path + "-wal", target + "-wal"},
      {beside(path, "head"), beside(target, "head")},
      {beside(path, "stage"), beside(target, "stage")},
      {path, target},
  }};
  for (const auto& [from, to] : moves) {
    if (::rename(from.c_str(), to.c_str()) != 0 && errno != ENOENT) {
      return Unexpected(system_error("move aside", from));
    }
  }
  ::unlink((path + "-shm").c_str());
  if (auto synced = sync_folder(path); !synced) return Unexpected(std::move(synced).error());
  return target;
}

}  // namespace

Result<SalvagedJournal, JournalError> salvage(const OpenOptions& options,
                                              const std::string& reason) {
  {
    // Nobody's journal is moved from under them.
    const auto lock = lock_file(beside(options.path, "lock"));
    if (!lock) return Unexpected(lock.error());
  }
  auto moved = move_aside(options.path);
  if (!moved) return Unexpected(std::move(moved).error());
  auto fresh = SqliteJournal::open(options);
  if (!fresh) return Unexpected(std::move(fresh).error());
  const auto wall = std::chrono::system_clock::now().time_since_epoch();
  const Entry entry{.kind = EntryKind::Notice,
                    .wall_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(wall).count(),
                    .at = SteadyClock::instance().now(),
                    .type = "journal:salvaged",
                    .service = {},
                    .body = R"({"message":)" +
                            json_text("a corrupt journal was moved aside: " + reason) +
                            R"(,"moved_to":)" + json_text(*moved) + "}"};
  const auto recorded = (*fresh)->append({&entry, 1}, Durability::PowerLoss);
  if (!recorded) return Unexpected(recorded.error());
  return SalvagedJournal{.journal = std::move(*fresh), .moved_to = std::move(*moved)};
}

Result<SalvagedJournal, JournalError> open_or_salvage(const OpenOptions& options) {
  auto opened = SqliteJournal::open(options);
  if (opened) return SalvagedJournal{.journal = std::move(*opened), .moved_to = {}};
  if (opened.error().fault != JournalFault::Corrupt || options.read_only) {
    return Unexpected(std::move(opened).error());
  }
  return salvage(options, opened.error().message);
}

}  // namespace recover::journal
