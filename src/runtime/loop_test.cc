#include "runtime/loop.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "runtime/memory_journal.h"
#include "runtime/replay.h"

namespace recover::runtime {
namespace {

using namespace std::chrono_literals;
using core::ActionKind;
using core::ServiceIndex;

constexpr ServiceIndex kWeb{0};

core::StepPolicy step(ActionKind action, bool idempotent) {
  core::StepPolicy made;
  made.name = "Do";
  made.action = action;
  made.idempotent = idempotent;
  made.irreversible = !idempotent;
  return made;
}

core::Policy policy(ActionKind action = ActionKind::Restart, bool idempotent = true) {
  core::Policy made;
  made.recovery.mode = core::Mode::Automatic;
  made.safety.require_checkpoint = false;
  made.safety.blast_radius = 1.0;
  core::PlaybookPolicy playbook;
  playbook.id = "again";
  playbook.triggers.emplace_back().failure = core::FailureClass::ServiceFailure;
  playbook.steps = {step(action, idempotent)};
  playbook.validation.stable_for = 1s;
  made.playbooks = {playbook};
  core::ServicePolicy web;
  web.name = "web";
  web.spec = core::RunSpec{};
  web.playbooks = {core::PlaybookIndex{0}};
  made.services = {web};
  return made;
}

// Performs nothing, remembers what it was asked.
class Recorder final : public ports::Effector {
 public:
  void perform(const core::Command& command, const core::Policy& /*policy*/,
               ports::Done done) override {
    commands.push_back(command);
    dones.push_back(std::move(done));
  }
  void cancel(core::CommandId command) override { cancelled.push_back(command); }

  std::vector<core::Command> commands;
  std::vector<ports::Done> dones;
  std::vector<core::CommandId> cancelled;
};

// A loop over a journal in memory, in virtual time.
class World {
 public:
  explicit World(core::Policy policy) : World(core::Engine(std::move(policy), Instant{})) {
    loop.begin(encode(PolicyText{.sources = {{"c", "text"}}, .boot_id = "b", .offset_ns = 0}));
  }
  explicit World(core::Engine engine) : loop(std::move(engine), edges()) {}

  void tell(core::Event event) {
    loop.post(std::move(event));
    loop.turn();
  }
  void come_up() {
    tell(core::EngineStarted{.first = true});
    finish(0);
    tell(core::ProcessStarted{.service = kWeb, .incarnation = {.pid = 10, .start_time = 1}});
    tell(core::ProcessReady{.service = kWeb, .incarnation = {.pid = 10, .start_time = 1}});
  }
  void crash() {
    tell(core::ProcessExited{
        .service = kWeb, .incarnation = {.pid = 10, .start_time = 1}, .code = -1, .signal = 9});
  }
  void finish(std::size_t command) {
    ASSERT_LT(command, recorder.commands.size());
    tell(core::CommandFinished{.command = recorder.commands[command].id});
  }

  Stamp stamp;
  MemoryJournal journal;
  Recorder recorder;
  std::vector<core::Notice> notices;
  Loop loop;

 private:
  Edges edges() {
    Edges made{.journal = &journal,
               .effectors = {},
               .sources = {},
               .now = [this] { return stamp; },
               .wake = [] {},
               .publish = [this](const core::Notice& notice, Stamp) { notices.push_back(notice); }};
    made.effectors.fill(&recorder);
    return made;
  }
};

bool is_command(const ports::StoredEntry& stored) {
  return stored.entry.kind == ports::EntryKind::Command;
}

TEST(Loop, NothingIsPerformedBeforeItIsRecorded) {
  World world(policy());
  world.come_up();
  world.crash();
  ASSERT_EQ(world.recorder.commands.size(), 2U);
  EXPECT_EQ(world.recorder.commands[1].action, ActionKind::Restart);
  const auto& entries = world.journal.entries();
  EXPECT_EQ(std::count_if(entries.begin(), entries.end(), is_command), 2);

  World full(policy());
  full.journal.fail_next(1'000);
  full.tell(core::EngineStarted{.first = true});
  EXPECT_TRUE(full.recorder.commands.empty()) << "performed without a record";
}

TEST(Loop, WhatWasPostedIsRecordedWhenAJournalTookIt) {
  World world(policy());
  world.come_up();
  EXPECT_TRUE(world.loop.recorded());
  world.loop.post(core::ProcessExited{
      .service = kWeb, .incarnation = {.pid = 10, .start_time = 1}, .code = -1, .signal = 9});
  EXPECT_FALSE(world.loop.recorded()) << "before the turn";
  world.loop.turn();
  EXPECT_TRUE(world.loop.recorded());

  World full(policy());
  full.journal.fail_next(1);
  full.tell(core::EngineStarted{.first = true});
  EXPECT_FALSE(full.loop.recorded()) << "the journal refused";
}

// An effect that cannot be repeated waits for the disk; one that can needs only memory.
TEST(Loop, WithoutPowerLossDurabilityOnlyWhatCanBeRepeatedRuns) {
  for (const bool idempotent : {true, false}) {
    World world(policy(ActionKind::Exec, idempotent));
    world.come_up();
    const std::size_t before = world.recorder.commands.size();
    world.journal.fail_next(1'000, true);
    world.crash();
    const bool ran = world.recorder.commands.size() > before;
    EXPECT_EQ(ran, idempotent);
    EXPECT_EQ(world.loop.metrics().record_failed > 0, !idempotent);
  }
}

Result<std::shared_ptr<const core::Policy>, std::string> shared_policy() {
  return std::make_shared<const core::Policy>(policy());
}

TEST(Loop, AReplayEndsWhereTheRunWas) {
  World world(policy());
  world.come_up();
  world.crash();
  world.stamp.at += 5s;
  world.finish(1);
  const auto restored = restore(world.journal, [](const PolicyText&) { return shared_policy(); });
  ASSERT_TRUE(restored.has_value()) << restored.error();
  ASSERT_TRUE(restored->has_value());
  EXPECT_EQ((*restored)->engine.state_hash(), world.loop.engine().state_hash());
  EXPECT_TRUE((*restored)->warnings.empty());
  EXPECT_GT((*restored)->replayed, 3U);
}

std::size_t snapshots(MemoryJournal& journal) {
  std::size_t count = 0;
  EXPECT_TRUE(journal
                  .replay(1,
                          [&count](const ports::StoredEntry& stored) {
                            count += stored.entry.kind == ports::EntryKind::Snapshot ? 1 : 0;
                            return true;
                          })
                  .has_value());
  return count;
}

// A restart in which nothing changed has nothing to record: what a restore found, it finds again.
TEST(Loop, GoesOnWithoutASnapshotWhereLittleHappened) {
  World before(policy());
  before.come_up();
  auto past = restore(before.journal, [](const PolicyText&) { return shared_policy(); });
  ASSERT_TRUE(past.has_value() && past->has_value());
  const std::uint64_t since = (*past)->since_snapshot;
  ASSERT_LE(since, kReplayShort);
  ASSERT_EQ(snapshots(before.journal), 1U);

  for (const bool much : {false, true}) {
    World after(std::move(restore(before.journal, [](const PolicyText&) { return shared_policy(); })
                              .value()
                              ->engine));
    after.loop.go_on("body", much ? kSnapshotEvery / 2 + 1 : since);
    EXPECT_EQ(snapshots(after.journal), much ? 1U : 0U);
    after.loop.rest();
    EXPECT_EQ(snapshots(after.journal), much ? 1U : 0U);
  }
}

TEST(Loop, RestsWithASnapshotOfWhatARestartWouldGoThrough) {
  World world(policy());
  world.come_up();
  world.loop.rest();
  EXPECT_EQ(snapshots(world.journal), 1U);
  for (std::size_t i = 0; i <= kReplayShort + policy().services.size(); ++i) {
    world.stamp.at += 1s;
    world.tell(core::OperatorNote{.service = {}, .actor = "somebody", .message = "noted"});
  }
  const std::uint64_t hash = world.loop.engine().state_hash();
  world.loop.rest();
  world.loop.rest();
  EXPECT_EQ(snapshots(world.journal), 2U);
  const auto past = restore(world.journal, [](const PolicyText&) { return shared_policy(); });
  ASSERT_TRUE(past.has_value() && past->has_value());
  EXPECT_EQ((*past)->since_snapshot, 0U);
  EXPECT_EQ((*past)->engine.state_hash(), hash);
}

TEST(Loop, AnEmptyJournalHasNoPast) {
  MemoryJournal journal;
  const auto restored = restore(journal, [](const PolicyText&) { return shared_policy(); });
  ASSERT_TRUE(restored.has_value());
  EXPECT_FALSE(restored->has_value());
}

std::vector<std::string> decisions(const World& world) {
  std::vector<std::string> found;
  for (const core::Notice& notice : world.notices) {
    found.push_back(notice.type + " " + notice.message);
  }
  return found;
}

// Somebody sets the clock a day ahead or back in the middle of a recovery: nothing is decided
// differently or at another time.
TEST(Loop, TheWallClockDecidesNothing) {
  constexpr std::int64_t kDay = 86'400'000'000'000;
  std::vector<std::string> expected;
  for (const std::int64_t jump : {std::int64_t{0}, kDay, -kDay}) {
    World world(policy());
    world.stamp.wall_ns = 1'700'000'000'000'000'000;
    world.come_up();
    world.crash();
    world.stamp.wall_ns += jump;
    world.finish(1);
    world.tell(core::ProcessStarted{.service = kWeb, .incarnation = {.pid = 11, .start_time = 2}});
    world.tell(core::ProcessReady{.service = kWeb, .incarnation = {.pid = 11, .start_time = 2}});
    world.stamp.wall_ns -= 2 * jump;
    world.stamp.at += 2s;
    world.loop.turn();
    if (jump == 0) expected = decisions(world);
    EXPECT_EQ(decisions(world), expected);
  }
  EXPECT_TRUE(std::ranges::any_of(
      expected, [](const std::string& line) { return line.starts_with("recovery:succeeded"); }));
}

TEST(Loop, ACommandThatNobodyPerformsIsRefused) {
  core::Policy wanted = policy(ActionKind::Scale);
  World world(wanted);
  world.come_up();
  Edges none{
      .journal = &world.journal,
      .effectors = {},
      .sources = {},
      .now = [&] { return world.stamp; },
      .wake = [] {},
      .publish = [&](const core::Notice& notice, Stamp) { world.notices.push_back(notice); }};
  Loop bare(world.loop.engine(), none);
  bare.post(core::ProcessExited{
      .service = kWeb, .incarnation = {.pid = 10, .start_time = 1}, .code = 1, .signal = 0});
  bare.turn();
  bare.turn();
  EXPECT_TRUE(std::ranges::any_of(bare.engine().state().recoveries, [](const auto& item) {
    return item.second.steps.at(0).output.find("nothing here performs scale") != std::string::npos;
  }));
}

TEST(Loop, AFloodOfProbesIsBoundedAndCounted) {
  World world(policy());
  for (std::size_t i = 0; i < kInboxMax + 10; ++i) {
    world.loop.post(core::ProbeFinished{});
  }
  EXPECT_EQ(world.loop.metrics().dropped, 10U);
  world.loop.post(core::OperatorKillSwitch{});
  while (world.loop.metrics().events < kInboxMax + 1) world.loop.turn();
  EXPECT_TRUE(world.loop.engine().state().kill_switch) << "operators are always heard";
}

TEST(EngineTime, GoesOnWithinABootAndStandsStillBetween) {
  EXPECT_EQ(clock_offset_ns(std::nullopt, "a", 500), 0);
  Restored before{.engine = core::Engine(policy(), Instant{}),
                  .text = {.sources = {}, .boot_id = "a", .offset_ns = 40},
                  .last = Instant{Duration{900}},
                  .sequence = 1,
                  .replayed = 0,
                  .warnings = {}};
  EXPECT_EQ(clock_offset_ns(before, "a", 5'000), 40);
  EXPECT_EQ(clock_offset_ns(before, "b", 100), 801) << "100 + 801 is one after 900";
}

}  // namespace
}  // namespace recover::runtime
