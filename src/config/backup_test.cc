#include <gtest/gtest.h>

#include <string>

#include "config/load.h"
#include "config/memory_files.h"

namespace recover::config {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

core::BackupPolicy backup_in(const std::string& text) {
  MemoryFiles files(Texts{{"/etc/recoverd.yaml", "version: 1\n" + text}}, {{"KEY", "sesame"}});
  auto loaded = load("/etc/recoverd.yaml", files);
  if (loaded) return std::move(loaded).value().backup;
  for (const Mistake& mistake : loaded.error()) ADD_FAILURE() << to_string(mistake);
  return {};
}

TEST(BackupConfiguration, WithoutItNothingIsBackedUp) {
  EXPECT_TRUE(backup_in("state_dir: /tmp/x\n").types.empty());
}

TEST(BackupConfiguration, TheDefaultPlanIsFullDailyAndIncrementalHourly) {
  const core::BackupPolicy backup = backup_in(
      "backup:\n  repositories: {main: {location: /srv/b, password: \"${env:KEY}\"}}\n"
      "  types: {etc: {sources: [{paths: [/etc]}]}}\n");
  ASSERT_EQ(backup.types.size(), 1U);
  EXPECT_EQ(backup.repositories.at(0).password.reveal(), "sesame");
  const core::BackupType& etc = backup.types[0];
  EXPECT_EQ(etc.schedule.full->text(), "0 2 * * *");
  EXPECT_EQ(etc.schedule.incremental->text(), "@hourly");
  EXPECT_TRUE(etc.schedule.catch_up);
  EXPECT_EQ(etc.retention, core::BackupRetention());
  EXPECT_EQ(backup.verification->text(), "30 3 * * *");
  EXPECT_EQ(backup.restore_test->text(), "30 4 * * sun");
  EXPECT_EQ(backup.drill->text(), "30 5 1 * *");
  EXPECT_EQ(core::rto_of(etc), hours{1}) << "by priority";
  EXPECT_FALSE(core::wanted_rpo(etc)) << "as the schedule says";
}

TEST(BackupConfiguration, EveryKeyIsRead) {
  const core::BackupPolicy backup = backup_in(
      "backup:\n"
      "  repositories:\n"
      "    near: {location: /srv/b, password: x}\n"
      "    far: {location: \"s3:https://h/b\", password: x, access_key: a, secret_key: s, region: "
      "r,"
      " ca_file: /c, upload: 1MiB, download: 2MiB, append_only: true}\n"
      "  types:\n"
      "    db:\n"
      "      repository: far\n"
      "      sources: [{command: [pg_dumpall], name: all.sql},"
      " {paths: [/srv], exclude: [\"*.tmp\"], one_file_system: true}]\n"
      "      schedule: {full: never, incremental: \"*/30 * * * * *\", jitter: 5s, catch_up: "
      "false}\n"
      "      retention: {last: 1, hourly: 2, daily: 3, weekly: 4, monthly: 5, yearly: 6, within: "
      "7d}\n"
      "      before: [[a, b]]\n"
      "      after: [[c]]\n"
      "      timeout: 1h\n"
      "      attempts: 7\n"
      "      retry_delay: 2m\n"
      "      rto: 10m\n"
      "      rpo: 3h\n"
      "    etc: {repository: near, sources: [{paths: [/etc]}], schedule: \"@daily\", retention: "
      "7d}\n"
      "  verification: never\n"
      "  restore_test: \"@monthly\"\n"
      "  drill: never\n"
      "  scratch: /var/tmp\n"
      "  scratch_max: 10GiB\n");
  ASSERT_EQ(backup.types.size(), 2U);
  const core::BackupRepository& far = backup.repositories.at(1);
  EXPECT_EQ(far.secret_key.reveal(), "s");
  EXPECT_EQ(far.upload, 1U << 20U);
  EXPECT_TRUE(far.append_only);
  const core::BackupType& db = backup.types[0];
  EXPECT_EQ(db.repository, 1U);
  EXPECT_EQ(db.sources.at(0).name, "all.sql");
  EXPECT_TRUE(db.sources.at(1).one_file_system);
  EXPECT_FALSE(db.schedule.full);
  EXPECT_FALSE(db.schedule.catch_up);
  EXPECT_EQ(db.retention.within, hours{7 * 24});
  EXPECT_EQ(db.retention.yearly, 6U);
  EXPECT_EQ(db.retry_delay, minutes{2});
  EXPECT_EQ(core::rto_of(db), minutes{10});
  EXPECT_EQ(core::wanted_rpo(db), hours{3});
  EXPECT_FALSE(backup.drill);
  EXPECT_EQ(backup.scratch, "/var/tmp");
  EXPECT_EQ(backup.scratch_max, 10ULL << 30U);
  const core::BackupType& etc = backup.types[1];
  EXPECT_EQ(etc.repository, 0U);
  EXPECT_FALSE(etc.schedule.full);
  EXPECT_EQ(etc.schedule.incremental->text(), "@daily");
  EXPECT_EQ(etc.retention.within, hours{7 * 24});
  EXPECT_FALSE(backup.verification);
}

core::BackupType databases_in(const std::string& type) {
  const core::BackupPolicy backup = backup_in(
      "backup:\n  repositories: {main: {location: /srv/b, password: x}}\n  types:\n    db: " +
      type);
  EXPECT_EQ(backup.types.size(), 1U);
  return backup.types.empty() ? core::BackupType() : backup.types[0];
}

TEST(BackupConfiguration, DatabasesAreReadInTheirOwnWay) {
  const core::BackupType db = databases_in(
      "{sources: ["
      "{postgres: {dsn: \"host=h password=${env:KEY}\", databases: [a, b], roles: none}, query: q, "
      "expect: e},"
      "{postgres: {dsn: host=h, method: basebackup}, name: whole},"
      "{mysql: {host: h, port: 3307, user: u, password: \"${env:KEY}\", databases: all}},"
      "{redis: {socket: /run/redis.sock, user: u, password: \"${env:KEY}\"}},"
      "{sqlite: [/srv/a.db, /srv/b.db]},"
      "{git: {repository: /srv/x.git, remotes: [\"git@h:x\", {url: \"https://h/x\", user: u, "
      "password: \"${env:KEY}\"}], prune: true}}]}\n");
  ASSERT_EQ(db.sources.size(), 6U);
  const auto& postgres = std::get<core::PostgresSource>(db.sources[0].native);
  EXPECT_EQ(postgres.dsn.reveal(), "host=h password=sesame");
  EXPECT_EQ(postgres.databases, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(postgres.roles, core::PostgresRoles::None);
  EXPECT_EQ(db.sources[0].name, "postgres");
  EXPECT_EQ(db.sources[0].query, "q");
  EXPECT_EQ(db.sources[0].expect, "e");
  EXPECT_EQ(db.sources[1].name, "whole");
  EXPECT_EQ(std::get<core::PostgresSource>(db.sources[1].native).method,
            core::PostgresMethod::Basebackup);
  const auto& mysql = std::get<core::MysqlSource>(db.sources[2].native);
  EXPECT_EQ(mysql.port, 3307);
  EXPECT_TRUE(mysql.databases.empty());
  EXPECT_EQ(std::get<core::RedisSource>(db.sources[3].native).socket, "/run/redis.sock");
  EXPECT_EQ(std::get<core::SqliteSource>(db.sources[4].native).paths.size(), 2U);
  const auto& git = std::get<core::GitSource>(db.sources[5].native);
  EXPECT_TRUE(git.prune);
  EXPECT_EQ(git.remotes.at(0).url, "git@h:x");
  EXPECT_EQ(git.remotes.at(1).password.reveal(), "sesame");
}

TEST(BackupConfiguration, DatabasesAreBackedUpEverySixHours) {
  core::BackupType db = databases_in("{sources: [{sqlite: [/a.db]}, {redis: {}}]}\n");
  EXPECT_FALSE(db.schedule.full);
  EXPECT_EQ(db.schedule.incremental->text(), "0 */6 * * *");
  db = databases_in("{sources: [{sqlite: [/a.db]}], schedule: {jitter: 5s}}\n");
  EXPECT_EQ(db.schedule.incremental->text(), "0 */6 * * *");
  db = databases_in("{sources: [{sqlite: [/a.db]}], schedule: \"@daily\"}\n");
  EXPECT_EQ(db.schedule.incremental->text(), "@daily");
  db = databases_in("{sources: [{sqlite: [/a.db]}, {paths: [/etc]}]}\n");
  EXPECT_EQ(db.schedule.incremental->text(), "@hourly");
  db = databases_in("{sources: [{git: {repository: /a}}]}\n");
  EXPECT_EQ(db.schedule.full->text(), "0 2 * * *");
}

TEST(BackupConfiguration, AContinuousTypeHasTheRpoOfItsPriority) {
  core::BackupType type =
      databases_in("{sources: [{paths: [/srv]}], continuous: true, priority: critical}\n");
  EXPECT_EQ(core::rpo_of(type), minutes{1});
  EXPECT_EQ(type.schedule.full->text(), "0 2 * * *");
  EXPECT_FALSE(type.schedule.incremental) << "that is made all the time";
  type = databases_in("{sources: [{paths: [/srv]}], continuous: true, priority: high}\n");
  EXPECT_EQ(core::rpo_of(type), minutes{15});
  type = databases_in(
      "{sources: [{paths: [/srv]}], continuous: true, rpo: 20s, reconcile: 1h, "
      "schedule: {full: never, incremental: never}}\n");
  EXPECT_EQ(core::rpo_of(type), std::chrono::seconds{20});
  EXPECT_EQ(type.reconcile, hours{1});
  type = databases_in("{sources: [{paths: [/srv]}], continuous: true}\n");
  EXPECT_EQ(core::rpo_of(type), hours{1});
}

TEST(BackupConfiguration, ARepositoryMayBeSeveralPlaces) {
  const core::BackupPolicy backup = backup_in(
      "backup:\n  repositories:\n    main:\n      password: \"${env:KEY}\"\n"
      "      mirror_grace: 2h\n      unread_for: 7d\n"
      "      mirror: {emergency: {location: /mnt/usb, write: later}, primary: /srv/b,\n"
      "               tertiary: {location: \"s3:https://h/b\", access_key: a, secret_key: s, "
      "append_only: true}}\n"
      "  types:\n    etc: {sources: [{paths: [/etc]}], load: {nice: 19, ionice: {class: idle}, "
      "upload: 1MiB,\n          pause_on: {io: 50%, cpu: 0.9}, pause_max: 5m}, rpo: 4m}\n"
      "  catch_up: \"@hourly\"\n");
  const core::BackupRepository& main = backup.repositories.at(0);
  ASSERT_EQ(main.mirror.size(), 3U);
  EXPECT_EQ(main.mirror[0].name, "primary");
  EXPECT_EQ(main.mirror[0].location, "/srv/b");
  EXPECT_EQ(main.mirror[1].secret_key.reveal(), "s");
  EXPECT_TRUE(main.mirror[1].append_only);
  EXPECT_EQ(main.mirror[2].name, "emergency");
  EXPECT_TRUE(main.mirror[2].later);
  EXPECT_EQ(main.mirror_grace, hours{2});
  EXPECT_EQ(main.unread_for, hours{7 * 24});
  EXPECT_EQ(backup.catch_up->text(), "@hourly");
  const core::BackupLoad& load = backup.types.at(0).load;
  EXPECT_EQ(load.nice, 19);
  EXPECT_EQ(load.ionice.io_class, core::IoClass::Idle);
  EXPECT_EQ(load.upload, 1U << 20U);
  EXPECT_EQ(load.pause_io, 0.5);
  EXPECT_EQ(load.pause_cpu, 0.9);
  EXPECT_FALSE(load.pause_memory);
  EXPECT_EQ(core::pause_max_of(backup.types[0]), minutes{2}) << "half the RPO";
}

TEST(BackupConfiguration, MistakesInPlacesAreSaid) {
  const struct {
    std::string repository;
    std::string mistake;
  } kCases[] = {
      {"{password: x}", "location"},
      {"{password: x, location: /a, mirror: {primary: /b}}", "mirror"},
      {"{password: x, mirror: {secondary: /b}}", "a `mirror` needs a `primary`"},
      {"{password: x, mirror: {primry: /b}}", "did you mean `primary`?"},
      {"{password: x, mirror: {primary: {location: /b, write: later}}}", "never written later"},
      {"{password: x, mirror: {primary: {location: /b, write: latter}}}", "did you mean `later`?"},
      {"{password: x, mirror: {primary: srv/b}}", "`location` must be an absolute path"},
      {"{password: x, mirror: {primary: \"mirror:all\"}}", "is for recoverctl alone"},
      {"{password: x, mirror: {primary: /b}, region: r}", "`region` is of the members"},
      {"{password: x, location: /a, mirror_grace: 1h}", "`mirror_grace` is for a `mirror`"},
  };
  for (const auto& [repository, mistake] : kCases) {
    MemoryFiles files(
        Texts{{"/etc/recoverd.yaml", "version: 1\nbackup:\n  repositories: {main: " + repository +
                                         "}\n  types: {etc: {sources: [{paths: "
                                         "[/etc]}]}}\n"}},
        {});
    const auto loaded = load("/etc/recoverd.yaml", files);
    ASSERT_FALSE(loaded) << repository;
    std::string all;
    for (const Mistake& each : loaded.error()) all += to_string(each) + "\n";
    EXPECT_NE(all.find(mistake), std::string::npos) << repository << "\n" << all;
  }
}

TEST(BackupConfiguration, MistakesInSourcesAreSaid) {
  const struct {
    std::string source;
    std::string mistake;
  } kCases[] = {
      {"{postgres: {}}", "`dsn` is missing"},
      {"{postgres: {dsn: x, method: dmup}}", "dump"},
      {"{postgres: {dsn: x, databases: some}}", "`all`, or a list of names, is wanted here"},
      {"{postgres: {dsn: x, method: basebackup, databases: [a]}}", "is for `method: dump`"},
      {"{mysql: {password: x}}", "`user` or `option_file` is missing"},
      {"{sqlite: []}", "the list must not be empty"},
      {"{sqlite: [a.db]}", "absolute"},
      {"{sqlite: [/a/x.db, /b/x.db]}", "two databases have the same file name"},
      {"{git: {repository: /a, remotes: [\"https://u:p@h/x\"]}}",
       "a password does not belong into the URL"},
      {"{redis: {}, sqlite: [/a]}", "found `redis` and `sqlite`"},
      {"{redis: {}, exclude: [x]}", "are for `paths`"},
      {"{redis: {}, name: a/b}", "the `name` of a database is up to 64"},
      {"{redis: {}, expect: x}", "`expect` is for a `query`"},
      {"{paths: [/a], query: x}", "`query` is for databases and `git`"},
      {"{paths: [/a]}], reconcile: 5s, before: [[x]",
       "`reconcile` is for a type with `continuous: true`"},
      {"{redis: {}}], continuous: true, before: [[x]", "only `paths` can be protected"},
      {"{paths: [/a]}], continuous: true, before: [[x]",
       "`before` would not be run for what is backed up all the time"},
      {"{redis: {}}, {redis: {port: 1}}", "two sources are named `redis`"},
  };
  for (const auto& [source, mistake] : kCases) {
    MemoryFiles files(
        Texts{{"/etc/recoverd.yaml",
               "version: 1\nbackup:\n  repositories: {main: {location: /srv/b, password: x}}\n"
               "  types: {db: {sources: [" +
                   source + "]}}\n"}},
        {});
    const auto loaded = load("/etc/recoverd.yaml", files);
    ASSERT_FALSE(loaded) << source;
    std::string all;
    for (const Mistake& each : loaded.error()) all += to_string(each) + "\n";
    EXPECT_NE(all.find(mistake), std::string::npos) << source << "\n" << all;
  }
}

}  // namespace
}  // namespace recover::config
