#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <system_error>
#include <type_traits>

#include <recover/classification.h>
#include <recover/operation.h>

namespace recover {
namespace {

struct Response {
  int status;
};
enum class DriverError { Busy };

}  // namespace

template <>
struct ResultTraits<Response> {
  static bool is_failure(const Response& response) { return response.status >= 400; }
  static Classification classify(const Response& response) {
    return classify_http_status(response.status);
  }
};

template <>
struct ErrorTraits<DriverError> {
  static Classification classify(DriverError) {
    return {.error_class = ErrorClass::ResourceExhaustion};
  }
  static Error to_error(DriverError error) {
    return Error(ErrorKind::OperationFailed, classify(error), "driver busy");
  }
};

namespace {

// A generic lambda would also accept a token; these take exactly what they say.
struct TakesNothing {
  int operator()() { return 1; }
};
struct TakesContext {
  unsigned operator()(const CallContext& context) { return context.attempt; }
};
struct TakesToken {
  bool operator()(const std::stop_token& stop) { return stop.stop_requested(); }
};
struct TakesBoth {
  unsigned operator()(const CallContext& context, const std::stop_token& stop) {
    return stop.stop_requested() ? context.attempt : 0U;
  }
};
static_assert(std::is_same_v<OperationResult<TakesNothing>, Result<int>>);
static_assert(std::is_same_v<OperationResult<TakesContext&>, Result<unsigned>>);
static_assert(!detail::kWantsStopToken<TakesNothing> && !detail::kWantsStopToken<TakesContext>);
static_assert(detail::kWantsStopToken<TakesToken> && detail::kWantsStopToken<TakesBoth>);

TEST(Invoke, PassesWhatTheOperationTakes) {
  std::stop_source source;
  source.request_stop();
  const CallContext context{.attempt = 3, .stop = source.get_token()};
  TakesNothing nothing;
  TakesContext with_context;
  TakesToken with_token;
  TakesBoth with_both;
  EXPECT_EQ(*invoke_operation(nothing, context), 1);
  EXPECT_EQ(*invoke_operation(with_context, context), 3U);
  EXPECT_TRUE(*invoke_operation(with_token, context));
  EXPECT_EQ(*invoke_operation(with_both, context), 3U);
}

TEST(Invoke, NormalisesWhatTheOperationReturns) {
  auto nothing = [] {};
  static_assert(std::is_same_v<OperationResult<decltype(nothing)>, Result<void>>);
  EXPECT_TRUE(invoke_operation(nothing, {}).has_value());

  auto foreign = []() -> Result<int, DriverError> { return Unexpected(DriverError::Busy); };
  const Result<int> translated = invoke_operation(foreign, {});
  EXPECT_EQ(translated.error().message(), "driver busy");
  EXPECT_EQ(failure_of(translated)->error_class, ErrorClass::ResourceExhaustion);

  auto code = []() -> Result<void, std::error_code> {
    return Unexpected(std::make_error_code(std::errc::timed_out));
  };
  EXPECT_EQ(failure_of(invoke_operation(code, {}))->error_class, ErrorClass::Timeout);

  auto move_only = [] { return std::make_unique<int>(5); };
  EXPECT_EQ(**invoke_operation(move_only, {}), 5);
}

TEST(Invoke, TurnsExceptionsIntoErrors) {
  auto throwing = []() -> int { throw std::runtime_error("gone"); };
  const Result<int> result = invoke_operation(throwing, {});
  EXPECT_EQ(result.error().message(), "gone");
  EXPECT_NE(result.error().exception(), nullptr);
}

TEST(FailureOf, AsksTheTraitsOfTheValue) {
  auto fine = [] { return Response{200}; };
  EXPECT_EQ(failure_of(invoke_operation(fine, {})), std::nullopt);

  auto unavailable = []() -> Result<Response> { return Response{504}; };
  const Result<Response> result = invoke_operation(unavailable, {});
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(failure_of(result)->error_class, ErrorClass::Timeout);

  const Result<int> rejected = Unexpected(Error(Rejection{.kind = ErrorKind::BulkheadFull}));
  EXPECT_EQ(failure_of(rejected)->persistence, Persistence::Throttled);
  EXPECT_EQ(failure_of(Result<void>()), std::nullopt);
}

TEST(Traits, ARejectionClassifiesAsItsError) {
  EXPECT_EQ(ErrorTraits<Rejection>::classify({}), Error(Rejection{}).classification());
  EXPECT_EQ(ErrorTraits<Rejection>::to_error({.kind = ErrorKind::PoolExhausted}).kind(),
            ErrorKind::PoolExhausted);
}

}  // namespace
}  // namespace recover
