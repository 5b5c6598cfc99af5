#include "apps/recoverd_backup/sources/sqlite_source.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "backup/local/file.h"

namespace recover::apps {
namespace {

using backup::FailureKind;
using backup::Outcome;

constexpr int kBusyMilliseconds = 60'000;  // A writer is waited for.
constexpr int kPagesAtATime = 1024;
constexpr std::size_t kAnswerRowsMax = 1000;

struct CloseDatabase {
  void operator()(sqlite3* database) const { ::sqlite3_close_v2(database); }
};
struct FinishBackup {
  void operator()(sqlite3_backup* backup) const { ::sqlite3_backup_finish(backup); }
};
using Database = std::unique_ptr<sqlite3, CloseDatabase>;

Unexpected<backup::Failure> sqlite_failure(const std::string& path, int code,
                                           const std::string& text) {
  const FailureKind kind = code == SQLITE_FULL                               ? FailureKind::Full
                           : code == SQLITE_CORRUPT || code == SQLITE_NOTADB ? FailureKind::Damaged
                           : code == SQLITE_CANTOPEN                         ? FailureKind::NotFound
                                                                             : FailureKind::Io;
  return backup::fail(kind, path + ": " + text);
}

Unexpected<backup::Failure> sqlite_failure(const std::string& path, sqlite3* database) {
  return sqlite_failure(path, ::sqlite3_errcode(database), ::sqlite3_errmsg(database));
}

Outcome<Database> open_database(const std::string& path, int flags) {
  sqlite3* opened = nullptr;
  const int code = ::sqlite3_open_v2(path.c_str(), &opened, flags | SQLITE_OPEN_NOMUTEX, nullptr);
  Database database(opened);
  if (code != SQLITE_OK) return sqlite_failure(path, database.get());
  ::sqlite3_busy_timeout(database.get(), kBusyMilliseconds);
  return database;
}

// A copy nobody else knows: no lock, no WAL beside it.
Outcome<Database> open_copy(const std::string& path) {
  std::string uri = "file:";
  for (const char c : path) {
    uri += c == '%' ? std::string("%25") : c == '?' ? "%3f" : c == '#' ? "%23" : std::string(1, c);
  }
  return open_database(uri + "?immutable=1", SQLITE_OPEN_READONLY | SQLITE_OPEN_URI);
}

// Rows one a line, columns apart by `|`.
Outcome<std::string> ask(const std::string& path, sqlite3* database, const std::string& sql) {
  sqlite3_stmt* made = nullptr;
  if (::sqlite3_prepare_v2(database, sql.c_str(), -1, &made, nullptr) != SQLITE_OK) {
    return sqlite_failure(path, database);
  }
  const std::unique_ptr<sqlite3_stmt, decltype(&::sqlite3_finalize)> statement(made,
                                                                               &::sqlite3_finalize);
  std::string text;
  int code = SQLITE_ROW;
  for (std::size_t row = 0; row < kAnswerRowsMax; ++row) {
    code = ::sqlite3_step(made);
    if (code != SQLITE_ROW) break;
    if (row > 0) text += '\n';
    for (int column = 0; column < ::sqlite3_column_count(made); ++column) {
      const auto* const value = ::sqlite3_column_text(made, column);
      text += column > 0 ? "|" : "";
      text += value == nullptr ? "" : reinterpret_cast<const char*>(value);
    }
  }
  if (code != SQLITE_DONE && code != SQLITE_ROW) return sqlite_failure(path, database);
  return text;
}

Outcome<void> check_copy(const std::string& path, const std::string& name, const char* pragma) {
  const auto copy = open_copy(path);
  if (!copy) return Unexpected(copy.error());
  const auto verdict = ask(name, copy->get(), pragma);
  if (!verdict) return Unexpected(verdict.error());
  if (*verdict == "ok") return {};
  return backup::fail(FailureKind::Damaged, name + ": " + verdict->substr(0, 1000));
}

// In one read transaction, so that a writer of another process never makes it begin anew. Where
// the database has no WAL, writers wait for it.
Outcome<void> copy_database(const std::string& from, const std::string& to,
                            const std::stop_token& stop) {
  // Writable, if it may be: what a crashed writer left behind must be rolled back to be read.
  auto source = open_database(from, SQLITE_OPEN_READWRITE);
  if (!source || ::sqlite3_db_readonly(source->get(), "main") == 1) {
    source = open_database(from, SQLITE_OPEN_READONLY);
  }
  if (!source) return Unexpected(std::move(source.error()));
  const auto target = open_database(to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
  if (!target) return Unexpected(target.error());
  for (const char* const sql : {"PRAGMA synchronous=OFF", "PRAGMA journal_mode=OFF"}) {
    if (const auto done = ask(to, target->get(), sql); !done) return Unexpected(done.error());
  }
  for (const char* const sql : {"BEGIN", "SELECT count(*) FROM sqlite_master"}) {
    if (const auto done = ask(from, source->get(), sql); !done) return Unexpected(done.error());
  }
  std::unique_ptr<sqlite3_backup, FinishBackup> backup(
      ::sqlite3_backup_init(target->get(), "main", source->get(), "main"));
  if (!backup) return sqlite_failure(to, target->get());
  int code = SQLITE_OK;
  while (code == SQLITE_OK) {
    if (stop.stop_requested()) {
      return backup::fail(FailureKind::Invalid, "the backup was stopped before its end");
    }
    code = ::sqlite3_backup_step(backup.get(), kPagesAtATime);
  }
  if (code == SQLITE_DONE) code = ::sqlite3_backup_finish(backup.release());
  if (code == SQLITE_OK) return {};
  return sqlite_failure(from + " to " + to, code, ::sqlite3_errstr(code));
}

std::string file_name(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

class SqliteDump final : public Dump {
 public:
  // The folder is gone with it.
  SqliteDump(ScratchFolder folder, posix::Descriptor file, std::uint64_t size)
      : folder_(std::move(folder)), file_(std::move(file)), size_(size) {}

  Outcome<std::size_t> read(std::span<std::uint8_t> room) override {
    const ssize_t got = backup::read_up_to(file_.get(), room);
    if (got < 0) return backup::system_failure("reading", folder_.path());
    passed_ += static_cast<std::uint64_t>(got);
    return static_cast<std::size_t>(got);
  }
  Outcome<void> finish() override {
    if (passed_ == size_) return {};
    return backup::fail(FailureKind::Io, folder_.path() + ": the copy changed while it was read");
  }
  std::uint64_t size() const override { return size_; }

 private:
  ScratchFolder folder_;
  posix::Descriptor file_;
  std::uint64_t size_;
  std::uint64_t passed_ = 0;
};

class SqliteFiles final : public Source {
 public:
  SqliteFiles(const core::SqliteSource& source, std::string scratch, std::stop_token stop)
      : source_(source), scratch_(std::move(scratch)), stop_(std::move(stop)) {}

  Outcome<std::vector<DumpFile>> files() override {
    std::vector<DumpFile> files;
    for (const std::string& path : source_.paths) {
      files.push_back(
          {.name = path.substr(path.rfind('/') + 1), .open = [this, path] { return open(path); }});
    }
    return files;
  }

  Outcome<DrillAnswer> drill(const ScratchFolder& folder, const std::vector<std::string>& files,
                             const std::string& query) override {
    DrillAnswer result{.asked = query.empty() ? "how many tables each database has" : query,
                       .answer = {}};
    for (const std::string& name : files) {
      const std::string path = folder / name;
      if (auto sound = check_copy(path, name, "PRAGMA integrity_check"); !sound) {
        return Unexpected(std::move(sound.error()));
      }
      if (!query.empty() && name != file_name(source_.paths.front())) continue;
      const auto database = open_copy(path);
      if (!database) return Unexpected(database.error());
      const auto answer =
          ask(name, database->get(),
              query.empty() ? "SELECT count(*) FROM sqlite_master WHERE type = 'table'" : query);
      if (!answer) return Unexpected(answer.error());
      result.answer +=
          (result.answer.empty() ? "" : ", ") + (query.empty() ? name + ": " + *answer : *answer);
    }
    return result;
  }

 private:
  Outcome<std::unique_ptr<Dump>> open(const std::string& path) const {
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) return backup::system_failure("opening", path);
    auto folder = ScratchFolder::make(scratch_);
    if (!folder) return Unexpected(std::move(folder.error()));
    const std::string copy = *folder / "copy";
    if (auto copied = copy_database(path, copy, stop_); !copied) {
      return Unexpected(std::move(copied.error()));
    }
    if (auto sound = check_copy(copy, path, "PRAGMA quick_check"); !sound) {
      return Unexpected(std::move(sound.error()));
    }
    posix::Descriptor file(::open(copy.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file || ::fstat(file.get(), &info) != 0) return backup::system_failure("opening", copy);
    if (info.st_size == 0) {
      return backup::fail(FailureKind::NotFound, path + ": there is no database in it");
    }
    return std::unique_ptr<Dump>(std::make_unique<SqliteDump>(
        std::move(*folder), std::move(file), static_cast<std::uint64_t>(info.st_size)));
  }

  const core::SqliteSource& source_;
  std::string scratch_;
  std::stop_token stop_;
};

}  // namespace

std::unique_ptr<Source> make_sqlite_source(const core::SqliteSource& source, std::string scratch,
                                           std::stop_token stop) {
  return std::make_unique<SqliteFiles>(source, std::move(scratch), std::move(stop));
}

}  // namespace recover::apps
