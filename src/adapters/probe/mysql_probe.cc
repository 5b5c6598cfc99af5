// MySQL and MariaDB: handshake, authentication, COM_PING, and the probe's query where there is one.
//
// The client library blocks, so a look is the pool's; its own limits end it soon after ours.
#include <mariadb/errmsg.h>
#include <mariadb/mysql.h>
#include <mariadb/mysqld_error.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "adapters/probe/runners.h"
#include "base/redact.h"

namespace recover::adapters::probe {
namespace {

using core::FailureClass;
using core::Symptom;

constexpr unsigned kLimitSeconds = 10;  // Of a connect, a read and a write.

using Connection = std::unique_ptr<MYSQL, void (*)(MYSQL*)>;

Finding of_error(unsigned code, std::string text) {
  const auto find = [&](Symptom symptom, FailureClass failure) {
    return failed(symptom, failure, std::move(text));
  };
  switch (code) {
    case ER_ACCESS_DENIED_ERROR:
      return find(Symptom::AuthenticationFailed, FailureClass::Authentication);
    case ER_HOST_NOT_PRIVILEGED:
    case ER_DBACCESS_DENIED_ERROR:
    case ER_TABLEACCESS_DENIED_ERROR:
      return find(Symptom::PermissionDenied, FailureClass::Permission);
    case ER_CON_COUNT_ERROR:
    case ER_TOO_MANY_USER_CONNECTIONS:
      return find(Symptom::ProbeFailed, FailureClass::ResourceExhaustion);
    case ER_SERVER_SHUTDOWN:
      return find(Symptom::ServiceUnresponsive, FailureClass::SystemUnavailable);
    case CR_CONNECTION_ERROR:
    case CR_CONN_HOST_ERROR:
    case CR_UNKNOWN_HOST:
    case CR_SERVER_GONE_ERROR:
    case CR_SERVER_LOST: return find(Symptom::ConnectionRefused, FailureClass::Connection);
    case CR_OUT_OF_MEMORY: return not_done(std::move(text));
    default: return wrong(std::move(text));
  }
}

// What went wrong last on this connection.
Finding error_of(MYSQL* connection) {
  return of_error(::mysql_errno(connection), ::mysql_error(connection));
}

Finding ask(const core::MysqlProbe& probe, MYSQL* connection) {
  if (::mysql_ping(connection) != 0) return error_of(connection);
  if (probe.query.empty()) return passed(::mysql_get_server_info(connection));
  if (::mysql_query(connection, probe.query.c_str()) != 0) return error_of(connection);
  // The rows are read, as a query may fail while it goes on.
  if (MYSQL_RES* const rows = ::mysql_use_result(connection)) {
    while (::mysql_fetch_row(rows) != nullptr) {
    }
    ::mysql_free_result(rows);
  }
  if (::mysql_errno(connection) != 0) return error_of(connection);
  return passed(::mysql_get_server_info(connection));
}

Finding look_at(const core::MysqlProbe& probe) {
  static const bool ready = ::mysql_library_init(0, nullptr, nullptr) == 0;  // Once, in one thread.
  if (!ready) return not_done("the client library cannot be used");
  const Connection connection(::mysql_init(nullptr), &::mysql_close);
  if (!connection) return not_done("out of memory");
  MYSQL* const raw = connection.get();
  for (const auto option :
       {MYSQL_OPT_CONNECT_TIMEOUT, MYSQL_OPT_READ_TIMEOUT, MYSQL_OPT_WRITE_TIMEOUT}) {
    ::mysql_options(raw, option, &kLimitSeconds);
  }
  const bool local = !probe.socket.empty();
  const bool connected =
      ::mysql_real_connect(raw, local ? nullptr : probe.host.c_str(), probe.user.c_str(),
                           probe.password.reveal().c_str(),
                           probe.database.empty() ? nullptr : probe.database.c_str(),
                           local ? 0U : probe.port, local ? probe.socket.c_str() : nullptr,
                           0) != nullptr;
  Finding finding = connected ? ask(probe, raw) : error_of(raw);
  const std::vector<std::string> secrets = {probe.password.reveal()};
  finding.detail = base::redacted(std::move(finding.detail), secrets);
  return finding;
}

}  // namespace

std::unique_ptr<ProbeRunner> make_mysql(const core::MysqlProbe& probe, const Tools& tools) {
  const std::string where =
      probe.socket.empty() ? probe.host + ":" + std::to_string(probe.port) : probe.socket;
  return make_blocking([probe] { return look_at(probe); }, where, tools,
                       [where] { return silent(where + ": no answer in time"); });
}

}  // namespace recover::adapters::probe
