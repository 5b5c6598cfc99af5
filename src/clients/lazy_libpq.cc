// libpq, loaded when the first session is opened: it brings two dozen libraries (Kerberos, LDAP,
// TLS), several MiB and milliseconds that a recoverd without PostgreSQL never needs.
//
// Defines the functions of libpq we call, each handing on to the real one; the rooms that talk to
// PostgreSQL include <libpq-fe.h> and link this in place of -lpq. Without the library installed a
// connection cannot be made and says so; nothing else of recoverd minds. Thread-safe as libpq is.
#include <dlfcn.h>
#include <libpq-fe.h>

#include <cstddef>

namespace {

constexpr const char* kLibrary = "libpq.so.5";
constexpr const char* kMissing = "libpq.so.5 is not installed\n";

void* library() {
  static void* const handle = dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);  // Never closed.
  return handle;
}

// Null: the library is not there, or is not libpq.
// Has no keyword, so nothing in it: what a connection string says when nobody can read it.
PQconninfoOption nothing[1] = {};

template <class Function>
Function* real(const char* name) {
  return library() == nullptr ? nullptr : reinterpret_cast<Function*>(dlsym(library(), name));
}

}  // namespace

// What the function does when it cannot be found: for those that open something, nothing; the
// others are then only called with null pointers.
// NOLINTBEGIN(cppcoreguidelines-macro-usage,readability-identifier-naming)
#define RECOVER_LIBPQ(result, name, parameters, arguments, otherwise) \
  extern "C" result name parameters {                                 \
    static auto* const function = real<result parameters>(#name);     \
    if (function == nullptr) return otherwise;                        \
    return function arguments;                                        \
  }
#define RECOVER_NOTHING

RECOVER_LIBPQ(PGconn*, PQconnectStart, (const char* text), (text), nullptr)
RECOVER_LIBPQ(PostgresPollingStatusType, PQconnectPoll, (PGconn * c), (c), PGRES_POLLING_FAILED)
RECOVER_LIBPQ(PQconninfoOption*, PQconninfoParse, (const char* text, char** error), (text, error),
              nothing)
RECOVER_LIBPQ(void, PQconninfoFree, (PQconninfoOption * options), (options), RECOVER_NOTHING)
RECOVER_LIBPQ(void, PQfinish, (PGconn * c), (c), RECOVER_NOTHING)
RECOVER_LIBPQ(ConnStatusType, PQstatus, (const PGconn* c), (c), CONNECTION_BAD)
RECOVER_LIBPQ(char*, PQerrorMessage, (const PGconn* c), (c), const_cast<char*>(kMissing))
RECOVER_LIBPQ(int, PQserverVersion, (const PGconn* c), (c), 0)
RECOVER_LIBPQ(int, PQsocket, (const PGconn* c), (c), -1)
RECOVER_LIBPQ(int, PQconsumeInput, (PGconn * c), (c), 0)
RECOVER_LIBPQ(int, PQisBusy, (PGconn * c), (c), 0)
RECOVER_LIBPQ(int, PQsetnonblocking, (PGconn * c, int on), (c, on), -1)
RECOVER_LIBPQ(int, PQflush, (PGconn * c), (c), -1)
RECOVER_LIBPQ(int, PQsendQuery, (PGconn * c, const char* query), (c, query), 0)
RECOVER_LIBPQ(int, PQsendQueryParams,
              (PGconn * c, const char* query, int count, const Oid* types,
               const char* const* values, const int* lengths, const int* formats, int format),
              (c, query, count, types, values, lengths, formats, format), 0)
RECOVER_LIBPQ(PGresult*, PQgetResult, (PGconn * c), (c), nullptr)
RECOVER_LIBPQ(ExecStatusType, PQresultStatus, (const PGresult* r), (r), PGRES_FATAL_ERROR)
RECOVER_LIBPQ(char*, PQresultErrorMessage, (const PGresult* r), (r), const_cast<char*>(kMissing))
RECOVER_LIBPQ(char*, PQresultErrorField, (const PGresult* r, int field), (r, field), nullptr)
RECOVER_LIBPQ(int, PQntuples, (const PGresult* r), (r), 0)
RECOVER_LIBPQ(int, PQnfields, (const PGresult* r), (r), 0)
RECOVER_LIBPQ(char*, PQgetvalue, (const PGresult* r, int row, int column), (r, row, column),
              const_cast<char*>(""))
RECOVER_LIBPQ(char*, PQcmdStatus, (PGresult * r), (r), const_cast<char*>(""))
RECOVER_LIBPQ(void, PQclear, (PGresult * r), (r), RECOVER_NOTHING)
RECOVER_LIBPQ(PQnoticeProcessor, PQsetNoticeProcessor,
              (PGconn * c, PQnoticeProcessor processor, void* argument), (c, processor, argument),
              nullptr)
// NOLINTEND(cppcoreguidelines-macro-usage,readability-identifier-naming)
