// Every name is there once, and classification is total.
#include "core/vocabulary.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "core/classify.h"
#include "core/command.h"
#include "core/event.h"

namespace recover::core {
namespace {

TEST(Vocabulary, RulesHaveNamesOfTheirOwn) {
  std::set<std::string_view> names;
  for (std::size_t rule = 0; rule < kRuleCount; ++rule) {
    names.insert(to_string(static_cast<Rule>(rule)));
  }
  EXPECT_EQ(names.size(), kRuleCount);
  EXPECT_EQ(to_string(Rule::BlastRadius), "blast_radius");
  EXPECT_EQ(to_string(Rule::Operator), "operator");
  EXPECT_EQ(to_string(Verdict::Wait), "wait");
}

TEST(Vocabulary, EventsHaveNames) {
  EXPECT_EQ(name_of(ProcessStarted{}), "process_started");
  EXPECT_EQ(name_of(CommandFinished{}), "command_finished");
  EXPECT_EQ(name_of(TimerFired{}), "timer_fired");
  EXPECT_EQ(name_of(JournalDegraded{}), "journal_degraded");
}

TEST(Vocabulary, ArgumentsStandWhereThePartSays) {
  Policy policy;
  PlaybookPolicy playbook;
  StepPolicy step;
  step.with = SignalAction{.signal = 1};
  step.undo_with = SignalAction{.signal = 2};
  playbook.steps = {step};
  step.with = SignalAction{.signal = 3};
  playbook.rollback = {step};
  policy.playbooks = {playbook};
  Command command;
  EXPECT_EQ(arguments_of(command, policy), ActionSpec(NoArguments{}));
  command.playbook = PlaybookIndex{0};
  command.part = Part::Step;
  EXPECT_EQ(arguments_of(command, policy), ActionSpec(SignalAction{.signal = 1}));
  command.part = Part::Undo;
  EXPECT_EQ(arguments_of(command, policy), ActionSpec(SignalAction{.signal = 2}));
  command.part = Part::Rollback;
  EXPECT_EQ(arguments_of(command, policy), ActionSpec(SignalAction{.signal = 3}));
}

// Which class a symptom always means; nothing: the one that was observed.
std::optional<FailureClass> fixed_class(Symptom symptom) {
  switch (symptom) {
    case Symptom::ProcessCrash:
    case Symptom::CrashLoop:
    case Symptom::StartFailed:
    case Symptom::WatchdogTimeout: return FailureClass::ServiceFailure;
    case Symptom::AuthenticationFailed: return FailureClass::Authentication;
    case Symptom::PermissionDenied: return FailureClass::Permission;
    case Symptom::DiskFull:
    case Symptom::MemoryPressure:
    case Symptom::CpuPressure:
    case Symptom::FilesExhausted:
    case Symptom::QueueBacklog:
    case Symptom::LockContention: return FailureClass::ResourceExhaustion;
    case Symptom::ReplicationLag: return FailureClass::DataInconsistency;
    case Symptom::DataCorruption: return FailureClass::DataIntegrity;
    case Symptom::SlowResponse: return FailureClass::Timeout;
    case Symptom::ServiceUnresponsive:
    case Symptom::ConnectionRefused:
    case Symptom::ProbeFailed:
    case Symptom::HighErrorRate:
    case Symptom::PatternMatched:
    case Symptom::Flapping:
    case Symptom::RecoveryRequested: return std::nullopt;
  }
  return std::nullopt;
}

TEST(Classify, IsTotalAndSeverityFollowsPriority) {
  for (std::size_t s = 0; s < kSymptomCount; ++s) {
    for (std::size_t f = 0; f < kFailureClassCount; ++f) {
      const auto symptom = static_cast<Symptom>(s);
      const auto observed = static_cast<FailureClass>(f);
      const Classification medium = classify(symptom, observed, Priority::Medium);
      EXPECT_EQ(medium.failure, fixed_class(symptom).value_or(observed)) << to_string(symptom);
      EXPECT_GE(classify(symptom, observed, Priority::Critical).severity, medium.severity);
      EXPECT_LE(classify(symptom, observed, Priority::Low).severity, medium.severity);
      EXPECT_FALSE(default_strategy(observed).empty());
    }
  }
}

}  // namespace
}  // namespace recover::core
