#include "apps/recoverd_backup/sources/source_backup.h"

#include <algorithm>
#include <random>
#include <utility>

#include "base/redact.h"

namespace recover::apps {
namespace {

using backup::Outcome;

Outcome<backup::ArchiveReport> take_file(const backup::Repository& repository, const DumpFile& file,
                                         backup::StreamOptions options,
                                         backup::ArchiveProgress& progress,
                                         const std::stop_token& stop) {
  const auto dump = file.open();
  if (!dump) return Unexpected(dump.error());
  Dump& source = **dump;
  std::uint64_t passed = 0;
  options.name += "-" + file.name;
  options.hold = true;
  options.size = source.size();
  options.is_whole = [&]() -> Outcome<void> {
    if (auto finished = source.finish(); !finished) return finished;
    if (passed > 0) return {};
    return backup::fail(backup::FailureKind::Io, options.name + ": the dump is empty");
  };
  return archive_stream(
      repository,
      [&](std::span<std::uint8_t> room) {
        auto got = source.read(room);
        if (got) passed += *got;
        return got;
      },
      options, progress, stop);
}

std::string new_set(std::size_t count) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::random_device random;
  std::string id;
  for (int i = 0; i < 8; ++i) id += kDigits[random() % kDigits.size()];
  return "set:" + id + "/" + std::to_string(count);
}

}  // namespace

std::string source_tag(const std::string& name) {
  return "source:" + name;
}

backup::Failure redacted(backup::Failure failure, const Source& source) {
  std::vector<std::string> secrets = source.secrets();
  std::ranges::sort(secrets, std::greater<>(), [](const std::string& one) { return one.size(); });
  failure.message = base::redacted(std::move(failure.message), secrets);
  return failure;
}

Outcome<SourceReport> back_up_source(const backup::Repository& repository,
                                     const JobSource& job_source, const std::string& scratch,
                                     const backup::StreamOptions& stream,
                                     backup::ArchiveProgress& progress,
                                     const std::stop_token& stop) {
  const std::unique_ptr<Source> source = make_source(job_source.native, scratch, stop);
  const auto failed = [&](const backup::Failure& why) {
    return Unexpected(redacted(why, *source));
  };
  const auto files = source->files();
  if (!files) return failed(files.error());
  backup::StreamOptions options = stream;
  options.name = job_source.name;
  options.tags.push_back(source_tag(job_source.name));
  options.tags.push_back(new_set(files->size()));
  SourceReport report;
  for (const DumpFile& file : *files) {
    auto taken = take_file(repository, file, options, progress, stop);
    if (!taken) return failed(taken.error());
    report.snapshots.push_back(std::move(*taken));
  }
  for (backup::ArchiveReport& snapshot : report.snapshots) {
    if (auto saved = save_held(repository, snapshot, stream.still_locked); !saved) {
      return failed(saved.error());
    }
  }
  report.remotes = source->mirror();
  for (RemoteReport& remote : report.remotes) {
    remote.error = redacted({.message = remote.error}, *source).message;
  }
  return report;
}

}  // namespace recover::apps
