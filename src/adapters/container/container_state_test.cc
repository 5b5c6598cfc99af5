#include "adapters/container/container_state.h"

#include <gtest/gtest.h>

#include "adapters/container/engine_client.h"

namespace recover::adapters::container {
namespace {

using core::OwnerVerdict;

ContainerFacts facts(std::string status) {
  ContainerFacts made;
  made.id = "abc";
  made.name = "web";
  made.status = std::move(status);
  made.restart_policy = "no";
  return made;
}

TEST(ContainerState, ReadsADescription) {
  const auto made = parse_container(
      R"({"Id":"abc","Name":"/web","RestartCount":2,"State":{"Status":"running","Pid":42,"ExitCode":0,
         "StartedAt":"2026-01-01T00:00:00Z","Health":{"Status":"unhealthy","Log":[{"Output":"no\n"}]}},
         "HostConfig":{"RestartPolicy":{"Name":"on-failure","MaximumRetryCount":3}}})");
  ASSERT_TRUE(made);
  EXPECT_EQ(made->name, "web");
  EXPECT_EQ(made->pid, 42);
  EXPECT_EQ(made->health_log, "no");
  EXPECT_EQ(made->restarts_max, 3U);
  const ContainerReport told = judge(*made, false, true);
  EXPECT_EQ(told.verdict, OwnerVerdict::Failed);
  EXPECT_EQ(told.detail, "container web is unhealthy: no");
}

TEST(ContainerState, RefusesWhatIsNone) {
  EXPECT_FALSE(parse_container("[]"));
  EXPECT_FALSE(parse_container(R"({"message":"no such container"})"));
  EXPECT_FALSE(parse_container("{"));
  EXPECT_TRUE(parse_ids("{}").empty());
  EXPECT_FALSE(parse_event("nothing"));
  EXPECT_EQ(parse_message(R"({"message":"no such container"})"), "no such container");
  EXPECT_EQ(parse_message("plain"), "plain");
}

TEST(ContainerState, AnEndIsJudgedByWhoWantedIt) {
  ContainerFacts gone = facts("exited");
  gone.exit_code = 137;
  EXPECT_EQ(judge(gone, false, true).verdict, OwnerVerdict::Failed);
  EXPECT_EQ(judge(gone, false, true).signal, 9);
  EXPECT_EQ(judge(gone, true, true).verdict, OwnerVerdict::Stopped);
  EXPECT_EQ(judge(gone, false, false).verdict, OwnerVerdict::Stopped);
  gone.restart_policy = "always";
  EXPECT_EQ(judge(gone, false, true).verdict, OwnerVerdict::Healing);
  gone.restart_policy = "on-failure";
  gone.restarts_max = gone.restart_count = 3;
  EXPECT_EQ(judge(gone, false, true).verdict, OwnerVerdict::Failed);
  gone.exit_code = 3;
  EXPECT_EQ(judge(gone, false, false).verdict, OwnerVerdict::Failed);
  EXPECT_EQ(judge(facts("created"), false, false).verdict, OwnerVerdict::Stopped);
  EXPECT_EQ(judge(facts("restarting"), false, true).verdict, OwnerVerdict::Healing);
  EXPECT_EQ(judge(facts("paused"), false, true).verdict, OwnerVerdict::Stopped);
}

TEST(ContainerState, HealthMakesItReady) {
  ContainerFacts made = facts("running");
  EXPECT_EQ(judge(made, false, true).verdict, OwnerVerdict::Up);
  made.health = "starting";
  EXPECT_EQ(judge(made, false, true).verdict, OwnerVerdict::Starting);
  made.health = "healthy";
  EXPECT_EQ(judge(made, false, true).verdict, OwnerVerdict::Up);
}

TEST(ContainerState, ComposeContainersComeInOrder) {
  const auto ids = parse_ids(
      R"([{"Id":"b","Names":["/x-2"],"Labels":{"com.docker.compose.container-number":"2"}},
          {"Id":"a","Names":["/x-1"],"Labels":{"com.docker.compose.container-number":"1"}}])");
  EXPECT_EQ(ids, (std::vector<std::string>{"a", "b"}));
}

TEST(ContainerState, TargetsAreEncoded) {
  EXPECT_EQ(percent_encoded("a/b c\"{"), "a%2Fb%20c%22%7B");
}

}  // namespace
}  // namespace recover::adapters::container
