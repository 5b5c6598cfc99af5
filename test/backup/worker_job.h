// Jobs of the backup worker on a repository of ours beside the real restic.
#pragma once

#include <boost/json.hpp>

#include <filesystem>
#include <sstream>
#include <string>

#include "apps/recoverd_backup/worker.h"
#include "test/restic_archive.h"

namespace recover::test {

namespace json = boost::json;

class WorkerJob : public ResticArchive {
 protected:
  void SetUp() override {
    ResticArchive::SetUp();
    if (IsSkipped()) return;
    std::filesystem::create_directories(folder_ / "scratch");
  }
  // The job's result; `more` beside what every job has.
  json::object run(std::string_view task, const json::object& more = {}) {
    json::object document{
        {"task", task},
        {"type", "etc"},
        {"repository", {{"location", restic_.repository}, {"password", "secret"}}},
        {"scratch", folder_ / "scratch"}};
    for (const auto& field : more) document[field.key()] = field.value();
    const auto job = apps::parse_job(json::serialize(document));
    EXPECT_TRUE(job) << job.error();
    std::ostringstream out;
    const bool done = apps::do_job(*job, out, {});
    std::string last;
    std::istringstream lines(out.str());
    for (std::string line; std::getline(lines, line);) last = line;
    json::object result = json::parse(last).as_object();
    EXPECT_EQ(result.at("message_type").as_string(), "result");
    EXPECT_EQ(result.at("ok").as_bool(), done);
    return result;
  }
  // A job of one source.
  json::object run_source(std::string_view task, const json::object& source) {
    return run(task, {{"sources", json::array{source}}});
  }
  // What a failed job says, with nothing new in the repository and nothing left in scratch.
  std::string failure_of(const json::object& source) {
    const std::size_t before = snapshots();
    const json::object result = run_source("backup", source);
    EXPECT_FALSE(result.at("ok").as_bool()) << result;
    EXPECT_EQ(snapshots(), before) << "a failed dump is no snapshot";
    EXPECT_TRUE(is_scratch_empty());
    return result.contains("error") ? std::string(result.at("error").as_string()) : std::string();
  }
  std::size_t snapshots() { return repository_->snapshots()->size(); }
  bool is_scratch_empty() const { return std::filesystem::is_empty(folder_ / "scratch"); }
  std::string dumped(const std::string& path) {
    EXPECT_TRUE(restic_.run("dump --path " + path + " latest " + path)) << restic_.output;
    return restic_.output;
  }
};

}  // namespace recover::test
