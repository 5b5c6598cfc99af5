#include "api/times.h"

#include <gtest/gtest.h>

namespace recover::api {
namespace {

using namespace std::chrono_literals;

TEST(Times, Rfc3339HasMilliseconds) {
  EXPECT_EQ(rfc3339(0), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(rfc3339(1'769'860'800'123'456'789), "2026-01-31T12:00:00.123Z");
  EXPECT_EQ(rfc3339(-1'000'000), "1969-12-31T23:59:59.999Z");
}

TEST(Times, ReadsWhatItWritesAndOffsets) {
  EXPECT_EQ(parse_rfc3339("2026-01-31T12:00:00.123Z"), 1'769'860'800'123'000'000);
  EXPECT_EQ(parse_rfc3339("2026-01-31T14:00:00+02:00"), 1'769'860'800'000'000'000);
  for (const char* bad : {"", "2026-01-31", "2026-02-30T12:00:00Z", "2026-01-31T25:00:00Z",
                          "2026-01-31T12:00:00", "2026-01-31T12:00:00.Z", "9999-01-31T12:00:00Z"}) {
    EXPECT_EQ(parse_rfc3339(bad), std::nullopt) << bad;
  }
}

TEST(Times, Durations) {
  EXPECT_EQ(parse_duration("250ms"), 250ms);
  EXPECT_EQ(parse_duration("5s"), 5s);
  EXPECT_EQ(parse_duration("7d"), 168h);
  for (const char* bad : {"", "5", "s", "-5s", "0s", "1.5h", "5 s", "99999999999d"}) {
    EXPECT_FALSE(parse_duration(bad).has_value()) << bad;
  }
  EXPECT_EQ(spoken(420ms), "420ms");
  EXPECT_EQ(spoken(4200ms), "4.2s");
  EXPECT_EQ(spoken(200s), "3m 20s");
  EXPECT_EQ(spoken(125min), "2h 5m");
}

TEST(Times, Ids) {
  EXPECT_EQ(parse_recovery("rec-7"), core::RecoveryId{7});
  EXPECT_EQ(parse_recovery("7"), core::RecoveryId{7});
  EXPECT_EQ(parse_incident("inc-12"), core::IncidentId{12});
  for (const char* bad : {"", "0", "rec-", "inc-7", "rec-7x", "-7"}) {
    EXPECT_EQ(parse_recovery(bad), std::nullopt) << bad;
  }
  EXPECT_EQ(parse_hex64(hex64(0xDEADBEEF01ULL)), 0xDEADBEEF01ULL);
}

}  // namespace
}  // namespace recover::api
