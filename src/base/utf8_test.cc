#include "base/utf8.h"

#include <gtest/gtest.h>

namespace recover::base {
namespace {

TEST(Utf8, KeepsWhatIsValidAndReplacesTheRest) {
  struct Case {
    std::string_view given;
    std::string_view wanted;
  };
  constexpr Case kCases[] = {
      {"", ""},
      {"plain", "plain"},
      {"\xC3\xA4 \xE2\x86\x92 \xF0\x9F\x98\x80", "\xC3\xA4 \xE2\x86\x92 \xF0\x9F\x98\x80"},
      {"a\xFF"
       "b",
       "a?b"},
      {"\xC3", "?"},                 // Cut off.
      {"\xE2\x86", "??"},            // Cut off.
      {"\xC0\xAF", "??"},            // Overlong.
      {"\xE0\x80\x80", "???"},       // Overlong.
      {"\xED\xA0\x80", "???"},       // Surrogate.
      {"\xF4\x90\x80\x80", "????"},  // Beyond the last.
      {"\x80\xBF", "??"},            // Nothing begins.
  };
  for (const Case& each : kCases) EXPECT_EQ(valid_utf8(std::string(each.given)), each.wanted);
}

}  // namespace
}  // namespace recover::base
