#include "core/cron.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

namespace recover::core {
namespace {

using namespace std::chrono_literals;

std::int64_t utc(int year, unsigned month, unsigned day, int hour = 0, int minute = 0,
                 int second = 0) {
  using namespace std::chrono;
  const sys_days date{std::chrono::year{year} / std::chrono::month{month} / std::chrono::day{day}};
  return sys_seconds{date}.time_since_epoch().count() + hour * 3600 + minute * 60 + second;
}

std::int64_t no_zone(std::int64_t /*utc*/) {
  return 0;
}
// Berlin in 2026: forward on March 29th at 01:00 UTC, back on October 25th at 01:00 UTC.
std::int64_t berlin(std::int64_t at) {
  return at >= utc(2026, 3, 29, 1) && at < utc(2026, 10, 25, 1) ? 7200 : 3600;
}

Cron cron(std::string_view text) {
  auto parsed = Cron::parse(text);
  EXPECT_TRUE(parsed.has_value()) << text << ": " << (parsed ? "" : parsed.error());
  return parsed ? *parsed : *Cron::parse("@yearly");
}

TEST(Cron, NextRuns) {
  const std::int64_t from = utc(2026, 2, 27, 13, 59, 59);  // A Friday.
  const struct {
    std::string_view text;
    std::int64_t due;
  } kCases[] = {
      {"* * * * * *", utc(2026, 2, 27, 14)},
      {"* * * * *", utc(2026, 2, 27, 14)},
      {"@hourly", utc(2026, 2, 27, 14)},
      {"30 * * * *", utc(2026, 2, 27, 14, 30)},
      {"*/20 * * * * *", utc(2026, 2, 27, 14)},
      {"59 59 13 * * *", utc(2026, 2, 28, 13, 59, 59)},
      {"0 2 * * *", utc(2026, 2, 28, 2)},
      {"@daily", utc(2026, 2, 28)},
      {"@midnight", utc(2026, 2, 28)},
      {"@weekly", utc(2026, 3, 1)},
      {"0 0 * * 7", utc(2026, 3, 1)},
      {"0 0 * * SUN", utc(2026, 3, 1)},
      {"0 0 * * mon-fri", utc(2026, 3, 2)},
      {"@monthly", utc(2026, 3, 1)},
      {"@yearly", utc(2027, 1, 1)},
      {"0 0 31 * *", utc(2026, 3, 31)},
      {"0 0 29 2 *", utc(2028, 2, 29)},
      {"0 0 13 * 5", utc(2026, 3, 6)},  // The 13th or a Friday.
      {"0 0 1 dec *", utc(2026, 12, 1)},
      {"0 6-18/6 * * *", utc(2026, 2, 27, 18)},
      {"5,10 14 * * *", utc(2026, 2, 27, 14, 5)},
      {"0 22/1 * * *", utc(2026, 2, 27, 22)},
  };
  for (const auto& [text, due] : kCases) EXPECT_EQ(cron(text).next(from, no_zone), due) << text;
}

TEST(Cron, MistakesAreNamed) {
  const struct {
    std::string_view text;
    std::string_view why;
  } kCases[] = {
      {"", "five fields"},
      {"* * *", "five fields"},
      {"* * * * * * *", "five fields"},
      {"60 * * * *", "the minute `60` must be"},
      {"* 24 * * *", "the hour `24` must be"},
      {"* * 0 * *", "the day `0` must be"},
      {"* * * 13 *", "the month `13` must be"},
      {"* * * * 8", "the weekday `8` must be"},
      {"*/0 * * * *", "the minute `*/0` must be"},
      {"5-1 * * * *", "the minute `5-1` must be"},
      {"1,,2 * * * *", "the minute `1,,2` must be"},
      {"x * * * *", "the minute `x` must be"},
      {"-1 * * * *", "the minute `-1` must be"},
      {"@dayly", "none of `@hourly`"},
      {"0 0 31 2 *", "never due"},
      {"0 0 30 feb *", "never due"},
  };
  for (const auto& [text, why] : kCases) {
    const auto parsed = Cron::parse(text);
    ASSERT_FALSE(parsed.has_value()) << text;
    EXPECT_NE(parsed.error().find(why), std::string::npos) << text << ": " << parsed.error();
  }
}

TEST(Cron, ATimeThatDoesNotExistIsDueAtTheJump) {
  const std::int64_t jump = utc(2026, 3, 29, 1);  // 02:00 becomes 03:00.
  EXPECT_EQ(cron("30 2 * * *").next(utc(2026, 3, 28, 12), berlin), jump);
  EXPECT_EQ(cron("30 2 * * *").next(jump, berlin), utc(2026, 3, 30, 0, 30));
  EXPECT_EQ(cron("0 3 * * *").next(utc(2026, 3, 28, 12), berlin), jump);
  EXPECT_EQ(cron("0 3 * * *").next(jump, berlin), utc(2026, 3, 30, 1));
  EXPECT_EQ(cron("30 * * * *").next(utc(2026, 3, 29, 0, 30), berlin), utc(2026, 3, 29, 1, 30));
}

TEST(Cron, ATimeThatComesTwiceIsDueOnce) {
  const std::int64_t first = utc(2026, 10, 25, 0, 30);  // 02:30 for the first time.
  EXPECT_EQ(cron("30 2 * * *").next(utc(2026, 10, 24, 12), berlin), first);
  EXPECT_EQ(cron("30 2 * * *").next(first, berlin), utc(2026, 10, 26, 1, 30));
  EXPECT_EQ(cron("30 2 * * *").next(utc(2026, 10, 25, 1, 10), berlin), utc(2026, 10, 26, 1, 30));
  EXPECT_EQ(cron("30 * * * *").next(first, berlin), utc(2026, 10, 25, 1, 30));
}

// Against looking at every second: each due time is found, in order, and none twice.
TEST(Cron, FindsWhatASlowLookFinds) {
  for (const std::string_view text : {"*/7 */3 * * *", "5 4 2-20/9 * *", "0 0 1 * 1"}) {
    const Cron fast = cron(text);
    std::int64_t at = utc(2026, 4, 1);
    std::int64_t slow = at;
    for (int i = 0; i < 40; ++i) {
      const std::int64_t due = fast.next(at, berlin);
      ASSERT_GT(due, at) << text;
      // Nothing between two due times is due: asked from anywhere between, the answer is the same.
      for (slow = at; slow < due; slow += 1 + (due - at) / 50) {
        ASSERT_EQ(fast.next(slow, berlin), due) << text;
      }
      at = due;
    }
  }
}

// Every day of two years, with both changes of clocks: a daily run comes once a day.
TEST(Cron, ADailyRunComesOnceADay) {
  for (int hour = 0; hour < 24; ++hour) {
    const Cron daily = cron("30 " + std::to_string(hour) + " * * *");
    std::set<std::int64_t> days;
    std::int64_t at = utc(2025, 12, 31, 23);  // Midnight in Berlin.
    int runs = 0;
    for (at = daily.next(at, berlin); at < utc(2026, 12, 31, 23); at = daily.next(at, berlin)) {
      ++runs;
      days.insert((at + berlin(at)) / 86'400);
    }
    EXPECT_EQ(runs, 365) << hour;
    EXPECT_EQ(days.size(), 365U) << hour;
  }
}

TEST(Cron, JitterIsSpreadAndTheSameEachTime) {
  std::set<Duration> seen;
  for (std::int64_t due = 0; due < 1'000; ++due) {
    const Duration jitter = jitter_of("etc", due, 10s);
    ASSERT_GE(jitter, 0s);
    ASSERT_LT(jitter, 10s);
    ASSERT_EQ(jitter, jitter_of("etc", due, 10s));
    seen.insert(jitter);
  }
  EXPECT_GT(seen.size(), 900U);
  EXPECT_EQ(jitter_of("etc", 5, 0s), 0s);
}

}  // namespace
}  // namespace recover::core
