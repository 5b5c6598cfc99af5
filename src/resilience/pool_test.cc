#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <recover/pool.h>

#include "test/on_threads.h"

namespace recover::pool {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

Instant at(int s) {
  return Instant{seconds{s}};
}

Error refused(Persistence persistence = Persistence::Transient) {
  return Error(ErrorKind::OperationFailed,
               {.error_class = ErrorClass::Connection, .persistence = persistence});
}

TEST(PoolConfig, DefaultsWorkAndBadFieldsAreNamed) {
  EXPECT_TRUE(PoolConfig{}.validate().has_value());
  const auto message = [](const PoolConfig& config) { return config.validate().error().message(); };
  EXPECT_EQ(message({.max_size = 0}), "pool.max_size: must be 1 to 4096, got 0");
  EXPECT_NE(message({.min_idle = 11}).find("min_idle"), std::string::npos);
  EXPECT_NE(message({.max_waiters = 1'000'000}).find("max_waiters"), std::string::npos);
  EXPECT_NE(message({.max_wait = Duration{-1}}).find("max_wait"), std::string::npos);
  EXPECT_NE(message({.idle_timeout = Duration{0}}).find("idle_timeout"), std::string::npos);
  EXPECT_NE(message({.max_lifetime = Duration{0}}).find("max_lifetime"), std::string::npos);
  EXPECT_NE(message({.connect_attempts = 0}).find("connect_attempts"), std::string::npos);
}

// A ledger of three slots beside a list of those that are idle and a list of those that are out.
class LedgerAndModel {
 public:
  void advance(Duration by) { now_ += by; }
  void acquire() {
    const std::optional<Grant> grant = ledger_.acquire(now_);
    RC_ASSERT(grant.has_value() == (out_.size() < kConfig.max_size));
    if (!grant) return;
    RC_ASSERT(std::find(out_.begin(), out_.end(), grant->slot) == out_.end());
    RC_ASSERT(grant->todo == expected_todo(grant->slot));
    if (!idle_.empty()) idle_.pop_back();
    out_.push_back(grant->slot);
    if (grant->todo != Todo::Open) return;
    ledger_.opened(grant->slot, now_);
    opened_[grant->slot] = now_;
  }
  void keep(std::size_t pick) {
    const std::optional<std::size_t> slot = take_out(pick);
    if (!slot) return;
    ledger_.keep(*slot, now_);
    idle_.push_back({.slot = *slot, .since = now_});
  }
  void discard(std::size_t pick) {
    if (const std::optional<std::size_t> slot = take_out(pick)) ledger_.discard(*slot);
  }
  void evict() {
    while (const std::optional<std::size_t> slot = ledger_.acquire_expired(now_)) {
      const auto found = std::find_if(idle_.begin(), idle_.end(),
                                      [&](const Idle& idle) { return idle.slot == *slot; });
      RC_ASSERT(found != idle_.end());
      RC_ASSERT(worn_out(*found) || (idle_.size() > kConfig.min_idle && expired(*found)));
      idle_.erase(found);
      ledger_.discard(*slot);
    }
  }
  void check() const {
    RC_ASSERT(ledger_.idle() == idle_.size());
    RC_ASSERT(ledger_.out() == out_.size());
  }

 private:
  struct Idle {
    std::size_t slot;
    Instant since;
  };
  static constexpr PoolConfig kConfig = {.max_size = 3,
                                         .min_idle = 1,
                                         .validate_after_idle = seconds{2},
                                         .idle_timeout = seconds{10},
                                         .max_lifetime = seconds{30}};

  bool worn_out(const Idle& idle) const {
    return now_ - opened_[idle.slot] >= kConfig.max_lifetime;
  }
  bool expired(const Idle& idle) const {
    return worn_out(idle) || now_ - idle.since >= kConfig.idle_timeout;
  }
  Todo expected_todo(std::size_t slot) const {
    if (idle_.empty()) return Todo::Open;
    RC_ASSERT(slot == idle_.back().slot);
    if (expired(idle_.back())) return Todo::Open;
    const bool stale = now_ - idle_.back().since >= kConfig.validate_after_idle;
    return stale ? Todo::Validate : Todo::Nothing;
  }
  std::optional<std::size_t> take_out(std::size_t pick) {
    if (out_.empty()) return std::nullopt;
    const std::size_t slot = out_[pick % out_.size()];
    std::erase(out_, slot);
    return slot;
  }

  Ledger ledger_{kConfig};
  Instant now_ = at(0);
  std::deque<Idle> idle_;
  std::vector<std::size_t> out_;
  std::array<Instant, 3> opened_{};
};

RC_GTEST_PROP(Ledger, AgreesWithAList, (const std::vector<std::uint16_t>& script)) {
  LedgerAndModel both;
  for (const std::uint16_t word : script) {
    both.advance(milliseconds{word / 64 * 10});
    const std::size_t pick = word / 4U;
    switch (word % 4) {
      case 0: both.acquire(); break;
      case 1: both.keep(pick); break;
      case 2: both.discard(pick); break;
      case 3: both.evict(); break;
    }
    both.check();
  }
}

struct Connection {
  int id = 0;
  bool broken = false;
};

struct PoolTest : testing::Test {
  ManualClock clock;
  int opened = 0;
  int refusals = 0;  // How many of the next attempts fail.

  Pool<Connection> make(const PoolConfig& config) {
    return Pool<Connection>(
        config,
        [this]() -> Result<Connection> {
          if (refusals > 0) {
            --refusals;
            return Unexpected(refused());
          }
          return Connection{.id = ++opened};
        },
        [](Connection& connection) {
          if (connection.id < 0) throw std::runtime_error("check failed");
          return !connection.broken;
        },
        clock);
  }
};

TEST_F(PoolTest, ReusesTheObjectUsedLast) {
  auto pool = make({});
  {
    const auto a = pool.borrow();
    const auto b = pool.borrow();
    EXPECT_EQ((*a)->id, 1);
    EXPECT_EQ((*b)->id, 2);
    EXPECT_EQ(pool.metrics().out, 2U);
  }
  EXPECT_EQ(pool.metrics().idle, 2U);
  EXPECT_EQ((*pool.borrow())->id, 1);  // b went back first.
  EXPECT_EQ(opened, 2);
}

TEST_F(PoolTest, ChecksWhatHasBeenIdleAndReopensIt) {
  auto pool = make({});
  (*pool.borrow())->broken = true;
  EXPECT_EQ((*pool.borrow())->id, 1);  // Not idle for long enough to be checked.
  clock.advance(milliseconds{500});
  EXPECT_EQ((*pool.borrow())->id, 2);
  EXPECT_EQ(pool.metrics().validation_failed, 1U);
  (*pool.borrow())->id = -1;
  clock.advance(milliseconds{500});
  EXPECT_EQ((*pool.borrow())->id, 3);  // A check that throws is a check that failed.
  EXPECT_EQ(pool.metrics().closed, 2U);
}

TEST_F(PoolTest, ReplacesWhatIsPastItsTime) {
  auto pool = make({.idle_timeout = hours{2}});
  EXPECT_EQ((*pool.borrow())->id, 1);
  clock.advance(minutes{30});
  EXPECT_EQ((*pool.borrow())->id, 2);
}

TEST_F(PoolTest, InvalidatedObjectsAreNotLentAgain) {
  auto pool = make({.max_size = 1});
  auto lease = pool.borrow();
  lease->invalidate();
  EXPECT_EQ(pool.metrics().out, 0U);
  EXPECT_EQ((*pool.borrow())->id, 2);
}

TEST_F(PoolTest, RefusesWhenEmptyAndWhenTheWaitIsOver) {
  auto pool = make({.max_size = 1, .max_wait = seconds{3}});
  std::vector<EventKind> events;
  pool.on_event([&](const Event& event) { events.push_back(event.kind); });
  const auto lease = pool.borrow();
  EXPECT_EQ(pool.try_acquire().error().kind(), ErrorKind::PoolExhausted);
  EXPECT_EQ(clock.now(), at(0));
  EXPECT_EQ(pool.borrow().error().kind(), ErrorKind::PoolExhausted);
  EXPECT_EQ(clock.now(), at(3));
  EXPECT_EQ(pool.borrow({.deadline = at(4)}).error().kind(), ErrorKind::PoolExhausted);
  EXPECT_EQ(clock.now(), at(4));
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(pool.borrow({.stop = stop.get_token()}).error().kind(), ErrorKind::Cancelled);
  EXPECT_EQ(pool.borrow(stop.get_token()).error().kind(), ErrorKind::Cancelled);
  EXPECT_EQ(events.size(), 5U);
  EXPECT_EQ(pool.metrics().waited, 2U);
}

TEST_F(PoolTest, OpensWithBackoff) {
  auto pool = make({.backoff = {.initial_interval = seconds{1}}});
  refusals = 2;
  EXPECT_TRUE(pool.borrow().has_value());
  EXPECT_EQ(clock.now(), at(2));
  EXPECT_EQ(pool.metrics().open_failed, 2U);
}

TEST(Pool, JitterDiffersBetweenPoolsUnlessSeeded) {
  const auto opens_after = [](std::optional<std::uint64_t> seed) {
    ManualClock clock;
    int refusals = 2;
    Pool<int> pool(
        {.max_wait = hours{10},
         .backoff = {.initial_interval = hours{1}, .jitter = retry::Jitter::Full},
         .seed = seed},
        [&]() -> Result<int> {
          if (refusals-- > 0) return Unexpected(refused());
          return 1;
        },
        {}, clock);
    EXPECT_TRUE(pool.borrow(CallContext{}).has_value());
    return clock.now();
  };
  EXPECT_NE(opens_after({}), opens_after({}));
  EXPECT_NE(opens_after(0), opens_after(1));
  EXPECT_EQ(opens_after(0), opens_after(0));
}

TEST_F(PoolTest, GivesUpAfterTheLastAttemptAndNeverSleepsPastTheDeadline) {
  auto pool = make({.max_size = 1, .backoff = {.initial_interval = seconds{10}}});
  refusals = 3;
  EXPECT_EQ(pool.borrow().error().kind(), ErrorKind::OperationFailed);
  EXPECT_EQ(clock.now(), at(20));
  refusals = 3;
  EXPECT_EQ(pool.borrow({.deadline = at(30)}).error().kind(), ErrorKind::OperationFailed);
  EXPECT_EQ(clock.now(), at(20));
  refusals = 1;
  EXPECT_FALSE(pool.try_acquire().has_value());
  EXPECT_EQ(pool.metrics().out, 0U);
  EXPECT_TRUE(pool.borrow().has_value());
}

TEST(Pool, AThrowingOrPermanentlyFailingFactoryLeaksNothing) {
  ManualClock clock;
  int calls = 0;
  Pool<int> throwing(
      {.max_size = 1},
      [&]() -> int {
        ++calls;
        throw std::runtime_error("no route");
      },
      {}, clock);
  EXPECT_FALSE(throwing.borrow().has_value());
  EXPECT_FALSE(throwing.borrow().has_value());
  EXPECT_EQ(throwing.metrics().out, 0U);
  calls = 0;
  Pool<int> denied(
      {.max_size = 1},
      [&](const CallContext&) -> Result<int> {
        ++calls;
        return Unexpected(refused(Persistence::Permanent));
      },
      {}, clock);
  EXPECT_FALSE(denied.borrow().has_value());
  EXPECT_EQ(calls, 1);
}

TEST_F(PoolTest, EvictTrimsToMinIdleAndFillsUpToIt) {
  auto pool = make({.max_size = 4, .min_idle = 2});
  EXPECT_EQ(pool.evict(), 0U);
  EXPECT_EQ(pool.metrics().idle, 2U);
  {
    const auto a = pool.borrow();
    const auto b = pool.borrow();
    const auto c = pool.borrow();
  }
  EXPECT_EQ(pool.metrics().idle, 3U);
  clock.advance(minutes{10});
  EXPECT_EQ(pool.evict(), 1U);
  EXPECT_EQ(pool.metrics().idle, 2U);
  clock.advance(minutes{20});
  EXPECT_EQ(pool.evict(), 2U);  // Past max_lifetime, and replaced.
  EXPECT_EQ(pool.metrics().idle, 2U);
  EXPECT_EQ(opened, 5);
}

TEST_F(PoolTest, ExecuteInvalidatesWhatAFailureBreaks) {
  auto pool = make({});
  const auto call = [&](ErrorClass error_class) {
    return pool.execute([&](Connection& connection) -> Result<int> {
      if (error_class == ErrorClass::Unknown) return connection.id;
      return Unexpected(Error(ErrorKind::OperationFailed, {.error_class = error_class}));
    });
  };
  EXPECT_EQ(*call(ErrorClass::Unknown), 1);
  EXPECT_FALSE(call(ErrorClass::Permission).has_value());
  EXPECT_EQ(*call(ErrorClass::Unknown), 1);
  EXPECT_FALSE(call(ErrorClass::Connection).has_value());
  EXPECT_EQ(*call(ErrorClass::Unknown), 2);
}

void wait_until_waiting(const Pool<int>& pool, std::uint64_t borrowers) {
  while (pool.metrics().waited < borrowers) std::this_thread::yield();
}

// Borrowers queue up while the only object is out; it then goes round in their order.
TEST(PoolThreads, FirstComeFirstServed) {
  Pool<int> pool({.max_size = 1}, [] { return 7; });
  std::vector<unsigned> order;  // Touched by whoever holds the lease.
  const auto borrow = [&](unsigned index) {
    const auto mine = pool.borrow(CallContext{});
    ASSERT_TRUE(mine.has_value());
    order.push_back(index);
  };
  std::vector<std::jthread> borrowers;
  {
    const auto lease = pool.borrow();
    for (unsigned index = 0; index < 4; ++index) {
      borrowers.emplace_back(borrow, index);
      wait_until_waiting(pool, index + 1);
    }
  }
  borrowers.clear();  // Joins.
  EXPECT_EQ(order, (std::vector<unsigned>{0, 1, 2, 3}));
}

TEST(PoolThreads, AStopEndsTheWait) {
  Pool<int> pool({.max_size = 1}, [] { return 7; });
  const auto lease = pool.borrow();
  std::stop_source stop;
  const std::jthread waiter([&] {
    EXPECT_EQ(pool.borrow({.stop = stop.get_token()}).error().kind(), ErrorKind::Cancelled);
  });
  wait_until_waiting(pool, 1);
  stop.request_stop();
}

// Opens objects that count themselves, and fails now and then in each of its ways.
class FlakyFactory {
 public:
  static constexpr int kLiveMax = 3;

  class Object {
   public:
    explicit Object(std::atomic<int>& live) : live_(live) {
      EXPECT_LE(live_.fetch_add(1) + 1, kLiveMax);
    }
    Object(const Object&) = delete;
    Object& operator=(const Object&) = delete;
    ~Object() { live_.fetch_sub(1); }

    void use() {
      EXPECT_FALSE(in_use_.exchange(true));
      in_use_ = false;
    }

   private:
    std::atomic<int>& live_;
    std::atomic<bool> in_use_{false};
  };

  Result<std::unique_ptr<Object>> open() {
    const std::uint64_t draw = Random::mix(draws_.fetch_add(1)) % 8;
    if (draw == 0) throw std::runtime_error("refused");
    if (draw == 1) return Unexpected(refused(Persistence::Permanent));
    return std::make_unique<Object>(live_);
  }
  bool is_valid() { return Random::mix(draws_.fetch_add(1)) % 16 != 0; }
  int live() const { return live_.load(); }

 private:
  std::atomic<int> live_{0};
  std::atomic<std::uint64_t> draws_{0};
};

using FlakyPool = Pool<std::unique_ptr<FlakyFactory::Object>>;

// True when there was something to borrow.
bool borrow_once(FlakyPool& pool, Random& random) {
  if (random.next() % 32 == 0) pool.evict();
  auto lease = pool.borrow();
  if (!lease) return false;
  (**lease)->use();
  if (random.next() % 8 == 0) lease->invalidate();
  return true;
}

TEST(PoolStress, NeverMoreThanMaxAndEverythingComesBack) {
  constexpr unsigned kThreads = 8;
  constexpr int kRounds = 1'000;
  FlakyFactory factory;
  {
    FlakyPool pool(
        {.max_size = FlakyFactory::kLiveMax,
         .min_idle = 1,
         .validate_after_idle = Duration{0},
         .idle_timeout = std::chrono::microseconds{200},
         .connect_attempts = 2,
         .backoff = {.initial_interval = Duration{100}}},
        [&] { return factory.open(); },
        [&](std::unique_ptr<FlakyFactory::Object>&) { return factory.is_valid(); });
    std::atomic<std::uint64_t> borrowed{0};
    test::on_threads(kThreads, [&](unsigned index) {
      Random random(index);
      for (int i = 0; i < kRounds; ++i) borrowed.fetch_add(borrow_once(pool, random) ? 1 : 0);
    });
    const Metrics metrics = pool.metrics();
    EXPECT_EQ(metrics.borrowed, borrowed.load());
    EXPECT_EQ(metrics.out, 0U);
    EXPECT_EQ(metrics.idle, static_cast<std::size_t>(factory.live()));
    EXPECT_EQ(metrics.opened, metrics.closed + metrics.idle);
  }
  EXPECT_EQ(factory.live(), 0);
}

}  // namespace
}  // namespace recover::pool
