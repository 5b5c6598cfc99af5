// The journal on a healthy disk: order, search, chain, encryption, retention, salvage.
#include "journal/sqlite_journal.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <utility>

#include "journal/search.h"
#include "test/temp_folder.h"

namespace recover::journal {
namespace {

using ports::Durability;
using ports::Entry;
using ports::EntryKind;
using ports::JournalFault;
using ports::StoredEntry;

Entry entry(EntryKind kind, std::string type, std::string body = "{}") {
  return {.kind = kind,
          .wall_ns = 1'000,
          .at = Instant{Duration{5}},
          .type = std::move(type),
          .service = "web",
          .incident = 0,
          .recovery = 0,
          .body = std::move(body)};
}

std::unique_ptr<SqliteJournal> open(const OpenOptions& options) {
  auto opened = SqliteJournal::open(options);
  if (!opened) {
    ADD_FAILURE() << opened.error().message;
    return nullptr;
  }
  return std::move(*opened);
}

void append(SqliteJournal& journal, std::vector<Entry> entries,
            Durability durability = Durability::ProcessCrash) {
  const auto done = journal.append(entries, durability);
  ASSERT_TRUE(done) << done.error().message;
}

void append_many(SqliteJournal& journal, int count) {
  for (int i = 0; i < count; ++i) {
    append(journal, {entry(EntryKind::Event, "tick", std::to_string(i))});
  }
}

// Changes the file behind the journal's back.
void tamper(const std::string& path, const char* sql) {
  auto database = Database::open(path, SQLITE_OPEN_READWRITE, "");
  ASSERT_TRUE(database);
  const auto done = database->run(sql);
  ASSERT_TRUE(done) << done.error().message;
}

class SqliteJournalTest : public ::testing::Test {
 protected:
  test::TempFolder folder_;
  OpenOptions options_{.path = folder_ / "journal.db", .reserve_bytes = 1 << 16};
  const base::Secret key_{std::string(32, 'k')};
};

TEST_F(SqliteJournalTest, GivesBackWhatWasAppended) {
  Entry full = entry(EntryKind::Command, "restart", std::string("a\0b\xff", 4));
  full.incident = 7;
  full.recovery = ~0ULL;
  full.wall_ns = -5;
  full.at = kNever;
  {
    auto journal = open(options_);
    append(*journal, {full, entry(EntryKind::Notice, "service:degraded")}, Durability::PowerLoss);
    EXPECT_EQ(journal->last_sequence(), 2U);
  }
  auto journal = open(options_);
  std::vector<StoredEntry> seen;
  ASSERT_TRUE(journal->replay(1, [&](const StoredEntry& stored) {
    seen.push_back(stored);
    return true;
  }));
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_EQ(seen[0].sequence, 1U);
  EXPECT_EQ(seen[0].entry.kind, EntryKind::Command);
  EXPECT_EQ(seen[0].entry.body, full.body);
  EXPECT_EQ(seen[0].entry.incident, 7U);
  EXPECT_EQ(seen[0].entry.recovery, ~0ULL);
  EXPECT_EQ(seen[0].entry.wall_ns, -5);
  EXPECT_EQ(seen[0].entry.at, kNever);
  EXPECT_EQ(seen[1].entry.type, "service:degraded");
  EXPECT_EQ(seen[1].entry.service, "web");
  EXPECT_EQ(journal->append({}, Durability::PowerLoss).value(), 2U);
}

// A commit syncs only what it writes itself.
TEST_F(SqliteJournalTest, NoEntriesForThePowerLossStillWriteSomething) {
  auto journal = open(options_);
  append_many(*journal, 3);
  const auto before = std::filesystem::file_size(options_.path + "-wal");
  for (int again = 1; again <= 2; ++again) {
    EXPECT_EQ(journal->append({}, Durability::PowerLoss).value(), 3U);
    EXPECT_GT(std::filesystem::file_size(options_.path + "-wal"), before) << again;
  }
  EXPECT_EQ(journal->verify().value().broken_at, 0U);
}

TEST_F(SqliteJournalTest, ReplayStopsWhenToldAndStartsWhereTold) {
  auto journal = open(options_);
  append_many(*journal, 10);
  std::vector<std::uint64_t> seen;
  ASSERT_TRUE(journal->replay(4, [&](const StoredEntry& stored) {
    seen.push_back(stored.sequence);
    return seen.size() < 3;
  }));
  EXPECT_EQ(seen, (std::vector<std::uint64_t>{4, 5, 6}));
}

TEST_F(SqliteJournalTest, FindsByEveryFilterNewestFirstInOrder) {
  auto journal = open(options_);
  append_many(*journal, 5);
  Entry special = entry(EntryKind::Notice, "recovery:action");
  special.service = "db";
  special.recovery = 3;
  special.incident = 4;
  special.wall_ns = 9'000;
  append(*journal, {special});
  append_many(*journal, 5);
  const auto only = [&](const ports::Filter& filter) {
    const auto found = journal->find(filter).value();
    return found.size() == 1 && found[0].sequence == 6;
  };
  EXPECT_TRUE(only({.type = "recovery:"}));
  EXPECT_TRUE(only({.service = "db"}));
  EXPECT_TRUE(only({.recovery = 3}));
  EXPECT_TRUE(only({.incident = 4}));
  EXPECT_TRUE(only({.kind = EntryKind::Notice}));
  EXPECT_TRUE(only({.since_wall_ns = 5'000}));
  const auto newest = journal->find({.after = 2, .limit = 3}).value();
  ASSERT_EQ(newest.size(), 3U);
  EXPECT_EQ(newest[0].sequence, 9U);
  EXPECT_EQ(newest[2].sequence, 11U);
}

TEST_F(SqliteJournalTest, LatestOfAKind) {
  auto journal = open(options_);
  EXPECT_FALSE(journal->latest(EntryKind::Snapshot).value());
  append(*journal, {entry(EntryKind::Snapshot, "a"), entry(EntryKind::Policy, "b"),
                    entry(EntryKind::Snapshot, "c"), entry(EntryKind::Event, "d")});
  EXPECT_EQ(journal->latest(EntryKind::Snapshot).value()->sequence, 3U);
  EXPECT_EQ(journal->latest(EntryKind::Policy).value()->sequence, 2U);
  EXPECT_EQ(journal->latest(EntryKind::Event).value()->sequence, 4U);
}

TEST_F(SqliteJournalTest, RefusesWhatIsTooLarge) {
  auto journal = open(options_);
  const std::vector<Entry> large = {entry(EntryKind::Event, std::string(kNameBytesMax + 1, 'x'))};
  const auto done = journal->append(large, Durability::ProcessCrash);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().fault, JournalFault::Invalid);
  append_many(*journal, 1);
}

// Each column of each row, a row taken out, one put in, two exchanged: all are named.
struct Change {
  const char* sql;
  std::uint64_t broken_at;
};
class Tampering : public SqliteJournalTest, public ::testing::WithParamInterface<Change> {};

TEST_P(Tampering, IsFound) {
  {
    auto journal = open(options_);
    append_many(*journal, 20);
    ASSERT_EQ(journal->verify().value().broken_at, 0U);
    ASSERT_EQ(journal->verify().value().entries, 20U);
  }
  tamper(options_.path, GetParam().sql);
  OpenOptions look = options_;
  look.read_only = true;
  auto journal = SqliteJournal::open(look);
  if (!journal) {
    EXPECT_EQ(journal.error().fault, JournalFault::Corrupt);
    EXPECT_GE(GetParam().broken_at, 20U) << "only a change at the end is seen that early";
    return;
  }
  const auto verdict = (*journal)->verify().value();
  EXPECT_EQ(verdict.broken_at, GetParam().broken_at) << verdict.message;
  EXPECT_NE(verdict.message, "");
}

INSTANTIATE_TEST_SUITE_P(
    Changes, Tampering,
    ::testing::Values(Change{"UPDATE entries SET body = x'00' WHERE seq = 7", 7},
                      Change{"UPDATE entries SET kind = 1 WHERE seq = 7", 7},
                      Change{"UPDATE entries SET kind = 256 WHERE seq = 7", 7},
                      Change{"UPDATE entries SET sealed = 1 WHERE seq = 7", 7},
                      Change{"UPDATE entries SET sealed = 2 WHERE seq = 7", 7},
                      Change{"UPDATE entries SET wall_ns = wall_ns + 1 WHERE seq = 7", 7},
                      Change{"UPDATE entries SET at_ns = at_ns + 1 WHERE seq = 7", 7},
                      Change{"UPDATE entries SET type = type || ' ' WHERE seq = 7", 7},
                      Change{"UPDATE entries SET service = '' WHERE seq = 7", 7},
                      Change{"UPDATE entries SET type = 'tic', service = 'kweb' WHERE seq = 7", 7},
                      Change{"UPDATE entries SET incident = 1 WHERE seq = 7", 7},
                      Change{"UPDATE entries SET recovery = 1 WHERE seq = 7", 7},
                      Change{"UPDATE entries SET hash = zeroblob(32) WHERE seq = 7", 7},
                      Change{"DELETE FROM entries WHERE seq = 7", 7},
                      Change{"DELETE FROM entries WHERE seq = 1", 1},
                      Change{"UPDATE entries SET seq = 100 WHERE seq = 7", 20},
                      Change{"UPDATE entries SET seq = -1 WHERE seq = 7", 1},
                      Change{"UPDATE anchor SET seq = 1", 2},
                      Change{"UPDATE head SET seq = 19", 20},
                      Change{"DELETE FROM entries WHERE seq > 18", 20},
                      // The head moved along with it: only journal.head still knows.
                      Change{"DELETE FROM entries WHERE seq > 18; UPDATE head SET seq = 18, hash = "
                             "(SELECT hash FROM entries WHERE seq = 18)",
                             20}));

TEST_F(SqliteJournalTest, ACutTailIsRecordedByTheNextWriter) {
  {
    auto journal = open(options_);
    append_many(*journal, 20);
  }
  tamper(options_.path,
         "DELETE FROM entries WHERE seq > 18; UPDATE head SET seq = 18, hash = "
         "(SELECT hash FROM entries WHERE seq = 18)");
  {
    auto journal = open(options_);
    const auto found = journal->find({.type = "journal:tampered"}).value();
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].sequence, 19U);
  }
  auto journal = open(options_);
  EXPECT_EQ(journal->last_sequence(), 19U) << "told once";
}

TEST_F(SqliteJournalTest, ASignedHeadCannotBeReplaced) {
  options_.key = key_;
  {
    auto journal = open(options_);
    append_many(*journal, 3);
  }
  std::ofstream(folder_ / "journal.head")
      << "recoverd journal head 1\nseq 0\nhash " << std::string(64, '0') << "\nmac -\n";
  options_.read_only = true;
  auto journal = open(options_);
  EXPECT_NE(journal->verify().value().message.find("signature"), std::string::npos);
}

TEST_F(SqliteJournalTest, BodiesAreSealedAndVerifiableWithoutTheKey) {
  options_.key = key_;
  {
    auto journal = open(options_);
    append(*journal, {entry(EntryKind::Event, "secret", "canary-in-the-body")});
  }
  for (const auto& file : std::filesystem::directory_iterator(folder_.path())) {
    std::ifstream in(file.path(), std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(in)), {});
    EXPECT_EQ(bytes.find("canary"), std::string::npos) << file.path();
  }
  {
    auto journal = open(options_);
    EXPECT_EQ(journal->find({}).value().at(0).entry.body, "canary-in-the-body");
  }
  auto other = options_;
  other.key = base::Secret(std::string(32, 'x'));
  EXPECT_EQ(SqliteJournal::open(other).error().fault, JournalFault::WrongKey);
  other.key = base::Secret("short");
  EXPECT_EQ(SqliteJournal::open(other).error().fault, JournalFault::WrongKey);
  other.key = {};
  EXPECT_EQ(SqliteJournal::open(other).error().fault, JournalFault::WrongKey);
  other.read_only = true;
  auto look = open(other);
  EXPECT_EQ(look->verify().value().broken_at, 0U);
  EXPECT_EQ(look->find({}).error().fault, JournalFault::WrongKey);
}

TEST_F(SqliteJournalTest, ASealedBodyCannotMoveToAnotherRow) {
  const auto cipher = Cipher::from(key_).value();
  const std::string sealed = cipher.seal(1, EntryKind::Event, "text").value();
  EXPECT_EQ(cipher.open(1, EntryKind::Event, sealed).value(), "text");
  EXPECT_FALSE(cipher.open(2, EntryKind::Event, sealed));
  EXPECT_FALSE(cipher.open(1, EntryKind::Notice, sealed));
  EXPECT_FALSE(cipher.open(1, EntryKind::Event, sealed.substr(1)));
  EXPECT_FALSE(cipher.open(1, EntryKind::Event, ""));
  EXPECT_EQ(cipher.open(1, EntryKind::Event, cipher.seal(1, EntryKind::Event, "").value()).value(),
            "");
  EXPECT_NE(cipher.seal(1, EntryKind::Event, "text").value(), sealed) << "a nonce is never reused";
}

TEST_F(SqliteJournalTest, PruningKeepsTheChainAndWhatReplayNeeds) {
  auto journal = open(options_);
  append_many(*journal, 50);
  EXPECT_EQ(journal->prune({.keep_entries = 10}).value(), 0U) << "no snapshot, nothing may go";
  append(*journal, {entry(EntryKind::Policy, "policy"), entry(EntryKind::Snapshot, "snapshot")});
  append_many(*journal, 5);
  EXPECT_EQ(journal->prune({}).value(), 0U) << "no limit given";
  EXPECT_EQ(journal->prune({.keep_after_wall_ns = 1'000}).value(), 0U);
  EXPECT_EQ(journal->prune({.keep_after_wall_ns = 1'001, .keep_entries = 47}).value(), 10U);
  EXPECT_EQ(journal->prune({.keep_entries = 1}).value(), 40U);
  EXPECT_EQ(journal->prune({.keep_entries = 1}).value(), 0U);
  const auto verdict = journal->verify().value();
  EXPECT_EQ(verdict.broken_at, 0U) << verdict.message;
  EXPECT_EQ(verdict.entries, 7U);
  EXPECT_EQ(journal->latest(EntryKind::Policy).value()->sequence, 51U);
  append_many(*journal, 1);
  journal.reset();
  journal = open(options_);
  EXPECT_EQ(journal->last_sequence(), 58U);
  EXPECT_EQ(journal->verify().value().broken_at, 0U);
}

TEST_F(SqliteJournalTest, ACorruptFileIsMovedAsideAndSaysSo) {
  {
    auto journal = open(options_);
    append_many(*journal, 3);
  }
  std::ofstream(options_.path, std::ios::binary) << std::string(8'192, 'x');
  EXPECT_EQ(SqliteJournal::open(options_).error().fault, JournalFault::Corrupt);
  for (int round = 1; round <= 2; ++round) {
    auto salvaged = open_or_salvage(options_);
    ASSERT_TRUE(salvaged) << salvaged.error().message;
    EXPECT_EQ(salvaged->moved_to, folder_ / ("journal.corrupt-" + std::to_string(round) + ".db"));
    EXPECT_EQ(salvaged->journal->find({}).value().at(0).entry.type, "journal:salvaged");
    EXPECT_EQ(salvaged->journal->verify().value().broken_at, 0U);
    salvaged->journal.reset();
    std::ofstream(options_.path, std::ios::binary) << std::string(8'192, 'x');
  }
}

TEST_F(SqliteJournalTest, AWholeJournalIsNotSalvaged) {
  { append_many(*open(options_), 3); }
  auto opened = open_or_salvage(options_);
  ASSERT_TRUE(opened);
  EXPECT_EQ(opened->moved_to, "");
  EXPECT_EQ(opened->journal->last_sequence(), 3U);
}

TEST_F(SqliteJournalTest, ALaterFormatIsLeftAlone) {
  { append_many(*open(options_), 1); }
  tamper(options_.path, "PRAGMA user_version = 99");
  EXPECT_EQ(SqliteJournal::open(options_).error().fault, JournalFault::Version);
  EXPECT_EQ(open_or_salvage(options_).error().fault, JournalFault::Version);
}

TEST_F(SqliteJournalTest, AReaderVerifiesBesideTheWriter) {
  options_.head_every = 4;
  auto writer = open(options_);
  append_many(*writer, 10);
  auto look = options_;
  look.read_only = true;
  auto reader = open(look);
  EXPECT_EQ(reader->verify().value().entries, 10U);
  append_many(*writer, 10);
  EXPECT_EQ(reader->verify().value().entries, 20U);
  EXPECT_EQ(reader->verify().value().broken_at, 0U);
}

TEST_F(SqliteJournalTest, ReadingWhatIsNotThereIsAnError) {
  options_.read_only = true;
  EXPECT_FALSE(SqliteJournal::open(options_));
}

TEST_F(SqliteJournalTest, FilesAreForTheOwnerOnly) {
  auto journal = open(options_);
  append_many(*journal, 1);
  for (const auto& file : std::filesystem::directory_iterator(folder_.path())) {
    const auto others = std::filesystem::perms::group_all | std::filesystem::perms::others_all;
    EXPECT_EQ(file.status().permissions() & others, std::filesystem::perms::none) << file.path();
  }
}

// What SQLite says it would do, a step a line.
std::string plan_of(const std::string& path, const std::string& query) {
  auto database = Database::open(path, SQLITE_OPEN_READONLY, "");
  if (!database) return "cannot open";
  auto steps = database->prepare("EXPLAIN QUERY PLAN " + query);
  if (!steps) return steps.error().message;
  std::string plan;
  while (steps->step() == SQLITE_ROW) plan += std::string(steps->text(3)) + "\n";
  return plan;
}

TEST_F(SqliteJournalTest, NoQuestionAboutNoticesScansTheJournal) {
  auto journal = open(options_);
  append(*journal, {entry(EntryKind::Notice, "service:degraded")});
  using ports::Filter;
  const std::optional<EntryKind> notices = EntryKind::Notice;
  const std::vector<std::pair<Filter, std::string>> cases = {
      {{.kind = notices, .recovery = 7}, "entries_by_recovery"},
      {{.kind = notices, .incident = 7}, "entries_by_incident"},
      {{.kind = notices, .service = "web", .incident = 7}, "entries_by_incident"},
      {{.kind = notices, .service = "web"}, "notices_by_service"},
      {{.since_wall_ns = 5, .kind = notices, .service = "web"}, "notices_by_service"},
      {{.since_wall_ns = 5, .kind = notices}, "notices_by_time"},
      {{.kind = notices, .type = "service:", .service = "web"}, "notices_by_service"},
      {{.recovery = 7}, "entries_by_recovery"},
      {{.after = 9, .kind = notices, .service = "web", .oldest = true}, "notices_by_service"}};
  for (const auto& [filter, index] : cases) {
    const std::string plan = plan_of(options_.path, search_query(filter, false));
    EXPECT_NE(plan.find(index), std::string::npos) << plan;
    EXPECT_EQ(plan.find("SCAN entries\n"), std::string::npos) << plan;
    EXPECT_EQ(plan.find("TEMP B-TREE"), std::string::npos) << plan;
  }
  const Filter typed{.since_wall_ns = 5, .kind = notices, .type = "service:degraded"};
  ASSERT_TRUE(searches_by_type(typed));
  const std::string plan = plan_of(options_.path, search_query(typed, true));
  EXPECT_NE(plan.find("notices_by_type"), std::string::npos) << plan;
  const std::string types = plan_of(options_.path, types_query());
  EXPECT_EQ(types.find("SCAN entries\n"), std::string::npos) << types;
}

TEST_F(SqliteJournalTest, TypesThatBeginAlikeAreFoundTogetherInOrder) {
  auto journal = open(options_);
  for (int round = 0; round < 3; ++round) {
    append(*journal,
           {entry(EntryKind::Notice, "service:degraded"),
            entry(EntryKind::Event, "service:nothing"), entry(EntryKind::Notice, "recovery:action"),
            entry(EntryKind::Notice, "service:recovered")});
  }
  const auto sequences = [&](ports::Filter filter) {
    filter.kind = EntryKind::Notice;
    std::vector<std::uint64_t> found;
    const std::vector<StoredEntry> rows = journal->find(filter).value();
    for (const StoredEntry& stored : rows) found.push_back(stored.sequence);
    return found;
  };
  using Sequences = std::vector<std::uint64_t>;
  EXPECT_EQ(sequences({.type = "service:"}), (Sequences{1, 4, 5, 8, 9, 12}));
  EXPECT_EQ(sequences({.type = "service:", .limit = 3}), (Sequences{8, 9, 12}));
  EXPECT_EQ(sequences({.type = "service:", .limit = 3, .oldest = true}), (Sequences{1, 4, 5}));
  EXPECT_EQ(sequences({.after = 4, .type = "serv", .limit = 2, .oldest = true}), (Sequences{5, 8}));
  EXPECT_EQ(sequences({.type = "none"}), Sequences{});
  EXPECT_EQ(sequences({.since_wall_ns = 1'001}), Sequences{});
  EXPECT_EQ(sequences({.since_wall_ns = 1'000, .limit = 2}), (Sequences{11, 12}));
}

TEST_F(SqliteJournalTest, OlderFileGetsTheIndexesOfToday) {
  {
    auto journal = open(options_);
    append(*journal, {entry(EntryKind::Notice, "service:degraded")});
  }
  tamper(options_.path,
         "DROP INDEX notices_by_service; DROP INDEX notices_by_type; DROP INDEX notices_by_time;"
         "PRAGMA user_version = 1;");
  auto journal = open(options_);
  ASSERT_NE(journal, nullptr);
  const ports::Filter filter{.kind = EntryKind::Notice, .service = "web"};
  EXPECT_EQ(journal->find(filter).value().size(), 1U);
  const std::string plan = plan_of(options_.path, search_query(filter, false));
  EXPECT_NE(plan.find("notices_by_service"), std::string::npos) << plan;
  EXPECT_EQ(journal->verify().value().broken_at, 0U);
}

}  // namespace
}  // namespace recover::journal
