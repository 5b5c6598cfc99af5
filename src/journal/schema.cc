#include "journal/schema.h"

#include <array>
#include <string>

namespace recover::journal {
namespace {

using ports::JournalError;
using ports::JournalFault;

constexpr std::int64_t kApplicationId = 0x72637664;  // "rcvd"

// The partial indexes cover what find() and latest() cannot answer from the newest rows backwards;
// an index over every row would double what an append writes.
constexpr const char* kVersion1 = R"sql(
BEGIN IMMEDIATE;
CREATE TABLE entries (
  seq INTEGER PRIMARY KEY,
  sealed INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  wall_ns INTEGER NOT NULL,
  at_ns INTEGER NOT NULL,
  type TEXT NOT NULL,
  service TEXT NOT NULL,
  incident INTEGER NOT NULL,
  recovery INTEGER NOT NULL,
  body BLOB NOT NULL,
  hash BLOB NOT NULL
) STRICT;
CREATE INDEX entries_by_recovery ON entries (recovery, seq) WHERE recovery != 0;
CREATE INDEX entries_by_incident ON entries (incident, seq) WHERE incident != 0;
CREATE INDEX entries_to_replay ON entries (kind, seq) WHERE kind >= 3;
CREATE TABLE head (id INTEGER PRIMARY KEY CHECK (id = 1), seq INTEGER NOT NULL, hash BLOB NOT NULL)
  STRICT;
CREATE TABLE anchor (id INTEGER PRIMARY KEY CHECK (id = 1), seq INTEGER NOT NULL,
  hash BLOB NOT NULL) STRICT;
CREATE TABLE facts (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
INSERT INTO head VALUES (1, 0, zeroblob(32));
INSERT INTO anchor VALUES (1, 0, zeroblob(32));
PRAGMA application_id = 1919120996;
PRAGMA user_version = 1;
COMMIT;
)sql";
static_assert(kApplicationId == 1919120996);

// What people search notices by. Partial, since most rows are events and commands.
constexpr const char* kVersion2 = R"sql(
BEGIN IMMEDIATE;
CREATE INDEX IF NOT EXISTS notices_by_service ON entries (service, seq)
  WHERE kind = 1 AND service != '';
CREATE INDEX IF NOT EXISTS notices_by_type ON entries (type, seq) WHERE kind = 1;
CREATE INDEX IF NOT EXISTS notices_by_time ON entries (wall_ns, seq) WHERE kind = 1;
PRAGMA user_version = 2;
COMMIT;
)sql";
static_assert(static_cast<int>(ports::EntryKind::Notice) == 1);

// kSteps[n] takes version n to n + 1.
constexpr std::array<const char*, kSchemaVersion> kSteps = {kVersion1, kVersion2};

Result<std::int64_t, JournalError> version_of(Database& database) {
  auto version = database.integer("PRAGMA user_version");
  if (!version) return version;
  const auto application = database.integer("PRAGMA application_id");
  if (!application) return application;
  if (*version != 0 && *application != kApplicationId) {
    return Unexpected(JournalError{.message = "journal: this is somebody else's database",
                                   .fault = JournalFault::Corrupt});
  }
  if (*version > kSchemaVersion) {
    return Unexpected(JournalError{.message = "journal: written by a later recoverd (format " +
                                              std::to_string(*version) + ", this one knows up to " +
                                              std::to_string(kSchemaVersion) + ")",
                                   .fault = JournalFault::Version});
  }
  return version;
}

}  // namespace

Result<void, JournalError> migrate(Database& database) {
  const auto version = version_of(database);
  if (!version) return Unexpected(version.error());
  for (auto step = static_cast<std::size_t>(*version); step < kSteps.size(); ++step) {
    auto done = database.run(kSteps[step]);
    if (done) continue;
    if (sqlite3_get_autocommit(database.get()) == 0) (void)database.run("ROLLBACK");
    return done;
  }
  return {};
}

Result<void, JournalError> check_version(Database& database) {
  const auto version = version_of(database);
  if (!version) return Unexpected(version.error());
  if (*version == kSchemaVersion) return {};
  return Unexpected(JournalError{
      .message = "journal: an older format; start recoverd once to bring it up to date",
      .fault = JournalFault::Version});
}

}  // namespace recover::journal
