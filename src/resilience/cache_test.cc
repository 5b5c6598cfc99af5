#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <deque>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <recover/cache.h>
#include <recover/random.h>

#include "test/on_threads.h"

namespace recover {

// A value that can mean failure, like an HTTP response.
struct Response {
  int status = 200;
};
template <>
struct ResultTraits<Response> {
  static bool is_failure(const Response& response) { return response.status >= 500; }
  static Classification classify(const Response&) { return {}; }
};

namespace cache {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Error down(Persistence persistence = Persistence::Transient) {
  return Error(ErrorKind::OperationFailed, {.persistence = persistence});
}

constexpr CacheConfig kConfig = {.entries_max = 3,
                                 .max_age = seconds{10},
                                 .stale_while_revalidate = seconds{5},
                                 .stale_if_error = seconds{20}};

TEST(CacheConfig, DefaultsWorkAndBadFieldsAreNamed) {
  EXPECT_TRUE(CacheConfig{}.validate().has_value());
  EXPECT_EQ(CacheConfig{.entries_max = 0}.validate().error().message(),
            "cache.entries_max: must be 1 to 16777216, got 0");
  const auto message = [](const CacheConfig& config) {
    return config.validate().error().message();
  };
  EXPECT_NE(message({.max_age = Duration{-1}}).find("max_age"), std::string::npos);
  EXPECT_NE(message({.stale_if_error = Duration{-1}}).find("stale_if_error"), std::string::npos);
}

TEST(Freshness, WindowsIncludeTheirStartAndExcludeTheirEnd) {
  EXPECT_EQ(freshness_of(kConfig, seconds{0}), Freshness::Fresh);
  EXPECT_EQ(freshness_of(kConfig, seconds{10} - Duration{1}), Freshness::Fresh);
  EXPECT_EQ(freshness_of(kConfig, seconds{10}), Freshness::Revalidate);
  EXPECT_EQ(freshness_of(kConfig, seconds{15}), Freshness::StaleIfError);
  EXPECT_EQ(freshness_of(kConfig, seconds{30} - Duration{1}), Freshness::StaleIfError);
  EXPECT_EQ(freshness_of(kConfig, seconds{30}), Freshness::Expired);
  EXPECT_EQ(freshness_of({.max_age = Duration{0}, .stale_if_error = Duration{0}}, Duration{0}),
            Freshness::Expired);
}

// A cache of three entries beside a list of what it should hold, most recently used first.
class CacheAndModel {
 public:
  void advance(Duration by) { clock_.advance(by); }
  void find(int key) {
    const std::optional<Known> known = take(key);
    const std::optional<Lookup<int>> found = cache_.find(key);
    RC_ASSERT(found.has_value() == known.has_value());
    if (!known) return;
    RC_ASSERT(found->value == known->value);
    RC_ASSERT(found->age == clock_.now() - known->since);
    model_.push_front(*known);
  }
  void store(int key, int value) {
    forget(key);
    cache_.store(key, value);
    if (model_.size() == kConfig.entries_max) model_.pop_back();
    model_.push_front({.key = key, .value = value, .since = clock_.now()});
  }
  void erase(int key) { RC_ASSERT(cache_.erase(key) == (forget(key) > 0)); }
  void check() const { RC_ASSERT(cache_.metrics().entries == model_.size()); }

 private:
  struct Known {
    int key;
    int value;
    Instant since;
  };

  std::size_t forget(int key) {
    return std::erase_if(model_, [&](const Known& known) { return known.key == key; });
  }
  // Out of the model; nothing when it has expired.
  std::optional<Known> take(int key) {
    const auto found = std::find_if(model_.begin(), model_.end(),
                                    [&](const Known& known) { return known.key == key; });
    if (found == model_.end()) return std::nullopt;
    const Known known = *found;
    model_.erase(found);
    if (clock_.now() - known.since >= seconds{30}) return std::nullopt;
    return known;
  }

  ManualClock clock_;
  Cache<int, int> cache_{kConfig, clock_};
  std::deque<Known> model_;
};

RC_GTEST_PROP(Cache, AgreesWithAList, (const std::vector<std::uint16_t>& script)) {
  CacheAndModel both;
  for (const std::uint16_t word : script) {
    both.advance(milliseconds{word / 64 * 8});
    const int key = word % 5;
    switch (word / 8 % 4) {
      case 0:
      case 1: both.find(key); break;
      case 2: both.store(key, word); break;
      case 3: both.erase(key); break;
    }
    both.check();
  }
}

struct CacheTest : testing::Test {
  ManualClock clock;
  int loads = 0;
  bool failing = false;
  Persistence persistence = Persistence::Transient;

  Result<int> load() {
    ++loads;
    if (failing) return Unexpected(down(persistence));
    return loads;
  }
  template <class C>
  Result<Lookup<int>> get(C& cache, const std::string& key = "k") {
    return cache.get_or_load(key, [this] { return load(); });
  }
};

TEST_F(CacheTest, LoadsOncePerMaxAge) {
  Cache<std::string, int> cache(kConfig, clock);
  EXPECT_EQ(get(cache)->value, 1);
  clock.advance(seconds{9});
  EXPECT_EQ(get(cache)->value, 1);
  EXPECT_EQ(get(cache)->age, seconds{9});
  clock.advance(seconds{1});
  EXPECT_EQ(get(cache)->value, 2);
  EXPECT_EQ(cache.metrics().hits, 2U);
  EXPECT_EQ(cache.metrics().loads, 2U);
}

TEST_F(CacheTest, OneCallerRevalidatesWhileOthersGetTheStaleValue) {
  Cache<std::string, int> cache(kConfig, clock);
  cache.store("k", 7);
  clock.advance(seconds{12});
  const Result<Lookup<int>> loaded = cache.get_or_load("k", [&] {
    const Result<Lookup<int>> other = get(cache);
    EXPECT_EQ(other->value, 7);
    EXPECT_EQ(other->freshness, Freshness::Revalidate);
    EXPECT_FALSE(other->after_error);
    return 8;
  });
  EXPECT_EQ(loaded->value, 8);
  EXPECT_EQ(loads, 0);
  EXPECT_EQ(cache.metrics().stale_hits, 1U);
}

TEST_F(CacheTest, ServesStaleWhenTheLoadFails) {
  Cache<std::string, int> cache(kConfig, clock);
  std::vector<EventKind> events;
  cache.on_event([&](const Event& event) { events.push_back(event.kind); });
  EXPECT_EQ(get(cache)->value, 1);
  failing = true;
  clock.advance(seconds{29});
  const Result<Lookup<int>> stale = get(cache);
  EXPECT_EQ(stale->value, 1);
  EXPECT_TRUE(stale->after_error);
  EXPECT_EQ(stale->age, seconds{29});
  clock.advance(seconds{1});
  EXPECT_FALSE(get(cache).has_value());
  EXPECT_EQ(events, (std::vector{EventKind::ServedStale, EventKind::LoadFailed}));
}

TEST_F(CacheTest, APermanentFailureIsNotPaperedOver) {
  Cache<std::string, int> cache(kConfig, clock);
  get(cache).value();
  failing = true;
  persistence = Persistence::Permanent;
  clock.advance(seconds{10});
  EXPECT_FALSE(get(cache).has_value());
}

TEST_F(CacheTest, FailuresAreRememberedOnlyForNegativeTtl) {
  Cache<std::string, int> forgetful(kConfig, clock);
  failing = true;
  EXPECT_FALSE(get(forgetful).has_value());
  EXPECT_FALSE(get(forgetful).has_value());
  EXPECT_EQ(loads, 2);
  CacheConfig config = kConfig;
  config.negative_ttl = seconds{2};
  Cache<std::string, int> cache(config, clock);
  EXPECT_FALSE(get(cache).has_value());
  EXPECT_FALSE(get(cache).has_value());
  EXPECT_EQ(loads, 3);
  EXPECT_EQ(cache.metrics().negative_hits, 1U);
  failing = false;
  clock.advance(seconds{2});
  EXPECT_EQ(get(cache)->value, 4);
  failing = true;
  clock.advance(seconds{10});
  EXPECT_TRUE(get(cache)->after_error);
  EXPECT_TRUE(get(cache)->after_error);
  EXPECT_EQ(loads, 5);
}

TEST_F(CacheTest, AThrowingLoaderLeavesTheKeyUsable) {
  Cache<std::string, int> cache(kConfig, clock);
  const Result<Lookup<int>> failed =
      cache.get_or_load("k", []() -> int { throw std::runtime_error("unreachable"); });
  EXPECT_FALSE(failed.has_value());
  EXPECT_EQ(get(cache)->value, 1);
}

TEST_F(CacheTest, AValueThatMeansFailureIsNotTheLastGoodOne) {
  LastGoodCache<Response> cache({.max_age = Duration{0}}, clock);
  EXPECT_EQ(cache.get_or_load([] { return Response{.status = 503}; })->value.status, 503);
  EXPECT_EQ(cache.get_or_load([] { return Response{.status = 201}; })->value.status, 201);
  const Result<Lookup<Response>> stale = cache.get_or_load([] { return Response{.status = 503}; });
  EXPECT_EQ(stale->value.status, 201);
  EXPECT_TRUE(stale->after_error);
}

TEST_F(CacheTest, ForgetsTheLeastRecentlyUsed) {
  Cache<std::string, int> cache(kConfig, clock);
  for (const char* key : {"a", "b", "c"}) cache.store(key, 1);
  EXPECT_TRUE(cache.find("a").has_value());
  cache.store("d", 1);
  EXPECT_FALSE(cache.find("b").has_value());
  EXPECT_TRUE(cache.find("a").has_value());
  EXPECT_EQ(cache.metrics().evictions, 1U);
  EXPECT_EQ(cache.metrics().entries, 3U);
}

TEST_F(CacheTest, LastGoodValueOfOneCall) {
  LastGoodCache<int> cache({.max_age = Duration{0}, .stale_if_error = seconds{60}}, clock);
  const auto call = [&] { return cache.get_or_load([this] { return load(); }); };
  EXPECT_EQ(call()->value, 1);
  EXPECT_EQ(call()->value, 2);
  failing = true;
  EXPECT_EQ(call()->value, 2);
  EXPECT_EQ(cache.find()->value, 2);
  clock.advance(seconds{60});
  EXPECT_FALSE(call().has_value());
}

TEST(Cache, ALoaderSeesTheCallersStopToken) {
  ManualClock clock;
  Cache<int, bool> cache({}, clock);
  LastGoodCache<bool> one({}, clock);
  std::stop_source caller;
  const auto is_callers = [&](const std::stop_token& stop) { return stop == caller.get_token(); };
  EXPECT_TRUE(cache.get_or_load(1, is_callers, caller.get_token())->value);
  EXPECT_TRUE(one.get_or_load(is_callers, caller.get_token())->value);
}

void wait_until_joined(const Cache<int, int>& cache, std::uint64_t followers) {
  while (cache.metrics().joined < followers) std::this_thread::yield();
}

TEST(CacheThreads, OneLoadServesAllWhoWait) {
  Cache<int, int> cache;
  const auto follow = [&] { EXPECT_EQ(cache.get_or_load(1, [] { return 5; })->value, 4); };
  std::vector<std::jthread> followers;
  const Result<Lookup<int>> first = cache.get_or_load(1, [&] {
    for (int i = 0; i < 4; ++i) followers.emplace_back(follow);
    wait_until_joined(cache, 4);
    return 4;
  });
  EXPECT_EQ(first->value, 4);
  followers.clear();  // Joins.
  EXPECT_EQ(cache.metrics().loads, 1U);
}

TEST(CacheThreads, ACancelledLoadIsTakenOverByAFollower) {
  Cache<int, int> cache;
  const auto follow = [&] { EXPECT_EQ(cache.get_or_load(1, [] { return 9; })->value, 9); };
  std::jthread follower;
  const Result<Lookup<int>> first = cache.get_or_load(1, [&]() -> Result<int> {
    follower = std::jthread(follow);
    wait_until_joined(cache, 1);
    return Unexpected(Error::cancelled());
  });
  EXPECT_EQ(first.error().kind(), ErrorKind::Cancelled);
}

TEST(CacheThreads, AFollowerMayGiveUp) {
  Cache<int, int> cache;
  const auto follow = [&](const CallContext& context, ErrorKind expected) {
    const Result<Lookup<int>> result = cache.get_or_load(
        1, [] { return 9; }, context);
    EXPECT_EQ(result.error().kind(), expected);
  };
  const Result<Lookup<int>> first = cache.get_or_load(1, [&] {
    std::stop_source stop;
    std::jthread impatient(follow, CallContext{.stop = stop.get_token()}, ErrorKind::Cancelled);
    wait_until_joined(cache, 1);
    stop.request_stop();
    const Instant soon = SteadyClock::instance().now() + milliseconds{1};
    const std::jthread late(follow, CallContext{.deadline = soon}, ErrorKind::TimeoutExceeded);
    wait_until_joined(cache, 2);
    impatient.join();
    return 4;
  });
  EXPECT_EQ(first->value, 4);
}

// Loads keys, some of them with a failure, and notices when two loads of one key overlap.
class WatchfulLoader {
 public:
  Result<std::uint64_t> load(std::uint64_t key, bool fails) {
    EXPECT_EQ(loading_[key].fetch_add(1), 0);
    loads_.fetch_add(1);
    loading_[key].fetch_sub(1);
    if (fails) return Unexpected(down());
    return key;
  }
  std::uint64_t loads() const { return loads_.load(); }

  static constexpr std::uint64_t kKeys = 6;

 private:
  std::array<std::atomic<int>, kKeys> loading_{};
  std::atomic<std::uint64_t> loads_{0};
};

void get_once(Cache<std::uint64_t, std::uint64_t>& cache, WatchfulLoader& loader, Random& random) {
  const std::uint64_t key = random.next() % WatchfulLoader::kKeys;
  const bool fails = random.next() % 8 == 0;
  const auto result = cache.get_or_load(key, [&] { return loader.load(key, fails); });
  EXPECT_TRUE(!result || result->value == key);
}

TEST(CacheStress, NeverTwoLoadsOfOneKeyAtOnce) {
  constexpr unsigned kThreads = 8;
  constexpr std::uint64_t kCalls = 2'000;
  Cache<std::uint64_t, std::uint64_t> cache(
      {.entries_max = 4, .max_age = std::chrono::microseconds{20}, .stale_if_error = Duration{0}});
  WatchfulLoader loader;
  test::on_threads(kThreads, [&](unsigned index) {
    Random random(index);
    for (std::uint64_t i = 0; i < kCalls; ++i) get_once(cache, loader, random);
  });
  const Metrics metrics = cache.metrics();
  EXPECT_EQ(metrics.loads, loader.loads());
  EXPECT_EQ(metrics.hits + metrics.loads + metrics.joined, kThreads * kCalls);
  EXPECT_LE(metrics.entries, 4U);
}

// What a load brings is older than what was stored or erased while it was under way.
TEST(Cache, ALoadUndoesNoLaterStoreOrErase) {
  ManualClock clock;
  Cache<int, int> cache({}, clock);
  EXPECT_EQ(cache.get_or_load(1, [&] { return cache.store(1, 200), 100; })->value, 100);
  EXPECT_EQ(cache.find(1)->value, 200);
  EXPECT_EQ(cache.get_or_load(2, [&] { return cache.erase(2), 100; })->value, 100);
  EXPECT_FALSE(cache.find(2).has_value());
}

TEST(Cache, LoadsNothingOnceStopped) {
  ManualClock clock;
  Cache<int, int> cache({}, clock);
  std::stop_source stop;
  stop.request_stop();
  int loads = 0;
  const auto found = cache.get_or_load(
      1, [&] { return ++loads; }, stop.get_token());
  EXPECT_EQ(found.error().kind(), ErrorKind::Cancelled);
  EXPECT_EQ(loads, 0);
}

}  // namespace
}  // namespace cache
}  // namespace recover
