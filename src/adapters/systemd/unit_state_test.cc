#include "adapters/systemd/unit_state.h"

#include <gtest/gtest.h>

#include <csignal>

namespace recover::adapters::systemd {
namespace {

using core::OwnerVerdict;

UnitProperties unit(std::string active, std::string sub, std::uint32_t pid = 0) {
  UnitProperties made;
  made.load_state = "loaded";
  made.active_state = std::move(active);
  made.sub_state = std::move(sub);
  made.main_pid = pid;
  made.type = "simple";
  return made;
}
UnitProperties ended(UnitProperties made, int kind, int status) {
  made.exit_code_kind = kind;
  made.exit_status = status;
  made.result = kind == CLD_EXITED ? "exit-code" : "signal";
  return made;
}

TEST(UnitState, RunningIsToldOnce) {
  UnitWatch watch("web.service");
  const auto first = watch.observe(unit("active", "running", 7));
  ASSERT_TRUE(first);
  EXPECT_EQ(first->verdict, OwnerVerdict::Up);
  EXPECT_EQ(first->pid, 7U);
  EXPECT_FALSE(watch.observe(unit("active", "running", 7)));
  EXPECT_TRUE(watch.observe(unit("active", "running", 8)));
  watch.forget();
  EXPECT_TRUE(watch.observe(unit("active", "running", 8)));
}

TEST(UnitState, AFailureSaysHow) {
  UnitWatch watch("web.service");
  watch.observe(unit("active", "running", 7));
  const auto told = watch.observe(ended(unit("failed", "failed"), CLD_KILLED, SIGSEGV));
  ASSERT_TRUE(told);
  EXPECT_EQ(told->verdict, OwnerVerdict::Failed);
  EXPECT_EQ(told->signal, SIGSEGV);
  EXPECT_EQ(told->detail, "web.service ended with signal 11");
}

TEST(UnitState, SystemdsOwnRestartIsHealing) {
  UnitWatch watch("web.service");
  watch.observe(unit("active", "running", 7));
  UnitProperties waiting = ended(unit("activating", "auto-restart"), CLD_EXITED, 1);
  waiting.restart = "on-failure";
  waiting.restart_us = 2'000'000;
  waiting.timeout_start_us = 90'000'000;
  const auto told = watch.observe(waiting);
  ASSERT_TRUE(told);
  EXPECT_EQ(told->verdict, OwnerVerdict::Healing);
  EXPECT_EQ(told->within, std::chrono::seconds{97});
  EXPECT_EQ(watch.observe(unit("active", "running", 8))->verdict, OwnerVerdict::Up);
}

TEST(UnitState, GivingUpIsAFailure) {
  UnitWatch watch("web.service");
  watch.observe(unit("active", "running", 7));
  watch.observe(unit("activating", "auto-restart"));
  UnitProperties tired = unit("failed", "failed");
  tired.result = "start-limit-hit";
  const auto told = watch.observe(tired);
  ASSERT_TRUE(told);
  EXPECT_EQ(told->verdict, OwnerVerdict::Failed);
  EXPECT_NE(told->detail.find("start-limit-hit"), std::string::npos);
}

TEST(UnitState, AStopBySomebodyIsNoFailure) {
  UnitWatch watch("web.service");
  watch.observe(unit("active", "running", 7));
  UnitProperties stopping = unit("deactivating", "stop-sigterm", 7);
  stopping.job = 12;
  EXPECT_FALSE(watch.observe(stopping));
  EXPECT_EQ(watch.observe(unit("inactive", "dead"))->verdict, OwnerVerdict::Stopped);
  // Also when its exit status was not polite.
  watch.observe(unit("activating", "start"));
  watch.observe(unit("active", "running", 8));
  watch.observe(stopping);
  const auto told = watch.observe(ended(unit("failed", "failed"), CLD_EXITED, 143));
  EXPECT_EQ(told->verdict, OwnerVerdict::Stopped);
  // And while it waited for its restart.
  watch.observe(unit("active", "running", 9));
  watch.observe(unit("activating", "auto-restart"));
  UnitProperties waiting = unit("inactive", "dead");
  waiting.job = 13;
  EXPECT_FALSE(watch.observe(waiting));
  EXPECT_EQ(watch.observe(unit("inactive", "dead"))->verdict, OwnerVerdict::Stopped);
}

TEST(UnitState, EndingByItselfIsAFailureUnlessOnce) {
  UnitWatch watch("web.service");
  watch.observe(unit("active", "running", 7));
  watch.observe(unit("deactivating", "stop-post"));
  UnitProperties gone = ended(unit("inactive", "dead"), CLD_EXITED, 0);
  EXPECT_EQ(watch.observe(gone)->verdict, OwnerVerdict::Failed);
  UnitWatch once("job.service");
  UnitProperties works = unit("activating", "start", 7);
  works.type = "oneshot";
  once.observe(works);
  gone.type = "oneshot";
  EXPECT_EQ(once.observe(gone)->verdict, OwnerVerdict::Stopped);
}

TEST(UnitState, NeverRanIsNotFailed) {
  UnitWatch watch("web.service");
  EXPECT_EQ(watch.observe(unit("inactive", "dead"))->verdict, OwnerVerdict::Stopped);
}

TEST(UnitState, MaskedAndMissingSaySo) {
  UnitProperties masked = unit("inactive", "dead");
  masked.load_state = "masked";
  UnitWatch watch("web.service");
  const auto told = watch.observe(masked);
  EXPECT_EQ(told->verdict, OwnerVerdict::Failed);
  EXPECT_NE(told->detail.find("masked"), std::string::npos);
  masked.load_state = "not-found";
  EXPECT_NE(watch.observe(masked)->detail.find("no such unit file"), std::string::npos);
  // Masked while it runs: it runs.
  masked.load_state = "masked";
  masked.active_state = "active";
  EXPECT_EQ(watch.observe(masked)->verdict, OwnerVerdict::Up);
}

TEST(UnitState, ServiceIsTheUsualSuffix) {
  EXPECT_EQ(full_name("web"), "web.service");
  EXPECT_EQ(full_name("pg@15.main"), "pg@15.main.service");
  EXPECT_EQ(full_name("x.timer"), "x.timer");
}

}  // namespace
}  // namespace recover::adapters::systemd
