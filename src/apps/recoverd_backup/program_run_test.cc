// Programs as they are really run.
#include "apps/recoverd_backup/program_run.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include "apps/recoverd_backup/sources/program_dump.h"

namespace recover::apps {
namespace {

TEST(ProgramsOfOthers, DoNotSeeOurVariables) {
  const auto nobody = Account::first_of({"nobody"});
  if (!nobody) GTEST_SKIP() << "only root can run programs of others";
  ASSERT_EQ(::setenv("RECOVERD_TEST_KEY", "wherewithal", 1), 0);
  ProgramSpec spec{.command = {"env"}};
  spec.variables = {"HOME=/nowhere"};
  const auto own = text_of(spec, {});
  spec.account = &*nobody;
  spec.folder = "/";
  const auto theirs = text_of(spec, {});
  ::unsetenv("RECOVERD_TEST_KEY");
  ASSERT_TRUE(own && theirs);
  EXPECT_NE(own->find("wherewithal"), std::string::npos);
  EXPECT_EQ(theirs->find("wherewithal"), std::string::npos);
  EXPECT_NE(theirs->find("HOME=/nowhere"), std::string::npos);
  EXPECT_NE(theirs->find("PATH="), std::string::npos);
}

}  // namespace
}  // namespace recover::apps
