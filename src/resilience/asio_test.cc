// One file, though a long one: compiling Asio is most of what it costs.
#include <boost/asio/buffer.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/asio/write.hpp>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <future>
#include <list>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <recover/asio.h>

namespace recover {
namespace {

namespace net = boost::asio;
using net::awaitable;
using net::use_awaitable;
using net::ip::tcp;
using namespace std::chrono_literals;

constexpr Duration kSoon = 20ms;
constexpr Duration kNotInThisTest = 1h;

RetryConfig eager(unsigned attempts) {
  return {.max_attempts = attempts, .backoff = {.initial_interval = 1ms}, .idempotent = true};
}

// Serves "pong" over loopback, but for what a script says of the first connections.
class Server {
 public:
  enum class Behaviour { Answer, HangUp, Stall };

  explicit Server(net::io_context& io, std::vector<Behaviour> script = {})
      : acceptor_(io, tcp::endpoint(net::ip::address_v4::loopback(), 0)),
        endpoint_(acceptor_.local_endpoint()),
        script_(std::move(script)) {
    net::co_spawn(io, serve(), net::detached);
  }

  const tcp::endpoint& endpoint() const { return endpoint_; }
  std::size_t connections() const { return connections_; }
  // Refuses connections from now on, and drops those that it stalls.
  void close() {
    acceptor_.close();
    stalled_.clear();
  }

 private:
  awaitable<void> serve() {
    for (;;) {
      auto [error, socket] = co_await acceptor_.async_accept(net::as_tuple(use_awaitable));
      if (error) co_return;
      const std::size_t turn = connections_++;
      const Behaviour behaviour = turn < script_.size() ? script_[turn] : Behaviour::Answer;
      switch (behaviour) {
        case Behaviour::Answer:
          co_await net::async_write(socket, net::buffer("pong", 4), net::as_tuple(use_awaitable));
          break;
        case Behaviour::HangUp: break;
        case Behaviour::Stall: stalled_.push_back(std::move(socket)); break;
      }
    }
  }

  tcp::acceptor acceptor_;
  const tcp::endpoint endpoint_;
  const std::vector<Behaviour> script_;
  std::size_t connections_ = 0;
  std::list<tcp::socket> stalled_;
};

using Behaviour = Server::Behaviour;

// One request.
awaitable<std::string> ask(tcp::endpoint endpoint) {
  tcp::socket socket(co_await net::this_coro::executor);
  co_await socket.async_connect(endpoint, use_awaitable);
  std::array<char, 4> answer{};
  co_await net::async_read(socket, net::buffer(answer), use_awaitable);
  co_return std::string(answer.data(), answer.size());
}

auto asking(const Server& server) {
  return [endpoint = server.endpoint()](const CallContext&) { return ask(endpoint); };
}

awaitable<void> forever() {
  net::steady_timer timer(co_await net::this_coro::executor, net::steady_timer::time_point::max());
  co_await timer.async_wait(use_awaitable);
}

awaitable<int> seven() {
  co_return 7;
}

// What a call of the tests ends with, and how often.
template <class T>
struct Ending {
  std::optional<Result<T>> result;
  int times = 0;

  auto handler() {
    return [this](Result<T> ended) {
      result.emplace(std::move(ended));
      ++times;
    };
  }
  std::optional<ErrorKind> error() const {
    if (!result || result->has_value()) return std::nullopt;
    return result->error().kind();
  }
  bool is(ErrorKind kind) const { return times == 1 && error() == kind; }
};

template <class Condition>
void run_until(net::io_context& io, Condition condition) {
  while (!condition()) ASSERT_EQ(io.run_one(), 1U) << "ran out of work";
}

// ---- against a server

TEST(Asio, SurvivesAServerThatFailsStallsAndRecovers) {
  net::io_context io;
  Server server(io, {Behaviour::HangUp, Behaviour::Stall, Behaviour::Answer});
  TimeLimiter attempt_timeout({.timeout_duration = kSoon});
  TimeLimiter total_timeout({.timeout_duration = kNotInThisTest});
  Retry retry(eager(1000));  // On a busy machine good answers are late, too.
  CircuitBreaker breaker;
  Bulkhead bulkhead;
  AdaptiveLimiter adaptive;
  RateLimiter limiter;
  const Pipeline pipeline({.total_timeout = &total_timeout,
                           .retry = &retry,
                           .circuit_breaker = &breaker,
                           .bulkhead = &bulkhead,
                           .adaptive_limiter = &adaptive,
                           .rate_limiter = &limiter,
                           .attempt_timeout = &attempt_timeout});
  Ending<std::string> ending;
  async_execute(io, pipeline, asking(server), [&](Result<std::string> result) {
    ending.handler()(std::move(result));
    server.close();
  });
  io.run();
  ASSERT_EQ(ending.times, 1);
  ASSERT_TRUE(ending.result->has_value()) << ending.result->error().to_string();
  EXPECT_EQ(**ending.result, "pong");
  EXPECT_GE(server.connections(), 3U);
  const auto attempts = bulkhead.metrics().granted;
  EXPECT_GE(attempts, server.connections());
  EXPECT_EQ(breaker.metrics().failed, attempts - 1);
  EXPECT_EQ(breaker.metrics().successful, 1U);
  EXPECT_GE(attempt_timeout.metrics().timed_out, 1U);
  EXPECT_EQ(attempt_timeout.metrics().successful, 1U);
  EXPECT_EQ(total_timeout.metrics().successful, 1U);
  EXPECT_EQ(retry.metrics().successful_calls_with_retry_attempt, 1U);
  EXPECT_EQ(bulkhead.metrics().in_use, 0U);
  EXPECT_EQ(adaptive.metrics().in_flight, 0U);
  EXPECT_EQ(limiter.metrics().granted, attempts);
}

TEST(Asio, ARefusedConnectionIsKnownNotToHaveBeenSent) {
  net::io_context io;
  Server server(io);
  server.close();
  // Not idempotent: retried all the same.
  Retry retry({.max_attempts = 3, .backoff = {.initial_interval = 1ms}});
  Ending<std::string> ending;
  async_execute(io, retry, asking(server), ending.handler());
  io.run();
  ASSERT_TRUE(ending.is(ErrorKind::OperationFailed));
  EXPECT_EQ(ending.result->error().code(), std::errc::connection_refused);
  EXPECT_EQ(ending.result->error().classification().error_class, ErrorClass::Connection);
  EXPECT_EQ(retry.metrics().retries, 2U);
}

TEST(Asio, AnOpenBreakerSparesTheServerAndLetsItRecover) {
  net::io_context io;
  Server server(io, {Behaviour::HangUp, Behaviour::HangUp});
  ManualClock clock;
  CircuitBreaker breaker({.sliding_window = {.size = 2},
                          .minimum_calls = 2,
                          .wait_in_open = {.initial = kSoon},
                          .permitted_calls_in_half_open = 1},
                         clock);
  // Two failures open it; the third attempt is refused, and waits as long as the breaker says.
  Retry retry(eager(4));
  std::vector<Duration> delays;
  retry.on_event([&](const retry::RetryEvent& event) {
    if (event.type != retry::RetryEvent::Type::RetryScheduled) return;
    delays.push_back(event.delay);
    clock.advance(event.delay);
  });
  Ending<std::string> ending;
  const Pipeline pipeline({.retry = &retry, .circuit_breaker = &breaker, .clock = &clock});
  async_execute(io, pipeline, asking(server), [&](Result<std::string> result) {
    ending.handler()(std::move(result));
    server.close();
  });
  io.run();
  ASSERT_TRUE(ending.result->has_value());
  EXPECT_EQ(server.connections(), 3U);
  EXPECT_EQ(delays, (std::vector<Duration>{1ms, 1ms, kSoon - 1ms}));
  EXPECT_EQ(breaker.metrics().not_permitted, 1U);
  EXPECT_EQ(breaker.metrics().state, circuitbreaker::State::Closed);
}

TEST(Asio, ASilentServerIsATimeout) {
  net::io_context io;
  Server server(io, {Behaviour::Stall});
  CircuitBreaker breaker;
  TimeLimiter timeout({.timeout_duration = kSoon});
  Ending<std::string> ending;
  async_execute(io, Pipeline({.circuit_breaker = &breaker, .attempt_timeout = &timeout}),
                asking(server), [&](Result<std::string> result) {
                  ending.handler()(std::move(result));
                  server.close();
                });
  io.run();
  EXPECT_TRUE(ending.is(ErrorKind::TimeoutExceeded));
  EXPECT_EQ(breaker.metrics().failed, 1U);
}

// ---- timeouts

TEST(Asio, TheTotalTimeoutBoundsAnAttemptWithoutOneOfItsOwn) {
  net::io_context io;
  TimeLimiter timeout({.timeout_duration = kSoon});
  CircuitBreaker breaker;
  Retry retry(eager(3));
  Ending<void> ending;
  async_execute(
      io, Pipeline({.total_timeout = &timeout, .retry = &retry, .circuit_breaker = &breaker}),
      [] { return forever(); }, ending.handler());
  io.run();
  EXPECT_TRUE(ending.is(ErrorKind::TimeoutExceeded));
  EXPECT_EQ(breaker.metrics().failed, 1U);  // A timeout of the dependency, not a cancelled call.
  EXPECT_EQ(timeout.metrics().timed_out, 1U);
}

TEST(Asio, TheTotalTimeoutBoundsTheWaitsForTheLimiters) {
  net::io_context io;
  TimeLimiter timeout({.timeout_duration = kSoon});
  Bulkhead bulkhead(
      {.max_concurrent_calls = 1, .max_queued = 1, .max_wait_duration = kNotInThisTest});
  auto taken = bulkhead.try_acquire();
  Ending<int> ending;
  async_execute(io, Pipeline({.total_timeout = &timeout, .bulkhead = &bulkhead}), seven,
                ending.handler());
  io.run();
  EXPECT_EQ(ending.times, 1);
  EXPECT_FALSE(ending.result->has_value());
  EXPECT_EQ(timeout.metrics().successful, 0U);
  EXPECT_EQ(bulkhead.metrics().waiting, 0U);
}

TEST(Asio, TheRetryNeverWaitsPastTheTotalTimeout) {
  net::io_context io;
  TimeLimiter timeout({.timeout_duration = 1min});
  Retry retry({.max_attempts = 2, .backoff = {.initial_interval = 2min}, .idempotent = true});
  Ending<int> ending;
  async_execute(
      io, Pipeline({.total_timeout = &timeout, .retry = &retry}),
      []() -> awaitable<int> {
        throw std::runtime_error("broken");
        co_return 1;
      },
      ending.handler());
  io.run();
  ASSERT_TRUE(ending.is(ErrorKind::OperationFailed));
  EXPECT_EQ(ending.result->error().message(), "broken");
}

TEST(Asio, AResultThatComesAfterTheInterruptionIsDiscarded) {
  net::io_context io;
  TimeLimiter timeout({.timeout_duration = kSoon});
  Ending<int> ending;
  const auto stubborn = []() -> awaitable<int> {
    co_await net::this_coro::throw_if_cancelled(false);
    net::steady_timer timer(co_await net::this_coro::executor,
                            net::steady_timer::time_point::max());
    co_await timer.async_wait(net::as_tuple(use_awaitable));
    co_return 1;
  };
  async_execute(io, timeout, stubborn, ending.handler());
  io.run();
  EXPECT_TRUE(ending.is(ErrorKind::TimeoutExceeded));
}

TEST(Asio, TheOperationSeesItsAttemptAndItsDeadline) {
  net::io_context io;
  TimeLimiter total({.timeout_duration = 2h});
  TimeLimiter each({.timeout_duration = 1h});
  Retry retry(eager(2));
  std::vector<CallContext> seen;
  const auto operation = [&](const CallContext& context) -> awaitable<Result<void>> {
    seen.push_back(context);
    if (context.attempt == 1) co_return Unexpected(Error::timeout_exceeded());
    co_return Result<void>();
  };
  const Instant before = SteadyClock::instance().now();
  async_execute(io, Pipeline({.total_timeout = &total, .retry = &retry, .attempt_timeout = &each}),
                operation, net::detached);
  io.run();
  const Instant after = SteadyClock::instance().now();
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_EQ(seen[0].attempt, 1U);
  EXPECT_EQ(seen[1].attempt, 2U);
  EXPECT_GE(seen[0].deadline, before + 1h);
  EXPECT_LE(seen[1].deadline, after + 1h);
  EXPECT_LT(seen[0].deadline, seen[1].deadline);
}

// What the breaker and the caller hear of a call that is stopped.
struct Heard {
  std::uint64_t failed = 0;
  std::uint64_t cancelled = 0;
  std::optional<ErrorKind> error;

  friend bool operator==(const Heard&, const Heard&) = default;
};

enum class Stopped { ByTheTotalTimeout, ByTheCaller, ByTheCallerAndNoticedLate };

Duration total_for(Stopped how) {
  return how == Stopped::ByTheCaller ? kNotInThisTest : 100ms;  // The operation must have begun.
}
void notice(Stopped how, Instant deadline) {
  if (how == Stopped::ByTheCallerAndNoticedLate) {
    SteadyClock::instance().wait_until(deadline + 1ms, {});
  }
}

Heard heard_by_execute(Stopped how) {
  CircuitBreaker breaker;
  TimeLimiter total({.timeout_duration = total_for(how)});
  std::stop_source caller;
  const auto operation = [&](const CallContext& context, const std::stop_token& stop) {
    if (how != Stopped::ByTheTotalTimeout) caller.request_stop();
    SteadyClock::instance().wait_until(kNever, stop);
    notice(how, context.deadline);
    return Result<void>(Unexpected(Error::cancelled()));
  };
  const Result<void> result = Pipeline({.total_timeout = &total, .circuit_breaker = &breaker})
                                  .execute(operation, caller.get_token());
  return {breaker.metrics().failed, breaker.metrics().cancelled, result.error().kind()};
}

Heard heard_by_async_execute(Stopped how) {
  net::io_context io;
  net::cancellation_signal caller;
  CircuitBreaker breaker;
  TimeLimiter total({.timeout_duration = total_for(how)});
  const auto operation = [&](const CallContext& context) -> awaitable<Result<void>> {
    co_await net::this_coro::throw_if_cancelled(false);
    if (how != Stopped::ByTheTotalTimeout) caller.emit(net::cancellation_type::terminal);
    net::steady_timer timer(co_await net::this_coro::executor,
                            net::steady_timer::time_point::max());
    const auto state = co_await net::this_coro::cancellation_state;
    if (state.cancelled() == net::cancellation_type::none) {
      co_await timer.async_wait(net::as_tuple(use_awaitable));
    }
    notice(how, context.deadline);
    co_return Unexpected(Error::cancelled());
  };
  Ending<void> ending;
  async_execute(io, Pipeline({.total_timeout = &total, .circuit_breaker = &breaker}), operation,
                net::bind_cancellation_slot(caller.slot(), ending.handler()));
  io.run();
  return {breaker.metrics().failed, breaker.metrics().cancelled, ending.error()};
}

TEST(Asio, TheBreakerHearsOfAStoppedCallWhatExecuteTellsIt) {
  const Heard timeout{.failed = 1, .cancelled = 0, .error = ErrorKind::TimeoutExceeded};
  const Heard cancel{.failed = 0, .cancelled = 1, .error = ErrorKind::Cancelled};
  EXPECT_EQ(heard_by_execute(Stopped::ByTheTotalTimeout), timeout);
  EXPECT_EQ(heard_by_async_execute(Stopped::ByTheTotalTimeout), timeout);
  for (const Stopped how : {Stopped::ByTheCaller, Stopped::ByTheCallerAndNoticedLate}) {
    EXPECT_EQ(heard_by_execute(how), cancel);
    EXPECT_EQ(heard_by_async_execute(how), cancel);
  }
}

// The clock, which only the listener moves, is past the deadline when the wait is over.
TEST(Asio, NoAttemptBeginsAfterTheDeadline) {
  net::io_context io;
  ManualClock clock;
  Retry retry({.backoff = {.initial_interval = 1ms}, .idempotent = true}, clock);
  TimeLimiter total({.timeout_duration = 1h}, clock);
  retry.on_event([&](const retry::RetryEvent& event) {
    if (event.type == retry::RetryEvent::Type::RetryScheduled) clock.advance(2h);
  });
  int attempts = 0;
  const auto operation = [&]() -> awaitable<Result<void>> {
    ++attempts;
    co_return Unexpected(Error::timeout_exceeded());
  };
  Ending<void> ending;
  async_execute(io, Pipeline({.total_timeout = &total, .retry = &retry, .clock = &clock}),
                operation, ending.handler());
  io.run();
  EXPECT_TRUE(ending.is(ErrorKind::TimeoutExceeded));
  EXPECT_EQ(attempts, 1);
  EXPECT_EQ(retry.metrics().failed_calls_with_retry_attempt, 1U);
}

TEST(Asio, AnAttemptThatALimiterMadeLateDoesNotBegin) {
  net::io_context io;
  ManualClock clock;
  TimeLimiter total({.timeout_duration = 1h}, clock);
  CircuitBreaker breaker({}, clock);
  RateLimiter limiter({.limit_for_period = 1, .limit_refresh_period = kSoon}, clock);
  ASSERT_TRUE(limiter.try_acquire().has_value());
  int attempts = 0;
  const auto operation = [&]() -> awaitable<void> {
    ++attempts;
    co_return;
  };
  Ending<void> ending;
  async_execute(io,
                Pipeline({.total_timeout = &total,
                          .circuit_breaker = &breaker,
                          .rate_limiter = &limiter,
                          .clock = &clock}),
                operation, ending.handler());
  run_until(io, [&] { return limiter.metrics().delayed == 1; });
  clock.advance(2h);
  io.run();
  EXPECT_TRUE(ending.is(ErrorKind::TimeoutExceeded));
  EXPECT_EQ(attempts, 0);
  EXPECT_EQ(breaker.metrics().released, 1U);
}

TEST(Asio, ABreakerForcedOpenIsNotAskedAgain) {
  net::io_context io;
  CircuitBreaker breaker;
  breaker.transition_to(circuitbreaker::State::ForcedOpen);
  Retry retry(eager(3));
  Ending<int> ending;
  async_execute(io, Pipeline({.retry = &retry, .circuit_breaker = &breaker}), seven,
                ending.handler());
  io.run();
  EXPECT_TRUE(ending.is(ErrorKind::CallNotPermitted));
  EXPECT_EQ(breaker.metrics().not_permitted, 1U);
  EXPECT_EQ(retry.metrics().retries, 0U);
}

// ---- limiters

TEST(Asio, TheQueueOfABulkheadIsServedInOrder) {
  net::io_context io;
  Bulkhead bulkhead(
      {.max_concurrent_calls = 1, .max_queued = 2, .max_wait_duration = kNotInThisTest});
  std::vector<int> served;
  Ending<void> refused;
  const auto serve = [&](int number) {
    return [&served, number]() -> awaitable<void> {
      co_await net::post(use_awaitable);
      served.push_back(number);
    };
  };
  for (const int number : {1, 2, 3}) async_execute(io, bulkhead, serve(number), net::detached);
  async_execute(io, bulkhead, serve(4), refused.handler());
  io.run();
  EXPECT_EQ(served, (std::vector{1, 2, 3}));
  EXPECT_TRUE(refused.is(ErrorKind::BulkheadFull));
  EXPECT_EQ(bulkhead.metrics().granted, 3U);
  EXPECT_EQ(bulkhead.metrics().queued, 2U);
  EXPECT_EQ(bulkhead.metrics().rejected, 1U);
}

TEST(Asio, APlaceInTheQueueExpires) {
  net::io_context io;
  Bulkhead bulkhead({.max_concurrent_calls = 1, .max_queued = 1, .max_wait_duration = kSoon});
  auto taken = bulkhead.try_acquire();
  CircuitBreaker breaker;
  Ending<int> ending;
  async_execute(io, Pipeline({.circuit_breaker = &breaker, .bulkhead = &bulkhead}), seven,
                ending.handler());
  io.run();
  EXPECT_TRUE(ending.is(ErrorKind::BulkheadFull));
  EXPECT_EQ(bulkhead.metrics().timed_out, 1U);
  EXPECT_EQ(breaker.metrics().released, 1U);  // Says nothing about the dependency.
}

RateLimiterConfig one_every(Duration period) {
  return {.algorithm = ratelimiter::Algorithm::Gcra,
          .limit_for_period = 1,
          .limit_refresh_period = period,
          .timeout_duration = period};
}

TEST(Asio, ARateLimiterMakesCallsWaitOrRefusesThem) {
  net::io_context io;
  ManualClock clock;
  RateLimiter limiter(one_every(kSoon), clock);
  const Pipeline pipeline({.rate_limiter = &limiter, .clock = &clock});
  std::vector<Ending<int>> endings(3);
  for (Ending<int>& ending : endings) async_execute(io, pipeline, seven, ending.handler());
  io.run();
  EXPECT_TRUE(endings[0].result->has_value());
  EXPECT_TRUE(endings[1].result->has_value());
  EXPECT_TRUE(endings[2].is(ErrorKind::RequestNotPermitted));
  EXPECT_EQ(limiter.metrics().delayed, 1U);
}

TEST(Asio, WaitingForALimiterDoesNotMakeACallSlow) {
  net::io_context io;
  ManualClock clock;
  CircuitBreaker breaker({.slow_call_duration_threshold = 1min}, clock);
  RateLimiter limiter(one_every(kSoon), clock);
  ASSERT_TRUE(limiter.try_acquire().has_value());
  async_execute(io,
                Pipeline({.circuit_breaker = &breaker, .rate_limiter = &limiter, .clock = &clock}),
                seven, net::detached);
  run_until(io, [&] { return limiter.metrics().delayed == 1; });
  clock.advance(1h);
  io.run();
  EXPECT_EQ(breaker.metrics().successful, 1U);
  EXPECT_EQ(breaker.metrics().slow, 0U);
}

TEST(Asio, AnAdaptiveLimiterShedsAtOnce) {
  net::io_context io;
  AdaptiveLimiter limiter({.initial_limit = 1, .limit_min = 1, .limit_max = 1});
  Ending<int> shed;
  {
    auto taken = limiter.try_acquire();
    async_execute(io, limiter, seven, shed.handler());
    io.run();
  }
  EXPECT_TRUE(shed.is(ErrorKind::BulkheadFull));
  EXPECT_EQ(limiter.metrics().in_flight, 0U);
}

// ---- cancellation

class AsioCancellation : public testing::Test {
 protected:
  auto cancellable() { return net::bind_cancellation_slot(signal_.slot(), ending_.handler()); }
  void cancel(net::cancellation_type type = net::cancellation_type::terminal) {
    signal_.emit(type);
    io_.run();
  }

  net::io_context io_;
  net::cancellation_signal signal_;
  Ending<void> ending_;
};

TEST_F(AsioCancellation, BeforeTheCallHasBegun) {
  CircuitBreaker breaker;
  async_execute(
      io_, breaker, [] { return forever(); }, cancellable());
  cancel();
  EXPECT_TRUE(ending_.is(ErrorKind::Cancelled));
  EXPECT_EQ(breaker.metrics().failed, 0U);
}

TEST_F(AsioCancellation, InTheMiddleOfAnAttempt) {
  Server server(io_, {Behaviour::Stall});
  CircuitBreaker breaker;
  Bulkhead bulkhead;
  AdaptiveLimiter adaptive;
  TimeLimiter timeout({.timeout_duration = kNotInThisTest});
  Retry retry(eager(3));
  const auto operation = [&](const CallContext&) -> awaitable<void> {
    co_await ask(server.endpoint());
  };
  async_execute(io_,
                Pipeline({.total_timeout = &timeout,
                          .retry = &retry,
                          .circuit_breaker = &breaker,
                          .bulkhead = &bulkhead,
                          .adaptive_limiter = &adaptive,
                          .attempt_timeout = &timeout}),
                operation, cancellable());
  run_until(io_, [&] { return server.connections() == 1; });
  server.close();
  cancel();
  EXPECT_TRUE(ending_.is(ErrorKind::Cancelled));
  EXPECT_EQ(breaker.metrics().cancelled, 1U);
  EXPECT_EQ(breaker.metrics().failed, 0U);
  EXPECT_EQ(bulkhead.metrics().in_use, 0U);
  EXPECT_EQ(adaptive.metrics().ignored, 1U);
  EXPECT_EQ(retry.metrics().cancelled_calls, 1U);
  EXPECT_EQ(timeout.metrics().cancelled, 2U);
}

TEST_F(AsioCancellation, OfAnyTypeStops) {
  async_execute(
      io_, Pipeline({}), [] { return forever(); }, cancellable());
  io_.poll();
  cancel(net::cancellation_type::total);
  EXPECT_TRUE(ending_.is(ErrorKind::Cancelled));
}

TEST_F(AsioCancellation, BetweenTwoAttempts) {
  Retry retry(
      {.max_attempts = 2, .backoff = {.initial_interval = kNotInThisTest}, .idempotent = true});
  int attempts = 0;
  const auto operation = [&]() -> awaitable<Result<void>> {
    ++attempts;
    co_return Unexpected(Error::timeout_exceeded());
  };
  async_execute(io_, retry, operation, cancellable());
  run_until(io_, [&] { return retry.metrics().retries == 1; });
  cancel();
  EXPECT_TRUE(ending_.is(ErrorKind::Cancelled));
  EXPECT_EQ(attempts, 1);
  EXPECT_EQ(retry.metrics().cancelled_calls, 1U);
}

TEST_F(AsioCancellation, InTheQueueOfABulkhead) {
  Bulkhead bulkhead(
      {.max_concurrent_calls = 1, .max_queued = 1, .max_wait_duration = kNotInThisTest});
  auto taken = bulkhead.try_acquire();
  async_execute(
      io_, bulkhead, [] { return forever(); }, cancellable());
  run_until(io_, [&] { return bulkhead.metrics().waiting == 1; });
  cancel();
  EXPECT_TRUE(ending_.is(ErrorKind::Cancelled));
  EXPECT_EQ(bulkhead.metrics().cancelled, 1U);
  EXPECT_EQ(bulkhead.metrics().waiting, 0U);
}

TEST_F(AsioCancellation, ThatRacesAPermitGivesThePermitBack) {
  Bulkhead bulkhead(
      {.max_concurrent_calls = 1, .max_queued = 1, .max_wait_duration = kNotInThisTest});
  auto taken = bulkhead.try_acquire();
  bool called = false;
  const auto operation = [&]() -> awaitable<void> {
    called = true;
    co_return;
  };
  async_execute(io_, bulkhead, operation, cancellable());
  run_until(io_, [&] { return bulkhead.metrics().waiting == 1; });
  taken->release();  // Granted, but the call has not seen it yet.
  cancel();
  EXPECT_TRUE(ending_.is(ErrorKind::Cancelled));
  EXPECT_FALSE(called);
  EXPECT_EQ(bulkhead.metrics().granted, 2U);
  EXPECT_EQ(bulkhead.metrics().in_use, 0U);
}

TEST_F(AsioCancellation, WhileARateLimiterMakesItWait) {
  RateLimiter limiter({.algorithm = ratelimiter::Algorithm::Gcra,
                       .limit_for_period = 1,
                       .limit_refresh_period = 1h,
                       .timeout_duration = 2h});
  ASSERT_TRUE(limiter.try_acquire().has_value());
  async_execute(
      io_, limiter, [] { return forever(); }, cancellable());
  run_until(io_, [&] { return limiter.metrics().delayed == 1; });
  cancel();
  EXPECT_TRUE(ending_.is(ErrorKind::Cancelled));
}

TEST_F(AsioCancellation, AfterASuccessChangesNothing) {
  const auto operation = []() -> awaitable<void> {
    co_await net::this_coro::throw_if_cancelled(false);
    net::steady_timer timer(co_await net::this_coro::executor,
                            net::steady_timer::time_point::max());
    co_await timer.async_wait(net::as_tuple(use_awaitable));
  };
  async_execute(io_, Pipeline({}), operation, cancellable());
  io_.poll();
  cancel();
  EXPECT_TRUE(ending_.result->has_value());
  signal_.emit(net::cancellation_type::terminal);  // The slot is empty now.
}

TEST_F(AsioCancellation, IsNotCoveredUpByAFallback) {
  Fallback<void> fallback({fallback::use_call<void>([] {})});
  async_execute(
      io_, Pipeline({}).with(fallback), [] { return forever(); }, cancellable());
  io_.poll();
  cancel();
  EXPECT_TRUE(ending_.is(ErrorKind::Cancelled));
}

// ---- completion tokens

TEST(AsioTokens, NothingHappensInsideTheInitiatingFunction) {
  net::io_context io;
  bool called = false;
  bool completed = false;
  const auto operation = [&]() -> awaitable<void> {
    called = true;
    co_return;
  };
  net::post(io, [&] {
    async_execute(io, Pipeline({}), operation, [&](const Result<void>&) { completed = true; });
    EXPECT_FALSE(called);
    EXPECT_FALSE(completed);
  });
  io.run();
  EXPECT_TRUE(completed);
}

TEST(AsioTokens, ACallbackMayBeMoveOnly) {
  net::io_context io;
  auto expected = std::make_unique<int>(7);
  bool completed = false;
  async_execute(io, Pipeline({}), seven, [&, expected = std::move(expected)](Result<int> result) {
    completed = *result == *expected;
  });
  io.run();
  EXPECT_TRUE(completed);
}

TEST(AsioTokens, UseFutureWithAnExecutor) {
  net::io_context io;
  std::future<Result<int>> future = async_execute(io, Pipeline({}), seven, net::use_future);
  io.run();
  EXPECT_EQ(*future.get(), 7);
}

TEST(AsioTokens, UseFutureOnTheSystemExecutor) {
  EXPECT_EQ(*async_execute(Pipeline({}), seven, net::use_future).get(), 7);
}

TEST(AsioTokens, UseAwaitableRunsOnTheCallersExecutor) {
  net::io_context io;
  int got = 0;
  const auto caller = [&]() -> awaitable<void> {
    const Result<int> result = co_await async_execute(Pipeline({}), seven, use_awaitable);
    got = *result;
  };
  net::co_spawn(io, caller, net::detached);
  io.run();
  EXPECT_EQ(got, 7);
}

TEST(AsioTokens, CancellingTheCallersCoroutineCancelsTheCall) {
  net::io_context io;
  net::cancellation_signal signal;
  std::optional<ErrorKind> kind;
  const auto caller = [&]() -> awaitable<void> {
    co_await net::this_coro::throw_if_cancelled(false);
    const auto operation = [] { return forever(); };
    const Result<void> result = co_await async_execute(Pipeline({}), operation, use_awaitable);
    kind = result.error().kind();
  };
  net::co_spawn(io, caller, net::bind_cancellation_slot(signal.slot(), net::detached));
  io.poll();
  signal.emit(net::cancellation_type::terminal);
  io.run();
  EXPECT_EQ(kind, ErrorKind::Cancelled);
}

TEST(AsioTokens, DeferredStartsWhenItIsLaunched) {
  net::io_context io;
  Ending<int> ending;
  auto later = async_execute(io, Pipeline({}), seven, net::deferred);
  EXPECT_EQ(io.run(), 0U);
  io.restart();
  std::move(later)(ending.handler());
  io.run();
  EXPECT_EQ(ending.times, 1);
  EXPECT_TRUE(ending.result->has_value());
}

TEST(AsioTokens, ABoundExecutorRunsTheOperationAndTheHandler) {
  net::io_context io;
  auto strand = net::make_strand(io);
  bool there = false;
  async_execute(Pipeline({}), seven, net::bind_executor(strand, [&](const Result<int>&) {
                  there = strand.running_in_this_thread();
                }));
  io.run();
  EXPECT_TRUE(there);
}

TEST(AsioTokens, TheHandlerCompletesOnItsOwnExecutorAndKeepsThatBusy) {
  net::io_context io;
  net::io_context other;
  bool completed = false;
  async_execute(io, Pipeline({}), seven,
                net::bind_executor(other, [&](const Result<int>&) { completed = true; }));
  other.poll();
  EXPECT_FALSE(other.stopped());  // It has work to wait for.
  io.run();
  EXPECT_FALSE(completed);
  EXPECT_EQ(other.run(), 1U);
  EXPECT_TRUE(completed);
}

// ---- what an operation may return or throw

TEST(AsioOperation, MayYieldWhatHasNoDefaultAndCannotBeCopied) {
  struct Answer {
    explicit Answer(int number) : value(std::make_unique<int>(number)) {}
    std::unique_ptr<int> value;
  };
  net::io_context io;
  Retry retry(eager(2));
  int got = 0;
  async_execute(
      io, retry, []() -> awaitable<Answer> { co_return Answer(7); },
      [&](Result<Answer> result) { got = *result->value; });
  io.run();
  EXPECT_EQ(got, 7);
}

TEST(AsioOperation, ForeignErrorsAndExceptionsBecomeErrors) {
  net::io_context io;
  std::vector<Ending<int>> endings(4);
  const auto start = [&](std::size_t i, auto operation) {
    async_execute(io, Pipeline({}), operation, endings[i].handler());
  };
  start(0, []() -> awaitable<Result<int, boost::system::error_code>> {
    co_return Unexpected(boost::system::error_code(net::error::connection_reset));
  });
  start(1, []() -> awaitable<int> {
    throw boost::system::system_error(net::error::eof);
    co_return 1;
  });
  start(2, []() -> awaitable<int> {
    throw boost::system::system_error(net::error::host_not_found);
    co_return 1;
  });
  start(3, []() -> awaitable<int> { throw std::logic_error("not a coroutine"); });
  io.run();
  for (const Ending<int>& ending : endings) ASSERT_TRUE(ending.is(ErrorKind::OperationFailed));
  EXPECT_EQ(endings[0].result->error().code(), std::errc::connection_reset);
  EXPECT_EQ(endings[1].result->error().classification().error_class, ErrorClass::Connection);
  EXPECT_EQ(endings[2].result->error().classification().delivery, Delivery::NotSent);
  EXPECT_EQ(endings[3].result->error().message(), "not a coroutine");
}

TEST(AsioOperation, AFallbackAnswersForAFailure) {
  net::io_context io;
  Fallback<int> fallback({fallback::use_value(42)});
  const auto guarded = Pipeline({}).with(fallback);
  Ending<int> failed;
  Ending<int> succeeded;
  const auto broken = []() -> awaitable<int> {
    throw std::runtime_error("broken");
    co_return 1;
  };
  async_execute(io, guarded, broken, failed.handler());
  async_execute(io, guarded, seven, succeeded.handler());
  io.run();
  EXPECT_EQ(**failed.result, 42);
  EXPECT_EQ(**succeeded.result, 7);
  EXPECT_EQ(fallback.metrics().degraded, 1U);
  EXPECT_EQ(fallback.metrics().primary, 1U);
}

// ---- an execution context that ends first

TEST(AsioShutdown, PermitsGoBackWhenTheContextIsDestroyed) {
  CircuitBreaker breaker;
  Bulkhead bulkhead(
      {.max_concurrent_calls = 1, .max_queued = 100, .max_wait_duration = kNotInThisTest});
  Retry retry({.max_attempts = 2, .backoff = {.initial_interval = 1h}, .idempotent = true});
  TimeLimiter timeout({.timeout_duration = kNotInThisTest});
  net::cancellation_signal signal;
  const auto alive = std::make_shared<int>();
  bool completed = false;
  {
    net::io_context io;
    const auto waiting = [alive] { return forever(); };
    const auto handler = [alive, &completed](const Result<void>&) { completed = true; };
    const Pipeline pipeline({.total_timeout = &timeout,
                             .circuit_breaker = &breaker,
                             .bulkhead = &bulkhead,
                             .attempt_timeout = &timeout});
    for (int i = 0; i < 10; ++i) {
      async_execute(io, pipeline, waiting, handler);
    }
    const auto broken = [alive]() -> awaitable<void> {
      throw std::runtime_error("broken");
      co_return;
    };
    async_execute(io, retry, broken, net::bind_cancellation_slot(signal.slot(), handler));
    io.poll();
    async_execute(io, pipeline, waiting, handler);  // Not even begun.
    EXPECT_EQ(bulkhead.metrics().waiting, 9U);
    EXPECT_EQ(retry.metrics().retries, 1U);
  }
  EXPECT_FALSE(completed);
  EXPECT_EQ(alive.use_count(), 1);
  EXPECT_EQ(bulkhead.metrics().in_use, 0U);
  EXPECT_EQ(bulkhead.metrics().waiting, 0U);
  EXPECT_EQ(breaker.metrics().released, 10U);
  signal.emit(net::cancellation_type::terminal);
}

// ---- threads

// Two threads run the context; policies are shared by all calls.
class AsioThreads : public testing::Test {
 protected:
  void run() {
    std::jthread second([this] { io_.run(); });
    io_.run();
  }

  net::io_context io_;
};

TEST_F(AsioThreads, EveryCallCompletesOnceAndTheCountsAddUp) {
  constexpr int kCalls = 400;
  CircuitBreaker breaker;
  breaker.transition_to(circuitbreaker::State::MetricsOnly);
  Bulkhead bulkhead(
      {.max_concurrent_calls = 4, .max_queued = kCalls, .max_wait_duration = kNotInThisTest});
  AdaptiveLimiter adaptive({.initial_limit = 100, .limit_min = 100});
  TimeLimiter total({.timeout_duration = kNotInThisTest});
  TimeLimiter each({.timeout_duration = 1ms});
  Retry retry(eager(3));
  const Pipeline pipeline({.total_timeout = &total,
                           .retry = &retry,
                           .circuit_breaker = &breaker,
                           .bulkhead = &bulkhead,
                           .adaptive_limiter = &adaptive,
                           .attempt_timeout = &each});
  std::atomic<int> completed{0};
  std::atomic<unsigned> attempts{0};
  const auto operation = [&](int kind) {
    return [&attempts, kind](const CallContext& context) -> awaitable<int> {
      ++attempts;
      co_await net::post(use_awaitable);
      if (kind == 1 && context.attempt == 1) throw std::runtime_error("broken");
      if (kind == 2 && context.attempt == 1) co_await forever();
      co_return kind;
    };
  };
  for (int i = 0; i < kCalls; ++i) {
    async_execute(io_, pipeline, operation(i % 3), [&](const Result<int>&) { ++completed; });
  }
  run();
  EXPECT_EQ(completed, kCalls);
  const auto counts = breaker.metrics();
  EXPECT_EQ(counts.successful + counts.failed, attempts);
  EXPECT_EQ(bulkhead.metrics().granted, attempts);
  EXPECT_EQ(bulkhead.metrics().in_use, 0U);
  EXPECT_EQ(bulkhead.metrics().waiting, 0U);
  EXPECT_EQ(adaptive.metrics().in_flight, 0U);
  const auto ended = total.metrics();
  EXPECT_EQ(ended.successful + ended.failed, static_cast<std::uint64_t>(kCalls));
  EXPECT_EQ(attempts, static_cast<std::uint64_t>(kCalls) + retry.metrics().retries);
}

// Somebody who starts a call and thinks better of it, all on one strand.
class Fickle {
 public:
  explicit Fickle(net::io_context& io) : strand_(net::make_strand(io)) {}

  void begin(const Pipeline& pipeline) {
    net::post(strand_, [this, pipeline] { call(pipeline); });
    net::post(strand_, [this] { signal_.emit(net::cancellation_type::terminal); });
  }
  int completions() const { return completions_; }

 private:
  void call(const Pipeline& pipeline) {
    auto count = [this](const Result<void>&) { ++completions_; };
    async_execute(
        pipeline, [] { return forever(); },
        net::bind_cancellation_slot(signal_.slot(), net::bind_executor(strand_, count)));
  }

  net::strand<net::io_context::executor_type> strand_;
  net::cancellation_signal signal_;
  int completions_ = 0;
};

TEST_F(AsioThreads, CancellationRacesPermitsAndTimeouts) {
  constexpr int kCalls = 200;
  Bulkhead bulkhead(
      {.max_concurrent_calls = 2, .max_queued = kCalls, .max_wait_duration = kNotInThisTest});
  TimeLimiter timeout({.timeout_duration = 1ms});
  const Pipeline pipeline({.bulkhead = &bulkhead, .attempt_timeout = &timeout});
  std::list<Fickle> callers;
  for (int i = 0; i < kCalls; ++i) callers.emplace_back(io_).begin(pipeline);
  run();
  for (const Fickle& caller : callers) EXPECT_EQ(caller.completions(), 1);
  EXPECT_EQ(bulkhead.metrics().in_use, 0U);
  EXPECT_EQ(bulkhead.metrics().waiting, 0U);
}

TEST_F(AsioThreads, APermitMayArriveWhileTheContextIsDestroyed) {
  Bulkhead bulkhead(
      {.max_concurrent_calls = 1, .max_queued = 1, .max_wait_duration = kNotInThisTest});
  for (int round = 0; round < 200; ++round) {
    auto taken = bulkhead.try_acquire();
    ASSERT_TRUE(taken.has_value());
    std::atomic<bool> go{false};
    std::jthread releaser([&] {
      go.wait(false);
      taken->release();
    });
    net::io_context io;
    async_execute(io, bulkhead, seven, net::detached);
    io.poll();
    go = true;
    go.notify_one();
  }
  EXPECT_EQ(bulkhead.metrics().in_use, 0U);
}

}  // namespace
}  // namespace recover
