#include "base/duration_text.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <chrono>

namespace recover::base {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

TEST(DurationText, ReadsWhatPeopleWrite) {
  EXPECT_EQ(parse_duration("250ms"), milliseconds{250});
  EXPECT_EQ(parse_duration("5s"), seconds{5});
  EXPECT_EQ(parse_duration("10m"), minutes{10});
  EXPECT_EQ(parse_duration("2h"), hours{2});
  EXPECT_EQ(parse_duration("7d"), hours{168});
  EXPECT_EQ(parse_duration("1h30m"), minutes{90});
  EXPECT_EQ(parse_duration("0s"), Duration::zero());
  EXPECT_EQ(parse_duration("9223372036854775807ns"), Duration::max());
}

TEST(DurationText, RefusesEverythingElse) {
  for (const char* text :
       {"", "5", "s", "-5s", "+5s", "5 s", "5S", "5sec", "1.5s", "5s5s", "5s ", " 5s", "1m2",
        "9223372036854775808ns", "99999999999999999999s", "106752d", "1h\n"}) {
    EXPECT_FALSE(parse_duration(text).has_value()) << text;
  }
}

TEST(DurationText, WritesTheShortForm) {
  EXPECT_EQ(format_duration(Duration::zero()), "0s");
  EXPECT_EQ(format_duration(minutes{90}), "1h30m");
  EXPECT_EQ(format_duration(milliseconds{1500}), "1s500ms");
  EXPECT_EQ(format_duration(hours{168}), "7d");
  EXPECT_EQ(format_duration(-seconds{5}), "-5s");
  EXPECT_EQ(format_duration(Duration::min()).front(), '-');
}

RC_GTEST_PROP(DurationText, RoundTrips, (std::int64_t count)) {
  RC_PRE(count >= 0);
  const Duration duration{count};
  RC_ASSERT(parse_duration(format_duration(duration)) == std::optional(duration));
}

}  // namespace
}  // namespace recover::base
