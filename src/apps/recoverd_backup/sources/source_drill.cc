#include "apps/recoverd_backup/sources/source_drill.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <system_error>
#include <utility>

#include "apps/recoverd_backup/sources/source_backup.h"
#include "backup/restore/restorer.h"

namespace recover::apps {
namespace {

using backup::FailureKind;
using backup::Outcome;
using Found = backup::Repository::FoundSnapshot;

constexpr std::size_t kAnswerMax = 1000;  // Of bytes kept, and compared.

bool has_tag(const Found& found, const std::string& tag) {
  return std::ranges::find(found.snapshot.tags, tag) != found.snapshot.tags.end();
}

std::string set_of(const Found& found) {
  const auto& tags = found.snapshot.tags;
  const auto set =
      std::ranges::find_if(tags, [](const std::string& tag) { return tag.starts_with("set:"); });
  return set == tags.end() ? std::string() : *set;
}

std::size_t count_of(const std::string& set) {
  std::size_t count = 0;
  const auto slash = set.find('/');
  if (slash == std::string::npos) return 0;
  std::from_chars(set.data() + slash + 1, set.data() + set.size(), count);
  return count;
}

// A scratch disk that is too small says nothing about the backup.
backup::Failure judged(backup::Failure failure) {
  const std::string full = std::generic_category().message(ENOSPC);
  if (failure.message.find(full) != std::string::npos) failure.kind = FailureKind::Full;
  return failure;
}

// The file of a snapshot as the source calls it; it lies in the folder by that name then.
Outcome<std::string> restore_file(const backup::Repository& repository, const Found& found,
                                  const std::string& prefix, const ScratchFolder& folder,
                                  const std::stop_token& stop) {
  backup::RestoreProgress progress;
  const auto report =
      restore(repository, found.snapshot, {.to = folder.path(), .verify = true, .owners = false},
              progress, stop);
  if (!report) return Unexpected(report.error());
  if (report->problem_count > 0) {
    return Unexpected(judged({.kind = FailureKind::Damaged, .message = report->problems.front()}));
  }
  const std::string stored = found.snapshot.paths.empty() ? "" : found.snapshot.paths.front();
  if (!stored.starts_with("/" + prefix)) {
    return backup::fail(FailureKind::Damaged, "the snapshot holds `" + stored + "`");
  }
  const std::string name = stored.substr(1 + prefix.size());
  std::error_code error;
  std::filesystem::rename(folder.path() + stored, folder / name, error);
  if (error) return backup::fail(FailureKind::Io, folder / name + ": " + error.message());
  return name;
}

std::string trimmed(const std::string& text) {
  const auto from = text.find_first_not_of(" \t\r\n");
  if (from == std::string::npos) return {};
  return text.substr(from, text.find_last_not_of(" \t\r\n") - from + 1);
}

}  // namespace

Outcome<std::vector<Found>> newest_set(const std::vector<Found>& snapshots,
                                       const std::string& name) {
  std::vector<Found> own;
  for (const Found& found : snapshots) {
    if (has_tag(found, source_tag(name))) own.push_back(found);
  }
  if (own.empty()) {
    return backup::fail(FailureKind::NotFound, "there is no backup of " + name + " yet");
  }
  const std::string set = set_of(own.back());
  std::erase_if(own, [&](const Found& found) { return set_of(found) != set; });
  // All of one moment, so by name: the order of each drill is the same.
  std::ranges::sort(own, {}, [](const Found& found) { return found.snapshot.paths; });
  if (own.size() == count_of(set)) return own;
  return backup::fail(FailureKind::NotFound,
                      "of the newest backup of " + name + " only " + std::to_string(own.size()) +
                          " of " + std::to_string(count_of(set)) + " files are there");
}

Outcome<SourceDrill> drill_source(const backup::Repository& repository,
                                  const std::vector<Found>& snapshots, const JobSource& job_source,
                                  const std::string& scratch, const std::stop_token& stop) {
  const auto begun = std::chrono::steady_clock::now();
  const auto set = newest_set(snapshots, job_source.name);
  if (!set) return Unexpected(set.error());
  const auto folder = ScratchFolder::make(scratch);
  if (!folder) return Unexpected(folder.error());
  SourceDrill drill;
  drill.source = job_source.name;
  drill.taken_at = set->front().snapshot.time.seconds;
  std::vector<std::string> files;
  for (const Found& found : *set) {
    auto file = restore_file(repository, found, job_source.name + "-", *folder, stop);
    if (!file) return Unexpected(std::move(file.error()));
    std::error_code ignored;
    drill.bytes += std::filesystem::file_size(*folder / *file, ignored);
    drill.snapshots.push_back(backup::hex(found.id));
    files.push_back(std::move(*file));
  }
  const std::unique_ptr<Source> source = make_source(job_source.native, scratch, stop);
  auto answer = source->drill(*folder, files, job_source.query);
  if (!answer) {
    auto failure = judged(redacted(std::move(answer.error()), *source));
    failure.message = job_source.name + ": " + failure.message;
    return Unexpected(std::move(failure));
  }
  drill.answer = std::move(*answer);
  if (drill.answer.answer.size() > kAnswerMax) drill.answer.answer.resize(kAnswerMax);
  drill.rto_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  if (job_source.expect && trimmed(drill.answer.answer) != trimmed(*job_source.expect)) {
    return backup::fail(FailureKind::Damaged, job_source.name + ": `" + drill.answer.asked +
                                                  "` answered `" + drill.answer.answer +
                                                  "` and not `" + *job_source.expect + "`");
  }
  return drill;
}

}  // namespace recover::apps
