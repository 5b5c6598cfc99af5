#include "apps/recoverd_backup/checkpoint_take_over.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <utility>

#include "adapters/checkpoint/old_store.h"
#include "adapters/checkpoint/record.h"
#include "apps/recoverd_backup/checkpoint_files.h"
#include "apps/recoverd_backup/checkpoint_snapshot.h"

namespace recover::apps {

namespace checkpoint = adapters::checkpoint;
namespace fs = std::filesystem;
using checkpoint::CheckpointError;
using checkpoint::Done;
using checkpoint::WorkerJob;
using checkpoint::WorkerResult;
using ports::CheckpointContents;
using ports::CheckpointFault;

namespace {

// The job that would take the same now. Its paths are relative to where they are laid out.
WorkerJob job_of(const CheckpointContents& contents) {
  WorkerJob job{.service = contents.info.service,
                .tags = {"checkpoint", "service:" + contents.info.service},
                .paths = contents.info.paths,
                .not_held = contents.not_held};
  for (const ports::CheckpointFile& file : contents.files) {
    if (file.kind == ports::FileKind::Absent) job.absent.push_back(file.path);
  }
  for (const std::string& path : job.paths) {
    const bool absent = std::find(job.absent.begin(), job.absent.end(), path) != job.absent.end();
    if (!absent) job.present.push_back(path.substr(1));
  }
  return job;
}

Done take_over(const CheckpointVault& vault, const std::string& root, const fs::path& manifest,
               const CheckpointContents& contents) {
  struct stat status {};
  if (::stat(manifest.c_str(), &status) != 0) {
    return Unexpected(checkpoint::io_error("look at", manifest));
  }
  const std::string folder = root + "/import";
  std::error_code ignored;
  fs::remove_all(folder, ignored);
  if (auto made = checkpoint::make_folders(folder); !made) return made;
  Done done = checkpoint::lay_out(contents, root, folder);
  if (done && ::chdir(folder.c_str()) != 0)
    done = Unexpected(checkpoint::io_error("enter", folder));
  WorkerJob job = job_of(contents);
  auto taken = done ? take_snapshot(vault, job) : WorkerResult(Unexpected(std::move(done).error()));
  static_cast<void>(::chdir("/"));
  fs::remove_all(folder, ignored);
  if (!taken) return Unexpected(std::move(taken).error());
  const checkpoint::CheckpointRecord record{.info = contents.info,
                                            .snapshot = taken->snapshot,
                                            .content = taken->content,
                                            .absent = job.absent,
                                            .not_held = contents.not_held};
  if (auto kept = checkpoint::replace_file(manifest, encode(record)); !kept) return kept;
  const std::array<timespec, 2> times = {status.st_mtim, status.st_mtim};
  ::utimensat(AT_FDCWD, manifest.c_str(), times.data(), 0);
  return {};
}

// True: it is of today. False: it is damaged and stays as it is, out of the way.
Result<bool, CheckpointError> settle(const CheckpointVault& vault, const std::string& root,
                                     const fs::path& manifest) {
  const auto text = checkpoint::read_file(manifest);
  if (!text) return Unexpected(text.error());
  const auto contents = checkpoint::decode_manifest(*text, manifest);
  Done done;
  if (contents) done = take_over(vault, root, manifest, *contents);
  const CheckpointFault fault = !contents ? contents.error().fault
                                : !done   ? done.error().fault
                                          : CheckpointFault::NotFound;
  if (fault == CheckpointFault::NotFound) return true;
  if (fault != CheckpointFault::Corrupt) return Unexpected(std::move(done).error());
  ::rename(manifest.c_str(), (manifest.string() + ".damaged").c_str());
  return false;
}

// What lies in a folder; nothing where there is none.
Result<std::vector<fs::path>, CheckpointError> entries_of(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> all;
  fs::directory_iterator at(folder, error);
  if (error == std::errc::no_such_file_or_directory) return all;
  for (; !error && at != fs::directory_iterator(); at.increment(error)) all.push_back(at->path());
  if (!error) return all;
  return Unexpected(
      CheckpointError{.fault = CheckpointFault::Io,
                      .message = "read folder " + folder.string() + ": " + error.message(),
                      .path = folder});
}

Result<std::vector<fs::path>, CheckpointError> manifests_in(const fs::path& services) {
  const auto folders = entries_of(services);
  if (!folders) return folders;
  std::vector<fs::path> manifests;
  for (const fs::path& folder : *folders) {
    std::error_code gone;
    if (!fs::is_directory(folder, gone)) continue;
    const auto files = entries_of(folder);
    if (!files) return files;
    for (const fs::path& file : *files) {
      if (file.extension() == ".json" && fs::is_regular_file(file, gone)) manifests.push_back(file);
    }
  }
  return manifests;
}

}  // namespace

WorkerResult take_over_checkpoints(const CheckpointVault& vault, const std::string& root) {
  const auto manifests = manifests_in(root + "/services");
  // What cannot be listed may hold checkpoints that need the objects.
  if (!manifests) return Unexpected(manifests.error());
  bool whole = true;
  for (const fs::path& manifest : *manifests) {
    const auto settled = settle(vault, root, manifest);
    if (!settled) return Unexpected(settled.error());
    whole = whole && *settled;
  }
  std::error_code error;
  fs::remove_all(root + "/tmp", error);
  if (whole) {
    fs::remove_all(root + "/objects", error);
  } else {
    fs::rename(root + "/objects", root + "/objects.damaged", error);
  }
  return checkpoint::WorkerAnswer{.files = manifests->size()};
}

}  // namespace recover::apps
