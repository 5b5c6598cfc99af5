#include "adapters/probe/runner.h"

#include <cerrno>
#include <system_error>

namespace recover::adapters::probe {

using core::FailureClass;
using core::Symptom;

Finding of_errno(int error, const std::string& where) {
  const std::string detail = where + ": " + std::generic_category().message(error);
  switch (error) {
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
    case EAGAIN:
    case EADDRNOTAVAIL: return not_done(detail);
    // Asio's name for a connect that found no socket to try with; abandoned looks do not ask.
    case ECANCELED: return not_done(where + ": no socket can be opened");
    case ETIMEDOUT: return silent(detail);
    case EACCES:
    case EPERM: return failed(Symptom::PermissionDenied, FailureClass::Permission, detail);
    case ENOENT:
    case ECONNREFUSED:
    case ECONNRESET:
    case ECONNABORTED:
    case EPIPE:
    case ENETUNREACH:
    case EHOSTUNREACH: return failed(Symptom::ConnectionRefused, FailureClass::Connection, detail);
    default: return failed(Symptom::ProbeFailed, FailureClass::Connection, detail);
  }
}

}  // namespace recover::adapters::probe
