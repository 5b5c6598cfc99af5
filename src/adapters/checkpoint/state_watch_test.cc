#include "adapters/checkpoint/state_watch.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "core/policy.h"
#include "test/temp_folder.h"

namespace recover::adapters::checkpoint {
namespace {

namespace fs = std::filesystem;

void put(const std::string& path, const std::string& text) {
  std::ofstream(path) << text;
}

TEST(StateWatch, TheFingerprintFollowsNamesSizesModesAndTimes) {
  const test::TempFolder folder;
  const std::vector<std::string> paths = {folder / "conf", folder / "one"};
  const std::string absent = fingerprint_of(paths);
  EXPECT_EQ(fingerprint_of(paths), absent);
  fs::create_directories(folder / "conf/deep");
  put(folder / "conf/deep/a", "1");
  std::string last = fingerprint_of(paths);
  EXPECT_NE(last, absent);
  const auto changed = [&] {
    const std::string now = fingerprint_of(paths);
    return std::exchange(last, now) != now;
  };
  EXPECT_FALSE(changed());
  put(folder / "conf/deep/a", "22");
  EXPECT_TRUE(changed()) << "another size";
  fs::last_write_time(folder / "conf/deep/a",
                      fs::file_time_type::clock::now() - std::chrono::hours{1});
  EXPECT_TRUE(changed()) << "another time";
  fs::permissions(folder / "conf/deep/a", fs::perms::owner_read);
  EXPECT_TRUE(changed()) << "another mode";
  put(folder / "conf/b", "");
  EXPECT_TRUE(changed()) << "another file";
  fs::remove(folder / "conf/b");
  EXPECT_TRUE(changed()) << "a file less";
  put(folder / "elsewhere", "");
  EXPECT_FALSE(changed());
}

TEST(StateWatch, TellsTheFirstAndEveryOther) {
  const test::TempFolder folder;
  put(folder / "conf", "1");
  core::Policy policy;
  policy.checkpoint.after = std::chrono::milliseconds{1};
  policy.services.resize(2);
  policy.services[1].name = "web";
  policy.services[1].state = {folder / "conf"};
  boost::asio::io_context loop;
  // While the pool looks, the loop has nothing to do: it must wait, not stop.
  const auto waits = boost::asio::make_work_guard(loop);
  boost::asio::thread_pool pool{1};
  std::vector<core::StateSeen> seen;
  StateWatch watch(loop, pool, [&](const core::Event& event) {
    seen.push_back(std::get<core::StateSeen>(event));
  });
  watch.watch(policy);
  while (seen.empty()) loop.run_one();
  EXPECT_EQ(seen[0].service, core::ServiceIndex{1});
  put(folder / "conf", "22");
  while (seen.size() < 2) loop.run_one();
  EXPECT_NE(seen[1].fingerprint, seen[0].fingerprint);
  watch.watch(policy);  // Told anew: the core knows whether it is another one.
  while (seen.size() < 3) loop.run_one();
  EXPECT_EQ(seen[2].fingerprint, seen[1].fingerprint);
  pool.join();
}

}  // namespace
}  // namespace recover::adapters::checkpoint
