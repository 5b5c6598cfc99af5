#include "adapters/files/glob.h"

#include <gtest/gtest.h>

namespace recover::adapters::files {
namespace {

struct Case {
  const char* glob;
  const char* path;
  bool matches;
};

TEST(Glob, EveryRule) {
  const Case cases[] = {
      {"*.log", "a.log", true},
      {"*.log", "a.log.1", false},
      {"*.log", "x/a.log", false},
      {"**/*.log", "a.log", true},
      {"**/*.log", "x/y/a.log", true},
      {"x/**", "x/y/z", true},
      {"x/**", "xy", false},
      {"x/**/z", "x/z", true},
      {"x/**/z", "x/a/b/z", true},
      {"x/**/z", "x/az", false},
      {"a?c", "abc", true},
      {"a?c", "a/c", false},
      {"*", "", true},
      {"", "", true},
      {"", "a", false},
      {"core.*", "core.123", true},
      {"**", "a/b", true},
      {"**/tmp/*", "a/tmp/b", true},
      {"**/tmp/*", "tmp/b", true},
      {"**/tmp/*", "atmp/b", false},
      {"[a]", "a", false},
      {"a*b*c", "aXbYbZc", true},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(matches(c.glob, c.path), c.matches) << c.glob << " on " << c.path;
  }
}

}  // namespace
}  // namespace recover::adapters::files
