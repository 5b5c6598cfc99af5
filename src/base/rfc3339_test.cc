#include "base/rfc3339.h"

#include <gtest/gtest.h>

#include <limits>

namespace recover::base {
namespace {

TEST(Rfc3339, WritesMilliseconds) {
  EXPECT_EQ(rfc3339(0), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(rfc3339(951'827'696'789'999'999), "2000-02-29T12:34:56.789Z");
  EXPECT_EQ(rfc3339(-1), "1969-12-31T23:59:59.999Z");
}

TEST(Rfc3339, ReadsWhatItWrites) {
  for (const std::int64_t ns : {0L, 1'700'000'000'123'000'000L, -86'400'000'000'000L}) {
    EXPECT_EQ(parse_rfc3339(rfc3339(ns)), ns);
  }
}

TEST(Rfc3339, ReadsOffsetsAndFractions) {
  EXPECT_EQ(parse_rfc3339("1970-01-01T02:00:00+02:00"), 0);
  EXPECT_EQ(parse_rfc3339("1970-01-01t00:00:00.5z"), 500'000'000);
  EXPECT_EQ(parse_rfc3339("1970-01-01 00:00:00.0000000019Z"), 1);
}

TEST(Rfc3339, RefusesWhatIsNoTime) {
  for (const char* text :
       {"", "1970", "1970-13-01T00:00:00Z", "1970-02-30T00:00:00Z", "1970-01-01T24:00:00Z",
        "1970-01-01T00:00:00", "1970-01-01T00:00:00Zx", "1970-01-01T00:00:00.Z",
        "9999-01-01T00:00:00Z", "-970-01-01T00:00:00Z"}) {
    EXPECT_FALSE(parse_rfc3339(text)) << text;
  }
}

TEST(Rfc3339, ExtremesDoNotOverflow) {
  EXPECT_EQ(rfc3339(std::numeric_limits<std::int64_t>::max()), "2262-04-11T23:47:16.854Z");
  EXPECT_EQ(rfc3339(std::numeric_limits<std::int64_t>::min()), "1677-09-21T00:12:43.145Z");
}

}  // namespace
}  // namespace recover::base
