// SQLite as values: a connection and its prepared statements that close themselves, and errors with
// the path and the system's reason. Knows nothing of journals.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <recover/result.h>

#include "ports/journal.h"

namespace recover::journal {

// A prepared statement. Bound text is not copied: it must live until reset(). One thread.
class Statement {
 public:
  Statement() = default;
  explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}

  void bind(int position, std::int64_t value);
  void bind_text(int position, std::string_view text);
  void bind_blob(int position, std::string_view bytes);

  // SQLITE_ROW, SQLITE_DONE or an error code.
  int step() { return sqlite3_step(statement_.get()); }
  // Back to before the first row; forgets what was bound.
  void reset();

  std::int64_t integer(int column) const;
  // Lives until the next step() or reset().
  std::string_view text(int column) const;
  std::string_view blob(int column) const;

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

// One connection. One thread.
class Database {
 public:
  // `flags` as of sqlite3_open_v2; `vfs` empty: the system's.
  static Result<Database, ports::JournalError> open(const std::string& path, int flags,
                                                    const std::string& vfs);

  // One or more statements without rows of interest.
  Result<void, ports::JournalError> run(const char* sql) const;
  Result<Statement, ports::JournalError> prepare(const std::string& sql) const;
  // The one integer a query or PRAGMA gives.
  Result<std::int64_t, ports::JournalError> integer(const std::string& sql) const;

  // The last error of the connection as a value. `code` is what the failed call returned.
  ports::JournalError error(int code, std::string_view doing) const;
  sqlite3* get() const { return connection_.get(); }

 private:
  struct Close {
    void operator()(sqlite3* connection) const { sqlite3_close_v2(connection); }
  };
  std::string path_;
  std::unique_ptr<sqlite3, Close> connection_;
};

}  // namespace recover::journal
