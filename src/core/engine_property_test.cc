// Random histories: whatever happens, the engine stays within its budgets, goes on from any
// snapshot as if nothing had been, and sends no playbook command in shadow mode.
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "core/hold.h"
#include "test/allocations.h"
#include "test/core/story.h"

namespace recover::core {
namespace {

constexpr std::uint32_t kServices = 4;

// splitmix64 (S. Vigna, public domain algorithm): enough to pick events.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : state_(seed) {}
  std::uint32_t roll(std::uint32_t sides) {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15ULL);
    z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27U)) * 0x94D049BB133111EBULL;
    return static_cast<std::uint32_t>((z ^ (z >> 31U)) % sides);
  }

 private:
  std::uint64_t state_;
};

Policy random_policy(Dice& dice) {
  Policy policy = story_policy({run_service("db"), run_service("web", {ServiceIndex{0}}, 2),
                                run_service("api", {ServiceIndex{1}}), run_service("job", {}, 0)});
  policy.recovery.mode = static_cast<Mode>(dice.roll(4));
  policy.recovery.max_concurrent_recoveries = 1 + dice.roll(2);
  policy.safety.max_recoveries_per_hour = 3 + dice.roll(6);
  policy.safety.blast_radius = 0.5;
  policy.services[0].state = {"/etc/db"};
  PlaybookPolicy thorough = restart_playbook("thorough");
  StepPolicy wait = step_of(ActionKind::Wait);
  StepPolicy stop = step_of(ActionKind::Stop);
  stop.undo = ActionKind::Start;
  stop.retry.attempts = 2;
  stop.idempotent = dice.roll(2) == 0;
  StepPolicy clean = step_of(ActionKind::CleanFiles);
  clean.on_failure = OnFailure::Continue;
  thorough.steps = {clean, stop, wait, step_of(ActionKind::Start)};
  thorough.checkpoint_required = dice.roll(2) == 0;
  thorough.rollback = {step_of(ActionKind::RestoreCheckpoint), step_of(ActionKind::Start)};
  policy.playbooks.push_back(thorough);
  for (ServicePolicy& service : policy.services) {
    service.playbooks = {PlaybookIndex{0}, PlaybookIndex{1}};
  }
  PatternPolicy pattern;
  pattern.id = "oom";
  policy.patterns = {pattern};
  return policy;
}

class History {
 public:
  // `instances`: of the last service.
  explicit History(std::uint64_t seed, std::uint32_t instances = 1)
      : dice_(seed), policy_(random_policy(dice_)) {
    std::get<RunSpec>(policy_.services[3].spec).instances = instances;
  }

  const Policy& policy() const { return policy_; }

  Event next(const State& state, Instant now) {
    const ServiceIndex service{dice_.roll(kServices)};
    const ServiceHealth& health = state.services[service.value];
    const std::uint32_t instance = health.desired > 1 ? static_cast<std::uint32_t>(pid_ % 3) : 0;
    const Incarnation current =
        health.instances.empty() ? Incarnation{} : health.instances.at(instance).incarnation;
    switch (dice_.roll(24)) {
      case 0: {
        ProcessExited event;
        event.service = service;
        event.instance = instance;
        event.incarnation = current;
        event.expected = dice_.roll(3) == 0;
        return event;
      }
      case 1:
      case 2: return ProcessStarted{service, instance, {++pid_, 1}, dice_.roll(8) == 0};
      case 3:
      case 4: return ProcessReady{service, instance, current};
      case 5: return WatchdogExpired{service, 0};
      case 6: return PatternSeen{PatternIndex{0}, service, "oom"};
      case 7:
        return ResourceLevelChanged{Symptom::DiskFull, "/", 0.9,
                                    static_cast<std::uint8_t>(dice_.roll(4))};
      case 8: return operator_event(service, state);
      case 9: return JournalDegraded{dice_.roll(2) == 0};
      case 10: return EngineStarted{};
      case 11:
      case 12:
      case 13:
      case 14:
      case 15: return finished(state);
      default: return look(service, now);
    }
  }
  Duration pause() {
    switch (dice_.roll(4)) {
      case 0: return milliseconds{dice_.roll(50)};
      case 1: return seconds{dice_.roll(3)};
      case 2: return Duration::zero();
      default: return seconds{dice_.roll(90)};
    }
  }

 private:
  Event look(ServiceIndex service, Instant now) {
    ProbeFinished event;
    event.service = service;
    event.probe = dice_.roll(2);
    event.outcome = static_cast<ProbeOutcome>(dice_.roll(8) < 5 ? 0 : 1 + dice_.roll(2));
    event.started_at = now - milliseconds{dice_.roll(20)};
    event.symptom = static_cast<Symptom>(dice_.roll(kSymptomCount));
    return event;
  }
  Event finished(const State& state) {
    CommandFinished event;
    if (!state.in_flight.empty()) event.command = state.in_flight.begin()->first;
    event.outcome = static_cast<CommandOutcome>(dice_.roll(10) < 7 ? 0 : dice_.roll(4));
    event.checkpoint = "cp";
    return event;
  }
  Event operator_event(ServiceIndex service, const State& state) {
    RecoveryId recovery{state.active.empty() ? 1 : state.active.front().value};
    const auto found = state.recoveries.find(recovery);
    switch (dice_.roll(10)) {
      case 0: return OperatorRecover{service, PlaybookIndex{dice_.roll(2)}, "a"};
      case 1:
      case 2:
      case 3:
        return OperatorApprove{
            recovery, found == state.recoveries.end() ? 0 : found->second.plan_hash, "a", ""};
      case 4: return OperatorReject{recovery, "a", ""};
      case 5: return OperatorKillSwitch{dice_.roll(2) == 0, "a"};
      case 6: return OperatorMaintenance{service, dice_.roll(2) == 0, kNever, "a"};
      case 7: return OperatorResetBreaker{service, PlaybookIndex{dice_.roll(2)}, "a"};
      case 8: return OperatorCheckpoint{service, "by-hand", dice_.roll(2) == 0, "a"};
      default: {
        OperatorService event{service, static_cast<ServiceRequest>(dice_.roll(6)), "a"};
        if (state.services[service.value].desired > 1 && dice_.roll(4) != 0) {
          event.instance = dice_.roll(3);
        }
        return event;
      }
    }
  }

  Dice dice_;
  Policy policy_;
  std::int64_t pid_ = 1;
};

std::string text_of(const Output& output) {
  std::string text = output.changed ? "changed " : "";
  for (const Notice& notice : output.notices) EXPECT_NE(notice.type, "engine:unsettled");
  for (const Notice& notice : output.notices) text += notice.type + ": " + notice.message + "\n";
  for (const Command& command : output.commands) {
    text += std::to_string(command.id.value) + " " + std::string(to_string(command.action)) + "\n";
  }
  for (const CommandId id : output.cancels) text += "cancel " + std::to_string(id.value) + "\n";
  for (const ProbeRequest& request : output.probes) {
    text += "look " + std::to_string(request.service.value) + "\n";
  }
  return text;
}

void expect_within_budgets(const Engine& engine, const Output& output, Instant now) {
  const State& state = engine.state();
  const Policy& policy = engine.policy();
  std::uint32_t running = 0;
  std::map<ServiceIndex, int> active;
  for (const RecoveryId id : state.active) {
    const Recovery& recovery = state.recoveries.at(id);
    running += recovery.started_at != kNever ? 1U : 0U;
    EXPECT_EQ(++active[recovery.service], 1);
  }
  EXPECT_LE(running, policy.recovery.max_concurrent_recoveries);
  std::uint32_t last_hour = 0;
  for (const auto& [id, recovery] : state.recoveries) {
    if (recovery.started_at != kNever && recovery.started_at + hours{1} > now) ++last_hour;
  }
  EXPECT_LE(last_hour, policy.safety.max_recoveries_per_hour);
  for (const Command& command : output.commands) {
    const bool asked =
        command.recovery && !state.recoveries.at(command.recovery).requested_by.empty();
    const bool shadow = policy.recovery.mode == Mode::Shadow && !asked;
    EXPECT_FALSE(shadow && command.playbook);
    EXPECT_FALSE(state.kill_switch && command.recovery && !command.settle);
  }
  for (const IncidentId id : state.open) {
    EXPECT_EQ(state.services[state.incidents.at(id).service.value].incident, id);
  }
}

void expect_sound_holds(const Engine& engine, const Output& output) {
  for (const ServiceHealth& health : engine.state().services) {
    const auto held = static_cast<std::uint32_t>(held_instances(health).size());
    EXPECT_TRUE(held == 0 || (health.wanted && held < health.desired)) << held;
  }
  for (const Command& command : output.commands) {
    EXPECT_EQ(command.held, held_instances(engine.state().services[command.service.value]));
  }
}

// Tells it, each event to the engine and to a twin made of its snapshot.
void live(History& history, int events, std::map<RecoveryState, int>& seen) {
  Instant now{hours{1}};
  Engine engine(history.policy(), now);
  Output output;
  Output other;
  engine.step(EngineStarted{.first = true}, now, output);
  int spins = 0;
  for (int i = 0; i < events && !testing::Test::HasFailure(); ++i) {
    SCOPED_TRACE("event " + std::to_string(i));
    const Instant until = now + history.pause();
    Event event = history.next(engine.state(), until);
    if (engine.next_timer() <= until) {
      spins = engine.next_timer() <= now + milliseconds{10} ? spins + 1 : 0;
      EXPECT_LT(spins, 50) << "a timer fires again and again";
      now = std::max(now, engine.next_timer());
      event = TimerFired{};
    } else {
      now = until;
    }
    const std::uint64_t before = engine.state_hash();
    Result<Engine, std::string> twin = Engine::restore(history.policy(), engine.snapshot());
    ASSERT_TRUE(twin.has_value()) << twin.error();
    ASSERT_EQ(twin->state_hash(), before);
    engine.step(event, now, output);
    twin->step(event, now, other);
    ASSERT_EQ(text_of(other), text_of(output)) << name_of(event);
    ASSERT_EQ(twin->state_hash(), engine.state_hash()) << name_of(event);
    ASSERT_EQ(twin->next_timer(), engine.next_timer()) << name_of(event);
    if (!output.changed) {
      ASSERT_EQ(engine.state_hash(), before) << name_of(event);
      ASSERT_TRUE(text_of(output).empty());
    }
    expect_within_budgets(engine, output, now);
    expect_sound_holds(engine, output);
  }
  for (const auto& [id, recovery] : engine.state().recoveries) ++seen[recovery.state];
}

TEST(EngineProperty, HistoriesStayWithinBudgetsAndReplayFromAnySnapshot) {
  constexpr std::uint64_t kSeeds = 12;
  constexpr int kEvents = 300;
  std::map<RecoveryState, int> seen;
  for (std::uint64_t seed = 1; seed <= kSeeds && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    History history(seed);
    live(history, kEvents, seen);
  }
  // The histories are worth something: they reach every end.
  for (const RecoveryState end :
       {RecoveryState::Shadow, RecoveryState::Succeeded, RecoveryState::RolledBack,
        RecoveryState::Failed, RecoveryState::Rejected}) {
    EXPECT_GT(seen[end], 0) << to_string(end);
  }
}

TEST(EngineProperty, InstancesThatAPersonStoppedStaySo) {
  std::map<RecoveryState, int> seen;
  for (std::uint64_t seed = 100; seed < 103 && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    History history(seed, 3);
    live(history, 250, seen);
  }
}

TEST(EngineProperty, DamagedSnapshotsAreRefusedOrHarmless) {
  History history(7);
  Instant now{hours{1}};
  Engine engine(history.policy(), now);
  Output output;
  engine.step(EngineStarted{.first = true}, now, output);
  for (int i = 0; i < 200; ++i) {
    now += seconds{1};
    engine.step(history.next(engine.state(), now), now, output);
  }
  const std::string whole = engine.snapshot();
  for (std::size_t size = 0; size < whole.size(); size += 7) {
    EXPECT_FALSE(Engine::restore(history.policy(), whole.substr(0, size)).has_value());
  }
  Dice dice(3);
  for (int i = 0; i < 400; ++i) {
    std::string damaged = whole;
    const auto size = static_cast<std::uint32_t>(whole.size());
    for (std::uint32_t hit = 0; hit <= dice.roll(3); ++hit) {
      damaged[dice.roll(size)] = static_cast<char>(dice.roll(256));
    }
    Result<Engine, std::string> restored = Engine::restore(history.policy(), damaged);
    if (!restored) continue;
    Instant later = now + hours{1};
    for (int event = 0; event < 5; ++event) {
      restored->step(history.next(restored->state(), later), later, output);
      restored->step(TimerFired{}, later, output);
      later += seconds{30};
    }
  }
}

TEST(EngineAllocations, AQuietLookAllocatesAndChangesNothing) {
  Story story(story_policy({run_service("web", {}, 2), run_service("db")}));
  story.tell(EngineStarted{.first = true});
  story.bring_up(kFirst, 1);
  story.bring_up(kSecond, 2);
  story.pass(seconds{5});
  Output output;
  ProbeFinished quiet;
  quiet.service = kFirst;
  quiet.outcome = ProbeOutcome::Passed;
  quiet.started_at = story.now();
  const Event event = quiet;
  const std::uint64_t before = story.engine().state_hash();
  const std::size_t allocations = test::allocations();
  for (int i = 0; i < 1'000; ++i) {
    story.engine().step(event, story.now(), output);
    ASSERT_FALSE(output.changed);
  }
  EXPECT_EQ(test::allocations() - allocations, 0U);
  EXPECT_EQ(story.engine().state_hash(), before);
}

}  // namespace
}  // namespace recover::core
