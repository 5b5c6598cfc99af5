#include "journal/database.h"

#include <cerrno>
#include <system_error>

#include <recover/check.h>

namespace recover::journal {
namespace {

using ports::JournalError;
using ports::JournalFault;

// How long a writer waits for a reader in another process to let go.
constexpr int kBusyMilliseconds = 2'000;

JournalFault fault_of(int code, int system_error) {
  switch (code & 0xff) {
    case SQLITE_FULL: return JournalFault::Full;
    case SQLITE_READONLY: return JournalFault::ReadOnly;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return JournalFault::Corrupt;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return JournalFault::Locked;
    default: break;
  }
  if (system_error == ENOSPC || system_error == EDQUOT) return JournalFault::Full;
  if (system_error == EROFS) return JournalFault::ReadOnly;
  return JournalFault::Io;
}

}  // namespace

void Statement::bind(int position, std::int64_t value) {
  RECOVER_CHECK(sqlite3_bind_int64(statement_.get(), position, value) == SQLITE_OK);
}

void Statement::bind_text(int position, std::string_view text) {
  const char* const data = text.empty() ? "" : text.data();
  RECOVER_CHECK(sqlite3_bind_text64(statement_.get(), position, data, text.size(), SQLITE_STATIC,
                                    SQLITE_UTF8) == SQLITE_OK);
}

void Statement::bind_blob(int position, std::string_view bytes) {
  const char* const data = bytes.empty() ? "" : bytes.data();
  RECOVER_CHECK(sqlite3_bind_blob64(statement_.get(), position, data, bytes.size(),
                                    SQLITE_STATIC) == SQLITE_OK);
}

void Statement::reset() {
  // Repeats the error of the last step(), which the caller has seen.
  (void)sqlite3_reset(statement_.get());
  (void)sqlite3_clear_bindings(statement_.get());
}

std::int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

std::string_view Statement::text(int column) const {
  const auto* data = sqlite3_column_text(statement_.get(), column);
  if (data == nullptr) return {};
  return {reinterpret_cast<const char*>(data),
          static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column))};
}

std::string_view Statement::blob(int column) const {
  const void* data = sqlite3_column_blob(statement_.get(), column);
  if (data == nullptr) return {};
  return {static_cast<const char*>(data),
          static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column))};
}

Result<Database, JournalError> Database::open(const std::string& path, int flags,
                                              const std::string& vfs) {
  Database database;
  database.path_ = path;
  sqlite3* connection = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &connection, flags | SQLITE_OPEN_EXRESCODE,
                                   vfs.empty() ? nullptr : vfs.c_str());
  database.connection_.reset(connection);
  if (code != SQLITE_OK) return Unexpected(database.error(code, "open"));
  sqlite3_busy_timeout(connection, kBusyMilliseconds);
  return database;
}

Result<void, JournalError> Database::run(const char* sql) const {
  const int code = sqlite3_exec(get(), sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return Unexpected(error(code, sql));
  return {};
}

Result<Statement, JournalError> Database::prepare(const std::string& sql) const {
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v3(get(), sql.c_str(), static_cast<int>(sql.size()) + 1,
                                      SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (code != SQLITE_OK) return Unexpected(error(code, sql));
  return Statement(statement);
}

Result<std::int64_t, JournalError> Database::integer(const std::string& sql) const {
  auto statement = prepare(sql);
  if (!statement) return Unexpected(std::move(statement).error());
  const int code = statement->step();
  if (code != SQLITE_ROW) return Unexpected(error(code, sql));
  return statement->integer(0);
}

JournalError Database::error(int code, std::string_view doing) const {
  // SQLite keeps the errno of its last failed call; it means something only for these codes.
  const bool of_system = (code & 0xff) == SQLITE_IOERR || (code & 0xff) == SQLITE_CANTOPEN ||
                         (code & 0xff) == SQLITE_FULL;
  const int system_error = connection_ && of_system ? sqlite3_system_errno(get()) : 0;
  std::string message = "journal " + path_ + ": " + std::string(doing.substr(0, 60)) + ": " +
                        sqlite3_errstr(code) + " (" + std::to_string(code) + ")";
  if (connection_ && sqlite3_extended_errcode(get()) == code) {
    message += std::string(": ") + sqlite3_errmsg(get());
  }
  if (system_error != 0) message += ": " + std::generic_category().message(system_error);
  return {.message = std::move(message), .fault = fault_of(code, system_error)};
}

}  // namespace recover::journal
