#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <future>
#include <new>
#include <set>
#include <stdexcept>
#include <string>
#include <system_error>

#include <recover/classification.h>
#include <recover/error.h>

namespace recover {
namespace {

using std::chrono::microseconds;

template <class Exception>
Error caught(Exception exception) {
  return Error::from_exception(std::make_exception_ptr(std::move(exception)));
}

TEST(Names, AreLowerSnakeAndDistinct) {
  EXPECT_EQ(to_string(ErrorClass::ResourceExhaustion), "resource_exhaustion");
  EXPECT_EQ(to_string(ErrorClass::DataIntegrity), "data_integrity");
  EXPECT_EQ(to_string(Persistence::Throttled), "throttled");
  EXPECT_EQ(to_string(Delivery::NotSent), "not_sent");
  EXPECT_EQ(to_string(ErrorKind::CallNotPermitted), "call_not_permitted");
  EXPECT_EQ(to_string(ErrorKind::InvalidConfig), "invalid_config");

  std::set<std::string_view> kinds;
  for (int i = 0; i <= static_cast<int>(ErrorKind::InvalidConfig); ++i) {
    kinds.insert(to_string(static_cast<ErrorKind>(i)));
  }
  EXPECT_EQ(kinds.size(), 9U);
  for (const std::string_view name : kinds) {
    EXPECT_EQ(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_"), std::string_view::npos)
        << name;
  }
}

TEST(FromCode, KeepsCodeAndMessage) {
  const auto code = std::make_error_code(std::errc::connection_refused);
  const Error error = Error::from_code(code, "connecting to db");
  EXPECT_EQ(error.kind(), ErrorKind::OperationFailed);
  EXPECT_EQ(error.code(), code);
  EXPECT_EQ(error.message(), "connecting to db");
  EXPECT_EQ(error.classification(), classify(code));
  EXPECT_EQ(error.exception(), nullptr);
}

TEST(FromException, ClassifiesByTypeAndKeepsTheException) {
  const Error system = caught(std::system_error(ETIMEDOUT, std::system_category(), "reading"));
  EXPECT_EQ(system.classification().error_class, ErrorClass::Timeout);
  EXPECT_EQ(system.code().value(), ETIMEDOUT);
  EXPECT_NE(system.message().find("reading"), std::string::npos);
  EXPECT_THROW(std::rethrow_exception(system.exception()), std::system_error);

  const Error file = caught(std::filesystem::filesystem_error(
      "copying", std::make_error_code(std::errc::permission_denied)));
  EXPECT_EQ(file.classification().error_class, ErrorClass::Permission);

  EXPECT_EQ(caught(std::bad_alloc()).classification().error_class, ErrorClass::ResourceExhaustion);
  EXPECT_EQ(
      caught(std::future_error(std::future_errc::broken_promise)).classification().persistence,
      Persistence::Transient);
  EXPECT_EQ(caught(std::future_error(std::future_errc::no_state)).classification().persistence,
            Persistence::Permanent);

  const Error other = caught(std::runtime_error("odd"));
  EXPECT_EQ(other.classification(), Classification{});
  EXPECT_EQ(other.message(), "odd");
  EXPECT_EQ(caught(42).classification(), Classification{});
  EXPECT_FALSE(caught(42).message().empty());
}

TEST(FromException, AThrownErrorIsItself) {
  const Error thrown = Rejection{.kind = ErrorKind::BulkheadFull, .retry_after = microseconds{7}};
  const Error error = caught(thrown);
  EXPECT_EQ(error.kind(), ErrorKind::BulkheadFull);
  EXPECT_EQ(error.retry_after(), microseconds{7});
  EXPECT_NE(error.exception(), nullptr);
}

TEST(FromException, NoExceptionIsABug) {
  EXPECT_DEATH(Error::from_exception(nullptr), "exception != nullptr");
}

TEST(Makers, SayWhetherToTryAgain) {
  EXPECT_EQ(Error::cancelled().kind(), ErrorKind::Cancelled);
  EXPECT_EQ(Error::cancelled().classification().persistence, Persistence::Cancelled);
  EXPECT_EQ(Error::timeout_exceeded().classification().error_class, ErrorClass::Timeout);
  EXPECT_EQ(Error::timeout_exceeded().classification().persistence, Persistence::Transient);
  EXPECT_EQ(Error::timeout_exceeded().classification().delivery, Delivery::Unknown);
  EXPECT_EQ(Error::invalid_config("x").classification().persistence, Persistence::Permanent);

  const Error rejected = Rejection{.retry_after = microseconds{3}};
  EXPECT_EQ(rejected.classification().persistence, Persistence::Throttled);
  EXPECT_EQ(rejected.classification().delivery, Delivery::NotSent);
  EXPECT_EQ(rejected.retry_after(), microseconds{3});
  EXPECT_EQ(Error::timeout_exceeded(Delivery::NotSent).classification().delivery,
            Delivery::NotSent);
}

// A full bulkhead cannot tell when, but it passes; a breaker that cannot tell is forced open.
TEST(Makers, OnlyABreakerRefusesIndefinitely) {
  const auto indefinite = [](const Rejection& rejection) {
    return Error(rejection).classification().indefinite;
  };
  EXPECT_TRUE(indefinite({.kind = ErrorKind::CallNotPermitted}));
  EXPECT_FALSE(indefinite({.kind = ErrorKind::CallNotPermitted, .retry_after = microseconds{0}}));
  EXPECT_FALSE(indefinite({.kind = ErrorKind::BulkheadFull}));
  EXPECT_FALSE(indefinite({.kind = ErrorKind::RequestNotPermitted}));
  EXPECT_FALSE(indefinite({.kind = ErrorKind::PoolExhausted}));
}

TEST(ToString, IsOneLineWithEverythingKnown) {
  const Error error =
      Error::from_code(std::make_error_code(std::errc::connection_refused), "first\nsecond");
  EXPECT_EQ(error.to_string(),
            "operation_failed connection/transient: first second [generic:111 Connection refused]");
  const Error rejection = Rejection{.retry_after = microseconds{1500}};
  EXPECT_EQ(rejection.to_string(),
            "call_not_permitted resource_exhaustion/throttled retry after 2 ms");
}

}  // namespace
}  // namespace recover
