#include "runtime/event_codec.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace recover::runtime {
namespace {

using core::ServiceIndex;

std::vector<core::Event> one_of_each() {
  constexpr Instant kAt{Duration{123'456'789}};
  return {
      core::ProcessStarted{ServiceIndex{1}, 2, {.pid = 3, .start_time = 4}, true},
      core::ProcessReady{ServiceIndex{1}, 2, {.pid = 3, .start_time = 4}},
      core::ProcessExited{.service = ServiceIndex{1},
                          .instance = 1,
                          .incarnation = {.pid = 7, .start_time = ~std::uint64_t{0}},
                          .code = -1,
                          .signal = 9,
                          .expected = true},
      core::WatchdogExpired{ServiceIndex{5}, 1},
      core::ProbeFinished{.service = ServiceIndex{1},
                          .probe = 3,
                          .outcome = core::ProbeOutcome::Failed,
                          .latency = Duration{17},
                          .started_at = kAt,
                          .symptom = core::Symptom::SlowResponse,
                          .failure = core::FailureClass::Timeout,
                          .detail = "quote \" and \xc3\xa4 and \n",
                          .queue_depth = 12.0},
      core::ResourceLevelChanged{core::Symptom::MemoryPressure, "memory", 0.1 + 0.2, 2},
      core::PatternSeen{core::PatternIndex{4}, ServiceIndex{2}, "a line"},
      core::PatternSeen{core::PatternIndex{4}, std::nullopt, "a line"},
      core::CommandFinished{core::CommandId{99}, core::CommandOutcome::Unknown, "lost", "abc"},
      core::OperatorRecover{ServiceIndex{1}, core::PlaybookIndex{2}, "uid:0(root)"},
      core::OperatorApprove{core::RecoveryId{3}, ~std::uint64_t{0}, "a", "b"},
      core::OperatorReject{core::RecoveryId{3}, "a", "b"},
      core::OperatorSetMode{std::nullopt, core::Mode::Automatic, "a"},
      core::OperatorKillSwitch{false, "a"},
      core::OperatorMaintenance{ServiceIndex{1}, true, kNever, "a"},
      core::OperatorService{ServiceIndex{1}, core::ServiceRequest::Release, "a"},
      core::OperatorService{ServiceIndex{1}, core::ServiceRequest::Scale, "a", 3},
      core::OperatorService{ServiceIndex{1}, core::ServiceRequest::Signal, "a", 0, 12, 2},
      core::OperatorNote{ServiceIndex{1}, "a", "cleared the output"},
      core::BackupReported{ServiceIndex{1}, core::BackupStage::Failed, 7, "a", "no luck"},
      core::OperatorResetBreaker{ServiceIndex{1}, std::nullopt, "a"},
      core::OperatorCheckpoint{ServiceIndex{1}, "n", true, "a"},
      core::TimerFired{},
      core::EngineStarted{true},
      core::JournalDegraded{true},
      core::OwnerReported{.service = ServiceIndex{1},
                          .instance = 2,
                          .verdict = core::OwnerVerdict::Healing,
                          .incarnation = {.pid = 7, .start_time = 8},
                          .code = 3,
                          .signal = 9,
                          .within = std::chrono::seconds{5},
                          .detail = "d"},
      core::StateSeen{ServiceIndex{1}, "abc"},
      core::TimeExtended{ServiceIndex{1}, std::chrono::seconds{9}},
  };
}

TEST(EventCodec, WhatWasWrittenIsRead) {
  std::vector<bool> seen(std::variant_size_v<core::Event>);
  for (const core::Event& event : one_of_each()) {
    seen[event.index()] = true;
    const std::string text = encode(event);
    const auto read = decode(core::name_of(event), text);
    ASSERT_TRUE(read.has_value()) << text << ": " << read.error();
    EXPECT_EQ(read->index(), event.index());
    EXPECT_EQ(encode(*read), text);
  }
  EXPECT_EQ(std::count(seen.begin(), seen.end(), true), std::ssize(seen)) << "one is missing above";
}

// Replayed without it a stop of one instance would be one of all.
TEST(EventCodec, WhichInstanceIsMeantIsKept) {
  for (const auto request :
       {core::ServiceRequest::Start, core::ServiceRequest::Stop, core::ServiceRequest::Restart,
        core::ServiceRequest::Reload, core::ServiceRequest::Quarantine,
        core::ServiceRequest::Release, core::ServiceRequest::Signal}) {
    core::OperatorService asked{ServiceIndex{1}, request, "a"};
    for (const std::optional<std::uint32_t> one : {std::optional<std::uint32_t>{2}, {}}) {
      asked.instance = one;
      const auto read = decode("operator_service", encode(core::Event(asked)));
      ASSERT_TRUE(read.has_value()) << read.error();
      EXPECT_EQ(std::get<core::OperatorService>(*read).instance, one);
    }
  }
}

TEST(EventCodec, SaysWhatIsWrong) {
  EXPECT_EQ(decode("no_such_event", "{}").error(), "unknown event \"no_such_event\"");
  EXPECT_NE(decode("timer_fired", "{").error().find("not JSON"), std::string::npos);
  EXPECT_EQ(decode("timer_fired", "[]").error(), "not a JSON object");
  EXPECT_EQ(decode("process_started", R"({"service":-1})").error(),
            "field service has a wrong value");
  EXPECT_EQ(decode("operator_set_mode", R"({"mode":4})").error(), "field mode has a wrong value");
  EXPECT_EQ(decode("command_finished", R"({"outcome":"done"})").error(),
            "field outcome has a wrong value");
}

// An entry of an older recoverd lacks fields that were added since.
TEST(EventCodec, AMissingFieldIsItsDefault) {
  const auto read = decode("process_exited", R"({"service":2})");
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(encode(*read),
            encode(core::ProcessExited{.service = ServiceIndex{2}, .incarnation = {}}));
}

}  // namespace
}  // namespace recover::runtime
