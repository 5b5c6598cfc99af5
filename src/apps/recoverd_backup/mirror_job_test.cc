// Jobs of the worker on a mirror: who lacks something is told, gets it, and is mended.
#include <boost/json.hpp>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "test/backup/worker_job.h"

namespace recover::apps {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

class MirrorJob : public test::WorkerJob {
 protected:
  void SetUp() override {
    test::WorkerJob::SetUp();
    if (IsSkipped()) return;
    test::spill(data("etc/one.conf"), "one\n");
    test::spill(data("large"), test::noise(1U << 20U));
    fs::create_directories(second());
    fs::create_directories(later());
  }
  std::string second() const { return folder_ / "second"; }
  std::string later() const { return folder_ / "later"; }
  json::object job(const std::string& task, const json::object& more = {}) {
    const json::object mirror{{"name", "main"},
                              {"state", folder_ / "mirrors/main.json"},
                              {"members",
                               {{{"name", "primary"}, {"location", restic_.repository}},
                                {{"name", "secondary"}, {"location", second()}},
                                {{"name", "emergency"}, {"location", later()}, {"later", true}}}}};
    json::object all{{"sources", {{{"paths", {data_}}}}},
                     {"repository", {{"password", "secret"}, {"mirror", mirror}}}};
    for (const auto& field : more) all[field.key()] = field.value();
    return run(task, all);
  }
  static std::string state_of(const json::object& result, std::size_t member) {
    return std::string(result.at("members").at(member).at("state").as_string());
  }
  static std::size_t packs_in(const std::string& repository) {
    std::size_t count = 0;
    for (const auto& entry : fs::recursive_directory_iterator(repository + "/data")) {
      count += entry.is_regular_file() ? 1 : 0;
    }
    return count;
  }
  // Changes bytes of the pack whose name comes first.
  static void rot(const std::string& repository) {
    fs::path first;
    for (const auto& entry : fs::recursive_directory_iterator(repository + "/data")) {
      const bool better = first.empty() || entry.path().filename() < first.filename();
      if (entry.is_regular_file() && better) first = entry.path();
    }
    ::chmod(first.c_str(), 0600);
    std::fstream file(first, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(20);
    file.put('\0').put('\1').put('\2');
  }
};

TEST_F(MirrorJob, EveryMemberGetsItAndAGoneOneIsToldAndCaughtUp) {
  json::object made = job("backup");
  ASSERT_TRUE(made.at("ok").as_bool()) << made;
  EXPECT_EQ(state_of(made, 0), "sound");
  EXPECT_EQ(state_of(made, 1), "sound");
  EXPECT_EQ(state_of(made, 2), "later");
  EXPECT_EQ(packs_in(second()), packs_in(restic_.repository));
  EXPECT_EQ(packs_in(later()), packs_in(restic_.repository)) << "after the backup";
  // Nobody can write there: a file is in its place.
  fs::rename(second(), folder_ / "away");
  test::spill(second(), "no folder");
  test::spill(data("etc/two.conf"), "two\n");
  made = job("backup");
  ASSERT_TRUE(made.at("ok").as_bool()) << made;
  EXPECT_EQ(state_of(made, 1), "behind") << made;
  EXPECT_GT(made.at("members").at(1).at("since").to_number<std::int64_t>(), 0);
  fs::remove(second());
  fs::rename(folder_ / "away", second());
  const json::object caught = job("catch-up");
  ASSERT_TRUE(caught.at("ok").as_bool()) << caught;
  EXPECT_EQ(state_of(caught, 1), "sound") << caught;
  EXPECT_GT(caught.at("copied_files").to_number<int>(), 0);
  EXPECT_EQ(packs_in(second()), packs_in(restic_.repository));
  EXPECT_TRUE(job("drill").at("ok").as_bool());
}

TEST_F(MirrorJob, ARottenMemberIsNamedAndMendedFromTheOthers) {
  ASSERT_TRUE(job("backup").at("ok").as_bool());
  rot(second());
  rot(later());
  json::object verified = job("verify");
  ASSERT_TRUE(verified.at("ok").as_bool()) << verified;
  const json::array& members = verified.at("verified_members").as_array();
  EXPECT_EQ(members.at(0).at("mended").to_number<int>(), 0);
  EXPECT_EQ(members.at(1).at("mended").to_number<int>(), 1);
  EXPECT_EQ(members.at(2).at("mended").to_number<int>(), 1);
  EXPECT_NE(members.at(1).at("mended_files").at(0).as_string().find("is damaged"),
            std::string::npos);
  verified = job("verify");
  EXPECT_EQ(verified.at("verified_members").at(1).at("mended").to_number<int>(), 0);
  rot(restic_.repository);
  rot(second());
  rot(later());
  verified = job("verify");
  EXPECT_EQ(verified.at("code").as_string(), "DAMAGED") << verified;
  const std::string error(verified.at("error").as_string());
  EXPECT_NE(error.find("primary: pack"), std::string::npos) << error;
}

TEST_F(MirrorJob, AMemberThatCannotBeReadFailsNoVerificationOfTheOthers) {
  ASSERT_TRUE(job("backup").at("ok").as_bool());
  fs::remove_all(second() + "/data");
  fs::create_symlink(second() + "/data", second() + "/data");  // Leads nowhere, for ever.
  // Nobody remembers what was read: a part would be any part.
  const json::object verified = job("verify", {{"share", 0.01}});
  ASSERT_TRUE(verified.at("ok").as_bool()) << verified;
  const json::array& members = verified.at("verified_members").as_array();
  EXPECT_FALSE(members.at(1).at("problems").as_array().empty()) << verified;
  EXPECT_EQ(members.at(0).at("files_read"), members.at(2).at("files_read"));
  EXPECT_GT(verified.at("packs").to_number<int>(), 1);
  EXPECT_EQ(verified.at("packs_read"), verified.at("packs"));
  const json::object part = job("verify", {{"share", 0.01}, {"ledgers", folder_ / "ledgers"}});
  EXPECT_EQ(part.at("packs_read").to_number<int>(), 1) << part;
}

}  // namespace
}  // namespace recover::apps
