// When backups run: stories by the second, and a campaign over random ones.
#include "core/backup_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

namespace recover::core {
namespace {

using namespace std::chrono_literals;

constexpr std::int64_t kStart = 1'800'000'000;  // A full hour: 08:00:00 UTC.

std::int64_t utc_zone(std::int64_t /*utc*/) {
  return 0;
}

BackupType type_of(std::string name, std::string_view incremental,
                   std::string_view full = "@yearly") {
  BackupType type;
  type.name = std::move(name);
  type.schedule.full = *Cron::parse(full);
  type.schedule.incremental = *Cron::parse(incremental);
  return type;
}
BackupPolicy policy_of(std::vector<BackupType> types) {
  BackupPolicy policy;
  policy.repositories.resize(1);
  policy.repositories[0].name = "main";
  policy.types = std::move(types);
  return policy;
}

const BackupKey kDb{BackupTask::Incremental, "db"};
const BackupEnd kGood{.good = true};
BackupEnd bad(std::string code = "IO") {
  return {.code = std::move(code), .error = "no luck"};
}

class Plan {
 public:
  explicit Plan(BackupPolicy policy, BackupBook book = {}, std::int64_t now = kStart)
      : plan_(std::move(policy), std::move(book), utc_zone, now), now_(now) {}

  BackupPlan* operator->() { return &plan_; }
  // Names of what starts at that moment, "db/incremental".
  std::vector<std::string> at(std::int64_t seconds) {
    now_ = kStart + seconds;
    std::vector<std::string> names;
    for (const BackupStart& start : plan_.start_due(now_)) {
      names.push_back(start.slot.key.name + "/" + std::string(to_string(start.slot.key.task)));
    }
    return names;
  }
  bool end(std::int64_t seconds, const BackupEnd& how, const BackupKey& key = kDb) {
    now_ = kStart + seconds;
    return plan_.ended(key, how, now_);
  }
  std::int64_t next() const { return plan_.next_change(now_) - kStart; }
  BackupHealth made() const { return plan_.made(0, now_).health; }
  std::string made_code() const { return plan_.made(0, now_).code; }
  BackupHealth proven() const { return plan_.proven(0, now_).health; }

 private:
  BackupPlan plan_;
  std::int64_t now_;
};

using Names = std::vector<std::string>;

TEST(BackupPlan, RunsWhenDueAndNotBefore) {
  Plan plan(policy_of({type_of("db", "*/10 * * * *")}));
  EXPECT_EQ(plan.at(0), Names());
  EXPECT_EQ(plan.made(), BackupHealth::Unknown);
  EXPECT_EQ(plan.next(), 600);
  EXPECT_EQ(plan.at(599), Names());
  EXPECT_EQ(plan.at(600), Names{"db/incremental"});
  EXPECT_EQ(plan.at(601), Names());
  EXPECT_TRUE(plan.end(610, kGood));
  EXPECT_EQ(plan.made(), BackupHealth::Good);
  EXPECT_EQ(plan.at(610), Names());
  EXPECT_EQ(plan->record(kDb).succeeded_from, kStart + 600);
  EXPECT_EQ(plan.next(), 1200);
}

TEST(BackupPlan, JitterIsLaterAndTheSameEachTime) {
  BackupType type = type_of("db", "0 * * * *");
  type.schedule.jitter = 10min;
  Plan one(policy_of({type}));
  Plan two(policy_of({type}));
  EXPECT_EQ(one.next(), two.next());
  EXPECT_GE(one.next(), 3600);
  EXPECT_LT(one.next(), 4200);
  EXPECT_EQ(one.at(one.next()), Names{"db/incremental"});
}

TEST(BackupPlan, AFullOneIsAnIncrementalOneAsWell) {
  Plan plan(policy_of({type_of("db", "0 * * * *", "0 */2 * * *")}));
  EXPECT_EQ(plan.at(3600), Names{"db/incremental"});
  EXPECT_TRUE(plan.end(3700, kGood));
  EXPECT_EQ(plan.at(7200), Names{"db/full"});
  EXPECT_TRUE(plan.end(7300, kGood, {BackupTask::Full, "db"}));
  EXPECT_EQ(plan.at(7300), Names()) << "the incremental one is settled too";
  EXPECT_EQ(plan->record(kDb).succeeded_from, kStart + 7200);
}

TEST(BackupPlan, WhileAFullOneWaitsToBeTriedAgainTheIncrementalRuns) {
  BackupType type = type_of("db", "0 * * * *", "0 * * * *");
  type.retry_delay = 30min;
  Plan plan(policy_of({type}));
  EXPECT_EQ(plan.at(3600), Names{"db/full"});
  EXPECT_FALSE(plan.end(3610, bad(), {BackupTask::Full, "db"}));
  EXPECT_EQ(plan.at(3610), Names{"db/incremental"});
  EXPECT_TRUE(plan.end(3620, kGood));
  EXPECT_EQ(plan.at(3610 + 1800), Names{"db/full"});
}

TEST(BackupPlan, RetriesWithDelayThenGivesUpThenTheScheduleGoesOn) {
  BackupType type = type_of("db", "0 * * * *");
  type.attempts = 2;
  Plan plan(policy_of({type}));
  EXPECT_EQ(plan.at(3600), Names{"db/incremental"});
  EXPECT_FALSE(plan.end(3610, bad("UNREACHABLE")));
  EXPECT_EQ(plan.made(), BackupHealth::Unknown) << "it is still being tried";
  EXPECT_EQ(plan.next(), 3670);
  EXPECT_EQ(plan.at(3669), Names());
  EXPECT_EQ(plan.at(3670), Names{"db/incremental"});
  EXPECT_TRUE(plan.end(3671, bad("UNREACHABLE")));
  EXPECT_EQ(plan.made_code(), "UNREACHABLE");
  EXPECT_EQ(plan.at(7199), Names());
  EXPECT_EQ(plan.at(7200), Names{"db/incremental"});
  EXPECT_EQ(plan.made_code(), "UNREACHABLE");
  EXPECT_TRUE(plan.end(7300, kGood));
  EXPECT_EQ(plan.made(), BackupHealth::Good);
}

TEST(BackupPlan, WhatTryingAgainCannotHelpIsToldAtOnce) {
  Plan plan(policy_of({type_of("db", "0 * * * *")}));
  EXPECT_EQ(plan.at(3600), Names{"db/incremental"});
  EXPECT_TRUE(plan.end(3610, bad("WRONG_PASSWORD")));
  EXPECT_EQ(plan.made_code(), "WRONG_PASSWORD");
}

TEST(BackupPlan, OneRunARepositoryAtATimeInOrder) {
  BackupPolicy policy = policy_of({type_of("a", "0 * * * *"), type_of("b", "0 * * * *"),
                                   type_of("c", "0 * * * *"), type_of("d", "0 * * * *")});
  policy.types[1].priority = Priority::High;
  policy.repositories.push_back({.name = "far",
                                 .location = {},
                                 .password = {},
                                 .access_key = {},
                                 .secret_key = {},
                                 .region = {},
                                 .ca_file = {}});
  policy.types[3].repository = 1;
  Plan plan(policy);
  EXPECT_EQ(plan.at(3600), (Names{"b/incremental", "d/incremental"}));
  EXPECT_EQ(plan.at(3601), Names());
  plan.end(3610, kGood, {BackupTask::Incremental, "b"});
  EXPECT_EQ(plan.at(3610), Names{"a/incremental"});
  plan.end(3620, kGood, {BackupTask::Incremental, "a"});
  EXPECT_EQ(plan.at(3620), Names{"c/incremental"});
}

TEST(BackupPlan, NoMoreThanItsBoundAtOnce) {
  BackupPolicy policy = policy_of({});
  for (std::uint32_t i = 0; i < 8; ++i) {
    policy.repositories.resize(i + 1);
    policy.repositories[i].name = "r" + std::to_string(i);
    policy.types.push_back(type_of("t" + std::to_string(i), "0 * * * *"));
    policy.types.back().repository = i;
  }
  Plan plan(policy);
  EXPECT_EQ(plan.at(3600).size(), kBackupRunsMax);
  EXPECT_EQ(plan.at(3601).size(), 0U);
  plan.end(3700, kGood, {BackupTask::Incremental, "t0"});
  EXPECT_EQ(plan.at(3700), Names{"t4/incremental"});
}

TEST(BackupPlan, DowntimeIsMadeUpForOnce) {
  const BackupPolicy policy = policy_of({type_of("db", "0 * * * *")});
  Plan before(policy);
  before.at(3600);
  before.end(3700, kGood);
  Plan after(policy, before->book(), kStart + 50'000);
  EXPECT_EQ(after.made(), BackupHealth::Good) << "it is not late before it could run";
  EXPECT_EQ(after.at(50'000), Names{"db/incremental"});
  EXPECT_TRUE(after.end(50'010, kGood));
  EXPECT_EQ(after.at(50'010), Names());
  EXPECT_EQ(after.next(), 50'400);
}

TEST(BackupPlan, WithoutCatchUpWhatWasMissedIsTold) {
  BackupPolicy policy = policy_of({type_of("db", "0 * * * *")});
  policy.types[0].schedule.catch_up = false;
  Plan before(policy);
  Plan after(policy, before->book(), kStart + 5'000);
  EXPECT_EQ(after.at(5'000), Names());
  const auto told = after->take_told();
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].what, BackupTold::What::Skipped);
  EXPECT_EQ(after.at(7'200), Names{"db/incremental"});
}

TEST(BackupPlan, AnInterruptedRunIsTriedAgainAtOnceButNotForEver) {
  BackupPolicy policy = policy_of({type_of("db", "0 0 1 1 *")});
  policy.types[0].attempts = 2;
  Plan before(policy);
  EXPECT_EQ(before->request(kDb, "", kStart), 1U);
  BackupBook book = before->book();
  book.records[kDb].owed->scheduled = true;
  Plan running(policy, book);
  EXPECT_EQ(running.at(0), Names{"db/incremental"});
  running->name_processes(kDb, "backup-1");
  Plan again(policy, running->book(), kStart + 10);
  ASSERT_EQ(again->take_told().size(), 1U);
  EXPECT_EQ(again.at(10), Names{"db/incremental"});
  EXPECT_EQ(again->record(kDb).owed->attempts, 2U);
  Plan third(policy, again->book(), kStart + 20);
  EXPECT_EQ(third.at(20), Names());
  EXPECT_EQ(third.made_code(), "INTERRUPTED");
}

TEST(BackupPlan, AnEndByOurOwnStopIsNoAttempt) {
  BackupType type = type_of("db", "0 * * * *");
  type.attempts = 1;
  Plan plan(policy_of({type}));
  plan.at(3600);
  EXPECT_FALSE(plan.end(3601, {.interrupted = true, .code = "INTERRUPTED", .error = "stopped"}));
  EXPECT_EQ(plan.made(), BackupHealth::Unknown);
  Plan after(policy_of({type}), plan->book(), kStart + 3700);
  EXPECT_EQ(after.at(3700), Names{"db/incremental"});
}

TEST(BackupPlan, WhatComesDueWhileItRunsRunsAfterIt) {
  Plan plan(policy_of({type_of("db", "*/10 * * * *")}));
  EXPECT_EQ(plan.at(600), Names{"db/incremental"});
  EXPECT_EQ(plan.at(1200), Names());
  EXPECT_EQ(plan.at(1800), Names());
  EXPECT_TRUE(plan.end(1900, kGood));
  EXPECT_EQ(plan.at(1900), Names{"db/incremental"}) << "once, for both";
  EXPECT_TRUE(plan.end(1910, kGood));
  EXPECT_EQ(plan.at(1910), Names());
}

TEST(BackupPlan, ARequestJoinsWhatWaitsAndFollowsWhatRuns) {
  BackupType type = type_of("db", "0 * * * *");
  Plan plan(policy_of({type}));
  EXPECT_EQ(plan->request({BackupTask::Full, "none"}, "me", kStart), std::nullopt);
  const auto first = plan->request(kDb, "me", kStart);
  EXPECT_EQ(plan->request(kDb, "you", kStart), first);
  EXPECT_EQ(plan.at(0), Names{"db/incremental"});
  const auto second = plan->request(kDb, "you", kStart + 1);
  EXPECT_NE(second, first);
  EXPECT_TRUE(plan.end(5, bad())) << "what a person asked for is not tried again";
  EXPECT_EQ(plan.made(), BackupHealth::Bad);
  EXPECT_EQ(plan.at(5), Names{"db/incremental"});
  EXPECT_EQ(plan->record(kDb).owed->run, *second);
}

TEST(BackupPlan, LateIsUnhealthyAndSaysSo) {
  BackupType type = type_of("db", "0 * * * *");
  type.schedule.grace = 5min;
  type.attempts = 50;
  Plan plan(policy_of({type}));
  plan.at(3600);
  plan.end(3600, bad("UNREACHABLE"));
  for (std::int64_t at = 3660; at <= 3900; at += 60) {
    plan.at(at);
    EXPECT_EQ(plan.made(), BackupHealth::Unknown) << at;
    plan.end(at, bad("UNREACHABLE"));
  }
  plan.at(3901);
  EXPECT_EQ(plan.made_code(), "OVERDUE");
  plan.at(3960);
  EXPECT_TRUE(plan.end(3961, kGood));
  EXPECT_EQ(plan.made(), BackupHealth::Good);
  EXPECT_EQ(plan->deadline(*plan->slot(kDb)), kStart + 7200 + 300);
}

TEST(BackupPlan, AFullBackupThatNeverHappensShowsThroughIncrementalOnes) {
  BackupType type = type_of("db", "*/10 * * * *", "0 * * * *");
  type.schedule.grace = 1min;
  type.attempts = 100;
  Plan plan(policy_of({type}));
  for (std::int64_t at = 600; at <= 3600; at += 600) {
    for (const std::string& name : plan.at(at)) {
      if (name == "db/full") plan.end(at, bad(), {BackupTask::Full, "db"});
    }
    plan.at(at);
    if (plan->record(kDb).owed) plan.end(at, kGood);
  }
  plan.at(3661);
  EXPECT_EQ(plan.made_code(), "OVERDUE");
}

TEST(BackupPlan, AClockSetBackStartsNoFloodAndNoSilence) {
  Plan plan(policy_of({type_of("db", "*/10 * * * *")}));
  plan.at(600);
  plan.end(610, kGood);
  EXPECT_EQ(plan.at(580), Names()) << "a little: nothing runs twice";
  EXPECT_EQ(plan.at(600), Names());
  EXPECT_EQ(plan.at(1200), Names{"db/incremental"});
  plan.end(1201, kGood);
  EXPECT_EQ(plan.at(-86'400), Names()) << "a day back";
  EXPECT_EQ(plan->take_told().at(0).what, BackupTold::What::ClockBack);
  EXPECT_EQ(plan.next(), -86'400 + 600);
  EXPECT_EQ(plan.at(-86'400 + 600), Names{"db/incremental"});
  EXPECT_EQ(plan->record(kDb).succeeded_at, kStart - 86'400) << "not fresh for a day";
}

TEST(BackupPlan, AClockSetForwardRunsOnce) {
  Plan plan(policy_of({type_of("db", "*/10 * * * *")}));
  plan.at(600);
  plan.end(610, kGood);
  EXPECT_EQ(plan.at(900'000), Names{"db/incremental"});
  plan.end(900'001, kGood);
  EXPECT_EQ(plan.at(900'002), Names());
}

TEST(BackupPlan, ARetryWaitsNoLongerThanItsDelayWhenTheClockGoesBack) {
  Plan plan(policy_of({type_of("db", "*/10 * * * *")}));
  plan.at(600);
  plan.end(601, bad());
  plan.at(-10'000);
  EXPECT_EQ(plan.at(-10'000 + 60), Names{"db/incremental"});
}

TEST(BackupPlan, ReloadKeepsWhatRunsAndWhatIsOwed) {
  Plan plan(policy_of({type_of("db", "*/10 * * * *"), type_of("etc", "*/10 * * * *")}));
  EXPECT_EQ(plan.at(600), Names{"db/incremental"});
  plan->replace(policy_of({type_of("etc", "*/10 * * * *")}), kStart + 601);
  EXPECT_EQ(plan.at(601), Names{"etc/incremental"}) << "of what is gone nobody waits";
  EXPECT_TRUE(plan.end(602, kGood)) << "it could end";
  EXPECT_EQ(plan->book().records.count(kDb), 0U);
  plan->replace(policy_of({type_of("db", "*/10 * * * *")}), kStart + 700);
  plan.end(701, kGood, {BackupTask::Incremental, "etc"});
  EXPECT_EQ(plan.at(702), Names()) << "a new type has missed nothing";
  EXPECT_EQ(plan.next(), 1200);
}

TEST(BackupPlan, WhatIsDroppedWhileItWaitsIsTold) {
  Plan plan(policy_of({type_of("db", "*/10 * * * *"), type_of("etc", "*/10 * * * *")}));
  plan.at(600);
  plan->replace(policy_of({type_of("db", "*/10 * * * *")}), kStart + 601);
  const auto told = plan->take_told();
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].what, BackupTold::What::Dropped);
  EXPECT_EQ(told[0].key.name, "etc");
}

TEST(BackupPlan, AnotherScheduleIsNotLateForTheOldOne) {
  Plan plan(policy_of({type_of("db", "0 0 1 * *")}));
  plan.at(0);
  plan->replace(policy_of({type_of("db", "*/10 * * * *")}), kStart + 100'000);
  EXPECT_EQ(plan.at(100'000), Names());
  EXPECT_EQ(plan.made(), BackupHealth::Unknown);
  EXPECT_EQ(plan.next(), 100'200);
}

TEST(BackupPlan, ProofIsOfTypeAndRepository) {
  BackupPolicy policy = policy_of({type_of("db", "0 0 1 1 *")});
  policy.verification = *Cron::parse("0 * * * *");
  policy.restore_test = *Cron::parse("30 * * * *");
  Plan plan(policy);
  EXPECT_EQ(plan.proven(), BackupHealth::Good) << "not due yet";
  EXPECT_EQ(plan.at(1800), Names{"db/restore-test"});
  EXPECT_TRUE(plan.end(1900, {.good = true, .rpo_seconds = 5, .rto_seconds = 2.5},
                       {BackupTask::RestoreTest, "db"}));
  EXPECT_EQ(plan->record({BackupTask::RestoreTest, "db"}).rto_seconds, 2.5);
  EXPECT_EQ(plan.at(3600), Names{"main/verify"});
  EXPECT_TRUE(plan.end(3700, bad("DAMAGED"), {BackupTask::Verify, "main"}));
  EXPECT_EQ(plan.proven(), BackupHealth::Bad);
  EXPECT_EQ(plan.made(), BackupHealth::Unknown);
  EXPECT_EQ(plan->proven(0, kStart + 3700).code, "DAMAGED");
  EXPECT_EQ(plan.at(5400), Names{"db/restore-test"});
  EXPECT_TRUE(plan.end(5500, kGood, {BackupTask::RestoreTest, "db"}));
  EXPECT_EQ(plan.proven(), BackupHealth::Bad);
  EXPECT_EQ(plan.at(7200), Names{"main/verify"});
  EXPECT_TRUE(plan.end(7300, kGood, {BackupTask::Verify, "main"}));
  EXPECT_EQ(plan.proven(), BackupHealth::Good);
  EXPECT_EQ(plan->proven(0, kStart + 100'000).code, "OVERDUE");
}

TEST(BackupPlan, ADrillHoldsUpNoBackupAndNoOtherDrillBesideIt) {
  BackupPolicy policy = policy_of({type_of("db", "0 * * * *"), type_of("etc", "@yearly")});
  policy.verification = *Cron::parse("5 9 * * *");
  policy.drill = *Cron::parse("55 8 * * *");
  Plan plan(policy);
  EXPECT_EQ(plan.at(3300), Names{"db/drill"}) << "one at a time";
  EXPECT_EQ(plan.at(3600), Names{"db/incremental"}) << "for hours nothing would be backed up";
  EXPECT_TRUE(plan.end(3610, kGood));
  EXPECT_EQ(plan.at(3900), Names()) << "reading twice at once helps nobody";
  EXPECT_TRUE(plan.end(4000, {.good = true, .rpo_seconds = 5, .rto_seconds = 7},
                       {BackupTask::Drill, "db"}));
  EXPECT_EQ(plan.at(4000), Names{"etc/drill"});
  EXPECT_EQ(plan.at(4001), Names());
  EXPECT_TRUE(plan.end(4100, kGood, {BackupTask::Drill, "etc"}));
  EXPECT_EQ(plan.at(4100), Names{"main/verify"});
}

TEST(BackupPlan, ADrillIsOfTheProofAndMayBeOverdue) {
  BackupPolicy policy = policy_of({type_of("db", "@yearly")});
  policy.drill = *Cron::parse("0 * * * *");
  Plan plan(policy);
  plan.at(3600);
  EXPECT_TRUE(plan.end(3700, kGood, {BackupTask::Drill, "db"}));
  EXPECT_EQ(plan.proven(), BackupHealth::Good);
  EXPECT_EQ(plan->proven(0, kStart + 7200 + 3600 + 201).code, "OVERDUE");
}

TEST(BackupPlan, AProofThatWaitsForItsTurnIsNotOverdue) {
  BackupPolicy policy = policy_of({type_of("db", "@yearly"), type_of("etc", "@yearly")});
  policy.drill = *Cron::parse("0 9 1 * *");
  const BackupKey db{BackupTask::Drill, "db"};
  const BackupKey etc{BackupTask::Drill, "etc"};
  const std::int64_t due = policy.drill->next(kStart, utc_zone) - kStart;
  Plan plan(policy);
  plan.at(due);
  plan.end(due + 60, kGood, db);
  plan.at(due + 60);
  plan.end(due + 120, kGood, etc);
  const std::int64_t again = policy.drill->next(kStart + due, utc_zone) - kStart;
  ASSERT_EQ(plan.at(again), Names{"db/drill"});
  const std::int64_t hours = 5 * 3600;  // Longer than the last took.
  EXPECT_EQ(plan->proven(0, kStart + again + hours).code, "OVERDUE") << "that one hangs";
  EXPECT_EQ(plan->proven(1, kStart + again + hours).code, "") << "it may not begin";
  plan.end(again + hours, kGood, db);
  ASSERT_EQ(plan.at(again + hours), Names{"etc/drill"});
  EXPECT_EQ(plan->proven(1, kStart + again + hours + 3600).code, "") << "it began only now";
  EXPECT_EQ(plan->proven(1, kStart + again + 2 * hours).code, "OVERDUE");
  EXPECT_EQ(plan->proven(1, kStart + again + 27 * 3600).code, "OVERDUE") << "not for ever";
}

TEST(BackupPlan, CatchingUpHoldsUpNoBackup) {
  BackupPolicy policy = policy_of({type_of("db", "0 * * * *")});
  policy.repositories[0].mirror.resize(2);
  policy.verification.reset();
  policy.catch_up = *Cron::parse("55 8 * * *");
  Plan plan(policy);
  EXPECT_EQ(plan.at(3300), Names{"main/catch-up"});
  EXPECT_EQ(plan.at(3600), Names{"db/incremental"}) << "a new member takes hours to fill";
}

TEST(BackupPlan, AnObjectiveThatIsMissedIsAFailureWithItsFigures) {
  BackupType type = type_of("db", "@yearly");
  const BackupEnd end{.good = true, .rpo_seconds = 7200, .rto_seconds = 90};
  EXPECT_TRUE(judged_by_objectives(type, end).good) << "by priority: an hour";
  type.rto = 1min;
  EXPECT_EQ(judged_by_objectives(type, end).code, "RTO_MISSED");
  type.rto = 2min;
  type.rpo = 1h;
  const BackupEnd late = judged_by_objectives(type, end);
  EXPECT_EQ(late.code, "RPO_MISSED");
  EXPECT_NE(late.error.find("it is 2h old, and an RPO of 1h is wanted"), std::string::npos)
      << late.error;
  BackupPolicy policy = policy_of({type});
  policy.drill = *Cron::parse("0 * * * *");
  Plan plan(policy);
  plan.at(3600);
  EXPECT_TRUE(plan.end(3700, late, {BackupTask::Drill, "db"})) << "not again: it takes hours";
  EXPECT_EQ(plan->proven(0, kStart + 3700).code, "RPO_MISSED");
  EXPECT_EQ(plan->record({BackupTask::Drill, "db"}).rto_seconds, 90);
}

TEST(BackupPlan, AVerificationReadsItsShare) {
  BackupRepository repository = policy_of({}).repositories[0];
  const auto daily = Cron::parse("30 3 * * *");
  EXPECT_EQ(verified_share(repository, *daily, kStart), 1) << "everything, each time";
  repository.unread_for = 24h * 10;
  EXPECT_DOUBLE_EQ(verified_share(repository, *daily, kStart), 0.125);
  repository.unread_for = 1h;
  EXPECT_EQ(verified_share(repository, *daily, kStart), 1);
  EXPECT_EQ(verified_share(repository, std::nullopt, kStart), 1);
}

TEST(BackupPlan, TasksHaveNames) {
  for (const BackupTask task : {BackupTask::Full, BackupTask::Incremental, BackupTask::Verify,
                                BackupTask::RestoreTest, BackupTask::Drill, BackupTask::CatchUp}) {
    EXPECT_EQ(parse_backup_task(to_string(task)), task);
  }
  EXPECT_FALSE(parse_backup_task("dance"));
}

// Whatever happens: a due time is settled by a run that began at or after it, unless a failure is
// on the books; no repository has two runs; the book is never further than the clock.
class Campaign {
 public:
  explicit Campaign(unsigned seed) : random_(seed), plan_(make()) {}

  void run() {
    for (int step = 0; step < 400; ++step) {
      now_ += pick(8) == 0 ? pick(20'000) : pick(400);
      if (pick(40) == 0) now_ -= pick(30'000);
      if (pick(30) == 0) crash();
      if (pick(10) == 0) ask();
      begin();
      if (!running_.empty() && pick(2) == 0) finish();
      check();
    }
  }

 private:
  std::int64_t pick(std::int64_t below) {
    return std::uniform_int_distribution<std::int64_t>(0, below - 1)(random_);
  }
  static BackupPolicy make_policy() {
    BackupPolicy policy = policy_of(
        {type_of("a", "*/5 * * * *", "0 * * * *"), type_of("b", "*/7 * * * *", "0 3 * * *")});
    policy.types[1].schedule.jitter = 60s;
    policy.verification = *Cron::parse("0 */3 * * *");
    policy.restore_test = *Cron::parse("30 * * * *");
    policy.drill = *Cron::parse("45 */4 * * *");
    return policy;
  }
  BackupPlan make() { return BackupPlan(make_policy(), std::move(book_), utc_zone, now_); }
  void crash() {
    book_ = plan_.book();
    plan_ = make();
    running_.clear();
  }
  void ask() { plan_.request({BackupTask::Full, pick(2) == 0 ? "a" : "b"}, "me", now_); }
  void begin() {
    for (const BackupStart& start : plan_.start_due(now_)) running_.push_back(start.slot.key);
  }
  void finish() {
    const auto at = running_.begin() + pick(static_cast<std::int64_t>(running_.size()));
    const BackupKey key = *at;
    running_.erase(at);
    plan_.ended(key, pick(3) == 0 ? bad() : kGood, now_);
  }
  void check() {
    const auto drills = std::ranges::count(running_, BackupTask::Drill, &BackupKey::task);
    EXPECT_LE(drills, 1);
    EXPECT_LE(running_.size() - static_cast<std::size_t>(drills), 1U);
    for (const BackupSlot& slot : plan_.slots()) {
      const BackupRecord& record = plan_.record(slot.key);
      EXPECT_LE(record.succeeded_at, now_);
      EXPECT_LE(record.cursor, now_ + 60);
      const bool waits = record.owed.has_value() || record.then.has_value();
      const bool told = record.given_up;
      // The last due time before the cursor: run since, waiting, or told.
      std::int64_t due = 0;
      for (std::int64_t at = slot.cron->next(record.cursor - 90'000, utc_zone);
           at <= record.cursor && at > record.since; at = slot.cron->next(at, utc_zone)) {
        due = at;
      }
      // Seen through a clock that was set back a little, it may seem to have begun before.
      const bool settled = due == 0 || record.succeeded_from + 60 >= due || clock_went_back(record);
      const bool jitters = slot.jitter > Duration::zero();
      EXPECT_TRUE(settled || waits || told || jitters)
          << slot.key.name << to_string(slot.key.task) << " at " << now_ - kStart << " due "
          << due - kStart << " began " << record.succeeded_from - kStart << " cursor "
          << record.cursor - kStart << " since " << record.since - kStart;
    }
    EXPECT_GT(plan_.next_change(now_), now_ - 1);
  }
  // Its cursor was taken back with the clock, or is ahead of it for a moment.
  bool clock_went_back(const BackupRecord& record) const { return record.cursor >= now_; }

  std::mt19937 random_;
  std::int64_t now_ = kStart;
  BackupBook book_;
  BackupPlan plan_;
  std::vector<BackupKey> running_;
};

TEST(BackupPlan, NothingIsSilentlySkipped) {
  for (unsigned seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE(seed);
    Campaign(seed).run();
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace recover::core
