#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <future>
#include <ios>
#include <set>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <recover/classification.h>

namespace recover {
namespace {

using namespace std::chrono_literals;
using enum ErrorClass;
using enum Persistence;
using std::chrono::seconds;

struct ErrnoCase {
  int number;
  ErrorClass error_class;
  Persistence persistence;
  Delivery delivery;
};

constexpr ErrnoCase kErrnoCases[] = {
    {ECONNREFUSED, Connection, Transient, Delivery::NotSent},
    {EADDRNOTAVAIL, Connection, Transient, Delivery::NotSent},
    {EHOSTUNREACH, Connection, Transient, Delivery::Unknown},
    {ENETUNREACH, Connection, Transient, Delivery::Unknown},
    {ECONNRESET, Connection, Transient, Delivery::Unknown},
    {ECONNABORTED, Connection, Transient, Delivery::Unknown},
    {EPIPE, Connection, Transient, Delivery::Unknown},
    {EAFNOSUPPORT, Connection, Permanent, Delivery::NotSent},
    {ETIMEDOUT, Timeout, Transient, Delivery::Unknown},
    {EKEYEXPIRED, Authentication, Permanent, Delivery::Unknown},
    {EACCES, Permission, Permanent, Delivery::Unknown},
    {EPERM, Permission, Permanent, Delivery::Unknown},
    {ENOSPC, ResourceExhaustion, Transient, Delivery::Unknown},
    {EDQUOT, ResourceExhaustion, Transient, Delivery::Unknown},
    {EMFILE, ResourceExhaustion, Transient, Delivery::Unknown},
    {ENFILE, ResourceExhaustion, Transient, Delivery::Unknown},
    {ENOMEM, ResourceExhaustion, Transient, Delivery::Unknown},
    {EAGAIN, ResourceExhaustion, Transient, Delivery::Unknown},
    {EWOULDBLOCK, ResourceExhaustion, Transient, Delivery::Unknown},
    {EILSEQ, DataIntegrity, Permanent, Delivery::Unknown},
    {EBADMSG, DataIntegrity, Permanent, Delivery::Unknown},
    {EUCLEAN, DataIntegrity, Permanent, Delivery::Unknown},
    {EIO, DataIntegrity, Permanent, Delivery::Unknown},
    {ECANCELED, Unknown, Cancelled, Delivery::Unknown},
    {EINTR, Unknown, Transient, Delivery::Unknown},
    {ENOENT, Unknown, Permanent, Delivery::Unknown},
    {EINVAL, Unknown, Permanent, Delivery::Unknown},
};

TEST(Errno, ClassifiesTheOnesThatMatter) {
  for (const ErrnoCase& one : kErrnoCases) {
    EXPECT_EQ(classify_errno(one.number), (Classification{.error_class = one.error_class,
                                                          .persistence = one.persistence,
                                                          .delivery = one.delivery}))
        << one.number;
  }
}

// The rows that say "it will pass, and nothing more is known" on purpose.
bool unknown_and_transient_on_purpose(int number) {
  constexpr int kNumbers[] = {EINTR,    EBUSY,       ETXTBSY,  EDEADLK,
                              EALREADY, EINPROGRESS, ERESTART, ESTRPIPE};
  return std::ranges::count(kNumbers, number) > 0;
}

bool unassigned(int number) {
  return number == 41 || number == 58;
}  // Gaps in the numbering.

TEST(Errno, EveryNumberOfLinuxHasARow) {
  for (int number = 1; number <= EHWPOISON; ++number) {
    const bool without_row = classify_errno(number) == Classification{};
    EXPECT_EQ(without_row, unknown_and_transient_on_purpose(number) || unassigned(number))
        << number;
  }
}

TEST(Errno, ForeignNumbersAreUnknownAndTransient) {
  for (const int number : {0, -1, EHWPOISON + 1, 512, 1 << 30, -(1 << 30)}) {
    EXPECT_EQ(classify_errno(number), Classification{}) << number;
  }
}

TEST(Errno, OnlyAFailureToConnectIsNotSent) {
  std::set<int> not_sent;
  for (int number = 1; number <= EHWPOISON; ++number) {
    if (classify_errno(number).delivery == Delivery::NotSent) not_sent.insert(number);
  }
  EXPECT_EQ(not_sent, (std::set<int>{ECONNREFUSED, EADDRNOTAVAIL, EADDRINUSE, EAFNOSUPPORT,
                                     EPFNOSUPPORT, EPROTONOSUPPORT, ESOCKTNOSUPPORT}));
}

TEST(ErrorCode, GenericAndSystemGoByErrno) {
  for (int number = 0; number <= EHWPOISON + 1; ++number) {
    EXPECT_EQ(classify({number, std::generic_category()}), classify_errno(number));
    EXPECT_EQ(classify({number, std::system_category()}), classify_errno(number));
  }
}

// A library's own codes; one of them means the same as an errno.
class LibraryCategory final : public std::error_category {
 public:
  const char* name() const noexcept override { return "library"; }
  std::string message(int) const override { return "library error"; }
  std::error_condition default_error_condition(int value) const noexcept override {
    if (value == 1) return std::errc::no_space_on_device;
    return {value, *this};
  }
};

TEST(ErrorCode, OthersGoByTheirDefaultCondition) {
  const LibraryCategory category;
  EXPECT_EQ(classify({1, category}), classify_errno(ENOSPC));
  EXPECT_EQ(classify({2, category}), Classification{});
  EXPECT_EQ(classify(std::make_error_code(std::io_errc::stream)), Classification{});
  EXPECT_EQ(classify(std::make_error_code(std::future_errc::broken_promise)), Classification{});
  EXPECT_EQ(classify(std::make_error_code(std::future_errc::no_state)).persistence, Permanent);
  EXPECT_EQ(classify(std::error_code()), Classification{});
}

TEST(Exceptions, NoneIsABug) {
  EXPECT_DEATH(classify(std::exception_ptr()), "exception != nullptr");
}

TEST(HttpStatus, ClassifiesByTable) {
  const auto kind = [](int status) {
    const Classification c = classify_http_status(status);
    return std::pair(c.error_class, c.persistence);
  };
  EXPECT_EQ(kind(400), std::pair(Unknown, Permanent));
  EXPECT_EQ(kind(401), std::pair(Authentication, Permanent));
  EXPECT_EQ(kind(403), std::pair(Permission, Permanent));
  EXPECT_EQ(kind(404), std::pair(Unknown, Permanent));
  EXPECT_EQ(kind(407), std::pair(Authentication, Permanent));
  EXPECT_EQ(kind(408), std::pair(Timeout, Transient));
  EXPECT_EQ(kind(409), std::pair(Unknown, Permanent));
  EXPECT_EQ(kind(412), std::pair(Unknown, Permanent));
  EXPECT_EQ(kind(413), std::pair(ResourceExhaustion, Permanent));
  EXPECT_EQ(kind(422), std::pair(Unknown, Permanent));
  EXPECT_EQ(kind(423), std::pair(Unknown, Transient));
  EXPECT_EQ(kind(425), std::pair(Unknown, Transient));
  EXPECT_EQ(kind(429), std::pair(ResourceExhaustion, Throttled));
  EXPECT_EQ(kind(500), std::pair(Unknown, Transient));
  EXPECT_EQ(kind(501), std::pair(Unknown, Permanent));
  EXPECT_EQ(kind(502), std::pair(Connection, Transient));
  EXPECT_EQ(kind(503), std::pair(ResourceExhaustion, Transient));
  EXPECT_EQ(kind(504), std::pair(Timeout, Transient));
  EXPECT_EQ(kind(507), std::pair(ResourceExhaustion, Transient));
  EXPECT_EQ(kind(599), std::pair(Unknown, Transient));
  EXPECT_EQ(kind(304), std::pair(Unknown, Permanent));
  EXPECT_EQ(kind(0), std::pair(Unknown, Transient));
  EXPECT_EQ(kind(600), std::pair(Unknown, Transient));
}

TEST(HttpStatus, IsTotalAndNeverNotSent) {
  for (int status = -1; status <= 1000; ++status) {
    const Classification c = classify_http_status(status, 2s);
    EXPECT_EQ(c.delivery, Delivery::Unknown);
    EXPECT_EQ(c.retry_after, 2s);
    EXPECT_EQ(c.persistence == Throttled, status == 413 || status == 429 || status == 503);
  }
}

TEST(RetryAfter, ReadsSeconds) {
  const auto now = std::chrono::system_clock::now();
  EXPECT_EQ(parse_retry_after("120", now), 120s);
  EXPECT_EQ(parse_retry_after(" \t0 ", now), 0s);
  EXPECT_EQ(parse_retry_after("99999999999999999999999999", now), Duration::max());
  for (const char* bad : {"", " ", "-100", "+5", "1.5", "5 s", "invalid", "0x10", "1e3", "5,6"}) {
    EXPECT_EQ(parse_retry_after(bad, now), std::nullopt) << bad;
  }
}

TEST(RetryAfter, ReadsAnImfFixdate) {
  const std::chrono::system_clock::time_point now = std::chrono::sys_days{1994y / 11 / 6} + 8h;
  EXPECT_EQ(parse_retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now), 49min + 37s);
  EXPECT_EQ(parse_retry_after("Sun, 06 Nov 1994 08:00:01 GMT", now + 250ms), 750ms);
  EXPECT_EQ(parse_retry_after("Sun, 06 Nov 1994 07:59:59 GMT", now), 0s);
  EXPECT_EQ(parse_retry_after("Sat, 31 Dec 1994 23:59:60 GMT", now),
            parse_retry_after("Sun, 01 Jan 1995 00:00:00 GMT", now));
  EXPECT_EQ(parse_retry_after("Fri, 31 Dec 9999 23:59:59 GMT", now), Duration::max());
}

TEST(RetryAfter, RefusesEveryOtherForm) {
  const auto now = std::chrono::system_clock::now();
  for (const char* bad : {
           "Sunday, 06-Nov-94 08:49:37 GMT",   // RFC 850
           "Sun Nov  6 08:49:37 1994",         // asctime
           "Sun, 06 Nov 1994 08:49:37 UTC",    // not GMT
           "Sun, 06 Nov 1994 08:49:37",        // cut short
           "Sun, 06 Nov 1994 08:49:37 GMT x",  // something after it
           "Sun, 31 Feb 1994 08:49:37 GMT",    // no such day
           "Sun, 06 nov 1994 08:49:37 GMT",    // case
           "Sun, 06 Nov 1994 24:00:00 GMT",    // no such hour
           "Sun, 06 Nov 1994 08:60:00 GMT",    // no such minute
           "Sun, 06 Nov 1994 08:49:61 GMT",    // no such second
           "Xxx, 06 Nov 1994 08:49:37 GMT",    // no such day name
           "Sun, 6 Nov 1994 08:49:37 GMT",     // one digit
           "S",
       }) {
    EXPECT_EQ(parse_retry_after(bad, now), std::nullopt) << bad;
  }
}

RC_GTEST_PROP(RetryAfterProperty, AnyTextIsReadOrRefused, (const std::string& text)) {
  const auto parsed = parse_retry_after(text, std::chrono::system_clock::time_point{});
  RC_ASSERT(!parsed || *parsed >= Duration::zero());
}

RC_GTEST_PROP(RetryAfterProperty, SecondsRoundTrip, ()) {
  const auto count = *rc::gen::inRange<std::int64_t>(0, 9'000'000'000);
  RC_ASSERT(parse_retry_after(std::to_string(count), {}) == seconds{count});
}

TEST(DefaultStrategy, IsThePublishedOneForEachClass) {
  using enum Remedy;
  const auto steps = [](ErrorClass error_class) {
    const auto span = default_strategy(error_class).steps();
    return std::vector<Remedy>(span.begin(), span.end());
  };
  EXPECT_EQ(steps(Connection), (std::vector{Retry, Failover}));
  EXPECT_EQ(steps(Timeout), (std::vector{ExtendTimeout, Retry, Restart}));
  EXPECT_EQ(steps(Authentication), (std::vector{RefreshCredentials, Escalate}));
  EXPECT_EQ(steps(Permission), (std::vector{Escalate}));
  EXPECT_EQ(steps(ResourceExhaustion), (std::vector{CleanUp, AdjustLimits, Scale}));
  EXPECT_EQ(steps(DataIntegrity), (std::vector{Validate, Restore}));
  EXPECT_EQ(steps(Unknown), (std::vector{Retry, Escalate}));
}

TEST(DefaultStrategy, RetriesExactlyWhereRetryIsARemedy) {
  for (int i = 0; i <= static_cast<int>(Unknown); ++i) {
    const Strategy& strategy = default_strategy(static_cast<ErrorClass>(i));
    bool listed = false;
    for (const Remedy remedy : strategy.steps()) listed = listed || remedy == Remedy::Retry;
    EXPECT_EQ(strategy.retry, listed) << i;
    EXPECT_TRUE(strategy.backoff.validate().has_value());
  }
}

// 2^attempt * base, base 500 ms.
TEST(DefaultStrategy, ConnectionsAreRetriedWithDoublingDelays) {
  BackoffConfig backoff = default_strategy(Connection).backoff;
  backoff.jitter = retry::Jitter::None;
  EXPECT_EQ(retry::delay(backoff, 1), 2 * 500ms);
  EXPECT_EQ(retry::delay(backoff, 3), 8 * 500ms);
  EXPECT_EQ(retry::delay(backoff, 20), 30s);
}

TEST(Remedies, HaveDistinctNames) {
  std::set<std::string_view> names;
  for (int i = 0; i <= static_cast<int>(Remedy::Restore); ++i) {
    names.insert(to_string(static_cast<Remedy>(i)));
  }
  EXPECT_EQ(names.size(), 11U);
  EXPECT_EQ(to_string(Remedy::RefreshCredentials), "refresh_credentials");
}

}  // namespace
}  // namespace recover
