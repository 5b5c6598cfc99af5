// libmariadb, loaded for the first MySQL probe: it brings OpenSSL's shared libraries, two MiB that
// a recoverd without MySQL never needs.
//
// Defines the functions of libmariadb we call, each handing on to the real one; the rooms that talk
// to MySQL include <mariadb/mysql.h> and link this in place of -lmariadb. Without the library
// mysql_library_init() fails and nothing else is called. Thread-safe as libmariadb is.
#include <dlfcn.h>
#include <mariadb/mysql.h>

namespace {

void* mariadb_library() {
  static void* const handle = dlopen("libmariadb.so.3", RTLD_NOW | RTLD_LOCAL);  // Never closed.
  return handle;
}

template <class Function>
Function* real_mariadb(const char* name) {
  void* const library = mariadb_library();
  return library == nullptr ? nullptr : reinterpret_cast<Function*>(dlsym(library, name));
}

}  // namespace

// What the function does when it cannot be found: nothing.
// NOLINTBEGIN(cppcoreguidelines-macro-usage,readability-identifier-naming)
#define RECOVER_MARIADB(result, name, parameters, arguments, otherwise)   \
  extern "C" result STDCALL name parameters {                             \
    static auto* const function = real_mariadb<result parameters>(#name); \
    if (function == nullptr) return otherwise;                            \
    return function arguments;                                            \
  }
#define RECOVER_MARIADB_NOTHING

RECOVER_MARIADB(int, mysql_server_init, (int count, char** words, char** groups),
                (count, words, groups), 1)
RECOVER_MARIADB(MYSQL*, mysql_init, (MYSQL * connection), (connection), nullptr)
RECOVER_MARIADB(void, mysql_close, (MYSQL * connection), (connection), RECOVER_MARIADB_NOTHING)
RECOVER_MARIADB(unsigned int, mysql_errno, (MYSQL * connection), (connection), 0)
RECOVER_MARIADB(const char*, mysql_error, (MYSQL * connection), (connection), "")
RECOVER_MARIADB(int, mysql_ping, (MYSQL * connection), (connection), 1)
RECOVER_MARIADB(char*, mysql_get_server_info, (MYSQL * connection), (connection), nullptr)
RECOVER_MARIADB(int, mysql_query, (MYSQL * connection, const char* query), (connection, query), 1)
RECOVER_MARIADB(MYSQL_RES*, mysql_use_result, (MYSQL * connection), (connection), nullptr)
RECOVER_MARIADB(MYSQL_ROW, mysql_fetch_row, (MYSQL_RES * rows), (rows), nullptr)
RECOVER_MARIADB(void, mysql_free_result, (MYSQL_RES * rows), (rows), RECOVER_MARIADB_NOTHING)
RECOVER_MARIADB(MYSQL*, mysql_real_connect,
                (MYSQL * connection, const char* host, const char* user, const char* password,
                 const char* database, unsigned int port, const char* socket, unsigned long flags),
                (connection, host, user, password, database, port, socket, flags), nullptr)

RECOVER_MARIADB(int, mysql_options,
                (MYSQL * connection, enum mysql_option option, const void* value),
                (connection, option, value), 1)
// NOLINTEND(cppcoreguidelines-macro-usage,readability-identifier-naming)
