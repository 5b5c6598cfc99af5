// The text is the one Boost.JSON writes: what reads journals does not see a difference.
#include "runtime/json_text.h"

#include <gtest/gtest.h>

#include <limits>

namespace recover::runtime {
namespace {

namespace json = boost::json;

TEST(JsonText, IsWhatTheLibraryWrites) {
  std::string every;
  for (int byte = 0; byte < 0x80; ++byte) every += static_cast<char>(byte);
  every += "ä€𝄞";
  const json::object wanted{{"all", every},
                            {"min", std::numeric_limits<std::int64_t>::min()},
                            {"max", std::numeric_limits<std::uint64_t>::max()},
                            {"half", 0.5},
                            {"tiny", 1e-300},
                            {"yes", true},
                            {"none", nullptr},
                            {"empty", json::object()},
                            {"list", json::array{1, json::array(), "\"", json::object{{"a", 2}}}}};
  JsonText text;
  text.begin('{')
      .field("all", every)
      .field("min", std::numeric_limits<std::int64_t>::min())
      .field("max", std::numeric_limits<std::uint64_t>::max())
      .field("half", 0.5)
      .field("tiny", 1e-300)
      .field("yes", true)
      .field("none", nullptr)
      .key("empty")
      .begin('{')
      .end('}')
      .key("list")
      .begin('[')
      .value(1)
      .begin('[')
      .end(']')
      .value("\"")
      .begin('{')
      .field("a", 2)
      .end('}')
      .end(']')
      .end('}');
  EXPECT_EQ(text.take(), json::serialize(wanted));
}

}  // namespace
}  // namespace recover::runtime
