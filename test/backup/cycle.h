// A whole life of a repository on any store: made, backed up to, checked.
#pragma once

#include <stdlib.h>

#include <string>

#include "backup/archive/archiver.h"
#include "backup/check/checker.h"
#include "backup/repo/lock.h"
#include "backup/repo/repository.h"
#include "test/restic.h"

namespace recover::test {

inline const base::Secret kCyclePassword("secret");

inline backup::Outcome<backup::Repository> make_repository(backup::Store& store) {
  return backup::Repository::create(store, kCyclePassword,
                                    {.now = {.seconds = 1'700'000'000},
                                     .user = "root",
                                     .host = "here",
                                     .cost = {.n = 1024, .r = 8, .p = 1}});
}

inline backup::Outcome<backup::ArchiveReport> back_up(const backup::Repository& repository,
                                                      const std::string& path,
                                                      std::int64_t time = 1'700'000'001) {
  backup::ArchiveOptions options;
  options.paths = {path};
  options.host = "here";
  options.user = "root";
  options.now = {.seconds = time};
  backup::ArchiveProgress progress;
  return backup::archive(repository, options, progress);
}

// What is wrong; empty: nothing.
inline std::string check_all(const backup::Repository& repository) {
  backup::CheckOptions options;
  options.read_data = true;
  backup::CheckProgress progress;
  const auto report = backup::check(repository, options, progress);
  if (!report) return report.error().message;
  return report->errors.empty() ? std::string() : report->errors.front();
}

// restic on a repository of any kind: `settings` stand before it, `location` is its -r.
inline std::string restic_says(const TempFolder& folder, const std::string& settings,
                               const std::string& location, const std::string& arguments) {
  const std::string log = folder / "restic.log";
  const std::string command =
      "cd / && env RESTIC_PASSWORD=secret AWS_ACCESS_KEY_ID=test:tester "
      "AWS_SECRET_ACCESS_KEY=testing restic --no-cache " +
      settings + " -r '" + location + "' " + arguments + " >'" + log + "' 2>&1";
  return ::system(command.c_str()) == 0 ? std::string() : "restic failed: " + slurp(log);
}

}  // namespace recover::test
