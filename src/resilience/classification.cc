#include <algorithm>
#include <cerrno>
#include <future>
#include <new>

#include <recover/check.h>
#include <recover/classification.h>

namespace recover {
namespace {

using enum ErrorClass;
using enum Persistence;

// One or more errno values of one kind. `delivery` is NotSent only where the value itself says that
// there never was a connection. EHOSTUNREACH and ENETUNREACH are not such: Linux reports a pending
// ICMP error under that name when a connection times out with data in flight.
struct ErrnoRow {
  int number = 0;
  ErrorClass error_class = Unknown;
  Persistence persistence = Transient;
  Delivery delivery = Delivery::Unknown;
};

constexpr ErrnoRow kErrnoRows[] = {
    {ECONNREFUSED, Connection, Transient, Delivery::NotSent},
    {EADDRNOTAVAIL, Connection, Transient, Delivery::NotSent},
    {EADDRINUSE, Connection, Transient, Delivery::NotSent},
    {EAFNOSUPPORT, Connection, Permanent, Delivery::NotSent},
    {EPFNOSUPPORT, Connection, Permanent, Delivery::NotSent},
    {EPROTONOSUPPORT, Connection, Permanent, Delivery::NotSent},
    {ESOCKTNOSUPPORT, Connection, Permanent, Delivery::NotSent},
    {EHOSTUNREACH, Connection, Transient},
    {ENETUNREACH, Connection, Transient},
    {EHOSTDOWN, Connection, Transient},
    {ENETDOWN, Connection, Transient},
    {ENETRESET, Connection, Transient},
    {ENONET, Connection, Transient},
    {ENOLINK, Connection, Transient},
    {ECOMM, Connection, Transient},
    {ECONNRESET, Connection, Transient},
    {ECONNABORTED, Connection, Transient},
    {EPIPE, Connection, Transient},
    {ENOTCONN, Connection, Transient},
    {ESHUTDOWN, Connection, Transient},
    {EPROTO, Connection, Transient},
    {EREMOTEIO, Connection, Transient},
    {ESTALE, Connection, Transient},  // The server forgot the handle: open it anew.
    {ERFKILL, Connection, Permanent},

    {ETIMEDOUT, Timeout, Transient},
    {ETIME, Timeout, Transient},

    {ENOKEY, Authentication, Permanent},
    {EKEYEXPIRED, Authentication, Permanent},
    {EKEYREVOKED, Authentication, Permanent},
    {EKEYREJECTED, Authentication, Permanent},

    {EACCES, Permission, Permanent},
    {EPERM, Permission, Permanent},
    {EROFS, Permission, Permanent},

    {EAGAIN, ResourceExhaustion, Transient},
    {ENOMEM, ResourceExhaustion, Transient},
    {ENOBUFS, ResourceExhaustion, Transient},
    {EMFILE, ResourceExhaustion, Transient},
    {ENFILE, ResourceExhaustion, Transient},
    {ENOSPC, ResourceExhaustion, Transient},
    {EDQUOT, ResourceExhaustion, Transient},
    {ENOLCK, ResourceExhaustion, Transient},
    {ENOSR, ResourceExhaustion, Transient},
    {EUSERS, ResourceExhaustion, Transient},
    {EXFULL, ResourceExhaustion, Transient},
    {EMLINK, ResourceExhaustion, Permanent},
    {EFBIG, ResourceExhaustion, Permanent},
    {E2BIG, ResourceExhaustion, Permanent},
    {ELIBMAX, ResourceExhaustion, Permanent},
    {ETOOMANYREFS, ResourceExhaustion, Transient},

    {EILSEQ, DataIntegrity, Permanent},
    {EBADMSG, DataIntegrity, Permanent},
    {EUCLEAN, DataIntegrity, Permanent},
    {EIO, DataIntegrity, Permanent},
    {EHWPOISON, DataIntegrity, Permanent},
    {EOWNERDEAD, DataIntegrity, Permanent},
    {ENOTRECOVERABLE, DataIntegrity, Permanent},
    {ELIBBAD, DataIntegrity, Permanent},
    {ELIBSCN, DataIntegrity, Permanent},

    {ECANCELED, Unknown, Cancelled},

    {EINTR, Unknown, Transient},
    {EBUSY, Unknown, Transient},
    {ETXTBSY, Unknown, Transient},
    {EDEADLK, Unknown, Transient},
    {EALREADY, Unknown, Transient},
    {EINPROGRESS, Unknown, Transient},
    {ERESTART, Unknown, Transient},
    {ESTRPIPE, Unknown, Transient},

    // Wrong requests and missing things: the same call will fail the same way.
    {ENOENT, Unknown, Permanent},
    {ESRCH, Unknown, Permanent},
    {ENXIO, Unknown, Permanent},
    {ENOEXEC, Unknown, Permanent},
    {EBADF, Unknown, Permanent},
    {ECHILD, Unknown, Permanent},
    {EFAULT, Unknown, Permanent},
    {ENOTBLK, Unknown, Permanent},
    {EEXIST, Unknown, Permanent},
    {EXDEV, Unknown, Permanent},
    {ENODEV, Unknown, Permanent},
    {ENOTDIR, Unknown, Permanent},
    {EISDIR, Unknown, Permanent},
    {EINVAL, Unknown, Permanent},
    {ENOTTY, Unknown, Permanent},
    {ESPIPE, Unknown, Permanent},
    {EDOM, Unknown, Permanent},
    {ERANGE, Unknown, Permanent},
    {ENAMETOOLONG, Unknown, Permanent},
    {ENOSYS, Unknown, Permanent},
    {ENOTEMPTY, Unknown, Permanent},
    {ELOOP, Unknown, Permanent},
    {ENOMSG, Unknown, Permanent},
    {EIDRM, Unknown, Permanent},
    {EOVERFLOW, Unknown, Permanent},
    {ENOTSOCK, Unknown, Permanent},
    {EDESTADDRREQ, Unknown, Permanent},
    {EMSGSIZE, Unknown, Permanent},
    {EPROTOTYPE, Unknown, Permanent},
    {ENOPROTOOPT, Unknown, Permanent},
    {EOPNOTSUPP, Unknown, Permanent},
    {EISCONN, Unknown, Permanent},
    {ENODATA, Unknown, Permanent},
    {ENOMEDIUM, Unknown, Permanent},
    {EMEDIUMTYPE, Unknown, Permanent},
    {ENOTUNIQ, Unknown, Permanent},
    {EBADFD, Unknown, Permanent},
    {EREMCHG, Unknown, Permanent},
    {ELIBACC, Unknown, Permanent},
    {ELIBEXEC, Unknown, Permanent},
    {EMULTIHOP, Unknown, Permanent},
    {EREMOTE, Unknown, Permanent},

    // Of System V, XENIX and hardware long gone; Linux keeps the numbers.
    {ECHRNG, Unknown, Permanent},
    {EL2NSYNC, Unknown, Permanent},
    {EL3HLT, Unknown, Permanent},
    {EL3RST, Unknown, Permanent},
    {ELNRNG, Unknown, Permanent},
    {EUNATCH, Unknown, Permanent},
    {ENOCSI, Unknown, Permanent},
    {EL2HLT, Unknown, Permanent},
    {EBADE, Unknown, Permanent},
    {EBADR, Unknown, Permanent},
    {ENOANO, Unknown, Permanent},
    {EBADRQC, Unknown, Permanent},
    {EBADSLT, Unknown, Permanent},
    {EBFONT, Unknown, Permanent},
    {ENOSTR, Unknown, Permanent},
    {ENOPKG, Unknown, Permanent},
    {EADV, Unknown, Permanent},
    {ESRMNT, Unknown, Permanent},
    {EDOTDOT, Unknown, Permanent},
    {ENOTNAM, Unknown, Permanent},
    {ENAVAIL, Unknown, Permanent},
    {EISNAM, Unknown, Permanent},
};

constexpr int kErrnoMax = EHWPOISON;  // The last errno of Linux.

// Rows by number. A number in two rows, or beyond kErrnoMax, does not compile.
consteval auto index_errno_rows() {
  std::array<std::size_t, kErrnoMax + 1> index{};
  for (std::size_t row = 0; row < std::size(kErrnoRows); ++row) {
    std::size_t& slot = index[static_cast<std::size_t>(kErrnoRows[row].number)];
    if (slot != 0) throw "an errno has two rows";
    slot = row + 1;
  }
  return index;
}
constexpr auto kErrnoIndex = index_errno_rows();

struct HttpRow {
  int status = 0;
  ErrorClass error_class = Unknown;
  Persistence persistence = Transient;
  bool throttled_with_hint = false;  // Retry-After makes it Throttled.
};

// RFC 9110, 15 unless said otherwise. Other 4xx are Unknown and Permanent, other 5xx Transient.
constexpr HttpRow kHttpRows[] = {
    {401, Authentication, Permanent},
    {403, Permission, Permanent},
    {407, Authentication, Permanent},
    {408, Timeout, Transient},
    {409, Unknown, Permanent},  // The caller must look at the new state first.
    {412, Unknown, Permanent},
    {413, ResourceExhaustion, Permanent, true},
    {421, Connection, Transient},
    {422, Unknown, Permanent},
    {423, Unknown, Transient},             // RFC 4918
    {425, Unknown, Transient},             // RFC 8470
    {429, ResourceExhaustion, Throttled},  // RFC 6585
    {451, Permission, Permanent},          // RFC 7725
    {501, Unknown, Permanent},
    {502, Connection, Transient},
    {503, ResourceExhaustion, Transient, true},
    {504, Timeout, Transient},
    {505, Unknown, Permanent},
    {506, Unknown, Permanent},             // RFC 2295
    {507, ResourceExhaustion, Transient},  // RFC 4918
    {508, Unknown, Permanent},             // RFC 5842
    {510, Unknown, Permanent},             // RFC 2774
    {511, Authentication, Permanent},      // RFC 6585
};

HttpRow http_row(int status) noexcept {
  const auto* const row = std::ranges::find(kHttpRows, status, &HttpRow::status);
  if (row != std::end(kHttpRows)) return *row;
  const bool permanent = status >= 100 && status < 500;
  return {status, Unknown, permanent ? Permanent : Transient};
}

// std::future_error: only a broken promise is the other side's doing, the rest are bugs of ours.
Classification classify_future_error(const std::error_code& code) noexcept {
  const bool broken = code == std::future_errc::broken_promise;
  return {.persistence = broken ? Transient : Permanent};
}

constexpr std::array<std::string_view, 11> kRemedyNames = {
    "retry",    "extend_timeout", "failover",      "restart", "refresh_credentials",
    "escalate", "clean_up",       "adjust_limits", "scale",   "validate",
    "restore",
};
static_assert(kRemedyNames.size() == static_cast<std::size_t>(Remedy::Restore) + 1);

}  // namespace

Classification classify_errno(int number) noexcept {
  if (number <= 0 || number > kErrnoMax) return {};
  const std::size_t slot = kErrnoIndex[static_cast<std::size_t>(number)];
  if (slot == 0) return {};
  const ErrnoRow& row = kErrnoRows[slot - 1];
  return {.error_class = row.error_class, .persistence = row.persistence, .delivery = row.delivery};
}

Classification classify(const std::error_code& code) noexcept {
  if (code.category() == std::system_category() || code.category() == std::generic_category()) {
    return classify_errno(code.value());
  }
  if (code.category() == std::future_category()) return classify_future_error(code);
  const std::error_condition condition = code.default_error_condition();
  if (condition.category() == std::generic_category()) return classify_errno(condition.value());
  return {};
}

Classification classify(const std::exception_ptr& exception) noexcept {
  RECOVER_CHECK(exception != nullptr);
  try {
    std::rethrow_exception(exception);
  } catch (const Error& error) {
    return error.classification();
  } catch (const std::system_error& error) {
    return classify(error.code());
  } catch (const std::future_error& error) {
    return classify(error.code());
  } catch (const std::bad_alloc&) {
    return {.error_class = ResourceExhaustion};
  } catch (...) {
    return {};
  }
}

Classification classify_http_status(int status, std::optional<Duration> retry_after) noexcept {
  const HttpRow row = http_row(status);
  const bool throttled = row.throttled_with_hint && retry_after.has_value();
  return {.error_class = row.error_class,
          .persistence = throttled ? Throttled : row.persistence,
          .retry_after = retry_after};
}

std::string_view to_string(Remedy value) noexcept {
  const auto index = static_cast<std::size_t>(value);
  RECOVER_CHECK(index < kRemedyNames.size());
  return kRemedyNames[index];
}

}  // namespace recover
