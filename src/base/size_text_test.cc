#include "base/size_text.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cstdint>
#include <limits>

namespace recover::base {
namespace {

TEST(SizeText, ReadsBothSystems) {
  EXPECT_EQ(parse_size("10MiB"), 10U << 20U);
  EXPECT_EQ(parse_size("2GiB"), 2ULL << 30U);
  EXPECT_EQ(parse_size("512KB"), 512'000U);
  EXPECT_EQ(parse_size("4096"), 4096U);
  EXPECT_EQ(parse_size("0B"), 0U);
}

TEST(SizeText, RefusesEverythingElse) {
  for (const char* text : {"", "MiB", "-1B", "1.5GiB", "1 KB", "1kb", "1K", "1MiB ",
                           "18446744073709551616", "99999999999PiB"}) {
    EXPECT_FALSE(parse_size(text).has_value()) << text;
  }
}

TEST(SizeText, WritesTheLargestExactUnit) {
  EXPECT_EQ(format_size(0), "0B");
  EXPECT_EQ(format_size(10U << 20U), "10MiB");
  EXPECT_EQ(format_size(512'000), "500KiB");
  EXPECT_EQ(format_size(7'000'000), "7MB");
  EXPECT_EQ(format_size(1537), "1537B");
}

RC_GTEST_PROP(SizeText, RoundTrips, (std::uint64_t bytes)) {
  RC_ASSERT(parse_size(format_size(bytes)) == std::optional(bytes));
}

TEST(PercentageText, Reads) {
  EXPECT_EQ(parse_percentage("85%"), 0.85);
  EXPECT_EQ(parse_percentage("150%"), 1.5);
  EXPECT_EQ(parse_percentage("0.5%"), 0.005);
  for (const char* text : {"", "%", "85", "-1%", "-0%", "85 %", "1e999%", "nan%", "inf%", "8x%"}) {
    EXPECT_FALSE(parse_percentage(text).has_value()) << text;
  }
}

TEST(PercentageText, Writes) {
  EXPECT_EQ(format_percentage(0.85), "85%");
  EXPECT_EQ(format_percentage(0.07), "7%");
  EXPECT_EQ(format_percentage(0.005), "0.5%");
  EXPECT_EQ(format_percentage(1.5), "150%");
}

RC_GTEST_PROP(PercentageText, RoundTripsWhatWasWritten, (std::uint16_t tenths)) {
  const std::string text = std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + "%";
  const double ratio = parse_percentage(text).value();
  RC_ASSERT(parse_percentage(format_percentage(ratio)) == std::optional(ratio));
}

}  // namespace
}  // namespace recover::base
