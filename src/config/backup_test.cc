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
      "    etc: {repository: near, sources: [{paths: [/etc]}], schedule: \"@daily\", retention: "
      "7d}\n"
      "  verification: never\n"
      "  restore_test: \"@monthly\"\n");
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
  const core::BackupType& etc = backup.types[1];
  EXPECT_EQ(etc.repository, 0U);
  EXPECT_FALSE(etc.schedule.full);
  EXPECT_EQ(etc.schedule.incremental->text(), "@daily");
  EXPECT_EQ(etc.retention.within, hours{7 * 24});
  EXPECT_FALSE(backup.verification);
}

}  // namespace
}  // namespace recover::config
