#include "adapters/checkpoint/restore.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "adapters/checkpoint/restore_file.h"
#include "adapters/checkpoint/restore_removal.h"
#include "adapters/checkpoint/restore_work.h"
#include "adapters/checkpoint/survey.h"

namespace recover::adapters::checkpoint {
namespace {

using ports::CheckpointContents;
using ports::CheckpointFile;
using ports::FileKind;
using ports::RestoreReport;
using ports::RestoreRequest;

// Whether what is there has the content already: then nobody needs what the store holds. A guess
// by path, which the restore itself does not trust.
Result<bool, CheckpointError> is_there(const RestoreWork& work, const CheckpointFile& file) {
  const Descriptor open(::open(file.path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat now {};
  if (!open || ::fstat(open.get(), &now) != 0 || !S_ISREG(now.st_mode) ||
      static_cast<std::uint64_t>(now.st_size) != file.size) {
    return false;
  }
  return work.objects.is_content(open.get(), file, work.limits);
}

Done check(const RestoreWork& work) {
  bool any = false;
  for (const CheckpointFile& file : work.contents.files) {
    if (!work.is_covered(file.path)) {
      return Unexpected(CheckpointError{.fault = CheckpointFault::Corrupt,
                                        .message = "the checkpoint names a file it cannot hold",
                                        .path = file.path});
    }
    if (!work.selected(file.path)) continue;
    any = true;
    if (file.kind != FileKind::Regular) continue;
    const auto there = is_there(work, file);
    if (!there) return Unexpected(there.error());
    auto whole = *there ? Done() : work.objects.check(file, work.limits);
    if (whole) continue;
    CheckpointError error = std::move(whole).error();
    error.message = file.path + " cannot be restored: " + error.message;
    error.path = file.path;
    return Unexpected(std::move(error));
  }
  if (any || work.only.empty()) return {};
  return Unexpected(CheckpointError{.fault = CheckpointFault::NotFound,
                                    .message = "the checkpoint holds nothing there",
                                    .path = work.only.front()});
}

// A folder of the checkpoint, made to be one if it is not.
Result<Descriptor, CheckpointError> enter(RestoreWork& work, int parent, const std::string& name,
                                          const std::string& path) {
  Descriptor folder = open_folder_at(parent, name);
  if (folder || work.dry) return folder;
  if (errno != ENOENT && errno != ENOTDIR && errno != ELOOP) {
    return Unexpected(io_error("open", path));
  }
  work.touched = true;
  if (::unlinkat(parent, name.c_str(), 0) != 0 && errno != ENOENT) {
    return Unexpected(io_error("replace", path));
  }
  if (::mkdirat(parent, name.c_str(), 0700) != 0) return Unexpected(io_error("create", path));
  work.made.insert(path);
  work.dirty.insert(folder_of(path));
  folder = open_folder_at(parent, name);
  if (!folder) return Unexpected(io_error("open", path));
  return folder;
}

// The folder that holds `path`. Above the covered path: as it is, links and all, and missing
// folders are made. Below: name by name.
Result<Descriptor, CheckpointError> enter_folder_of(RestoreWork& work, const std::string& path) {
  const std::string& root = work.root_of(path);
  Descriptor folder = open_folder(folder_of(root));
  if (!folder && errno == ENOENT && !work.dry && work.known.at(root)->kind != FileKind::Absent) {
    if (auto made = make_folders(folder_of(root)); !made) {
      return Unexpected(std::move(made).error());
    }
    folder = open_folder(folder_of(root));
  }
  if (!folder && (errno == ENOENT || errno == ENOTDIR)) {
    return work.dry || work.known.at(root)->kind == FileKind::Absent
               ? Result<Descriptor, CheckpointError>(Descriptor())
               : Unexpected(io_error("open", folder_of(root)));
  }
  if (!folder) return Unexpected(io_error("open", folder_of(root)));
  std::size_t end = root.size();
  std::size_t start = root.rfind('/') + 1;
  while (end < path.size()) {
    auto next = enter(work, folder.get(), path.substr(start, end - start), path.substr(0, end));
    if (!next || !*next) return next;
    folder = std::move(*next);
    start = end + 1;
    end = std::min(path.find('/', start), path.size());
  }
  return folder;
}

// A folder that came where nothing was may be anything, so it stays.
Done apply_absent(RestoreWork& work, int parent, const std::string& name,
                  const CheckpointFile& file, const std::optional<struct stat>& now) {
  if (!now) return {};
  if (!S_ISREG(now->st_mode) && !S_ISLNK(now->st_mode)) {
    work.report.left.push_back(file.path);
    return {};
  }
  return remove_name(work, parent, name, file.path, now->st_dev);
}

Done apply_folder(RestoreWork& work, int parent, const std::string& name,
                  const CheckpointFile& file, const std::optional<struct stat>& now) {
  if (now && S_ISDIR(now->st_mode)) return {};  // Owner and mode come last.
  if (work.dry) {
    work.report.written.push_back(file.path);
    return {};
  }
  const auto folder = enter(work, parent, name, file.path);
  if (!folder) return Unexpected(folder.error());
  return {};
}

Done apply(RestoreWork& work, int parent, const CheckpointFile& file) {
  const std::string name = name_of(file.path);
  const auto now = look_at(parent, name);
  switch (file.kind) {
    case FileKind::Directory: return apply_folder(work, parent, name, file, now);
    case FileKind::Regular: return apply_file(work, parent, name, file, now);
    case FileKind::Symlink: return apply_link(work, parent, name, file, now);
    case FileKind::Absent: return apply_absent(work, parent, name, file, now);
  }
  return {};
}

Done apply_all(RestoreWork& work) {
  for (const CheckpointFile& file : work.contents.files) {
    if (!work.selected(file.path)) continue;
    if (auto go = go_on(work.limits); !go) return go;
    auto folder = enter_folder_of(work, file.path);
    if (!folder) return Unexpected(std::move(folder).error());
    if (!*folder) {  // Only in a dry run, or of something absent.
      if (file.kind != FileKind::Absent) work.report.written.push_back(file.path);
      continue;
    }
    if (auto done = apply(work, folder->get(), file); !done) return done;
  }
  return {};
}

Done finish_folder(RestoreWork& work, const CheckpointFile& file, bool worked_in) {
  auto parent = enter_folder_of(work, file.path);
  if (!parent) return Unexpected(std::move(parent).error());
  if (!*parent) return {};
  const Descriptor folder = open_folder_at(parent->get(), name_of(file.path));
  struct stat now {};
  if (!folder) return work.dry ? Done() : Done(Unexpected(io_error("open", file.path)));
  if (::fstat(folder.get(), &now) != 0) return Unexpected(io_error("look at", file.path));
  const bool differs = (now.st_mode & 07777U) != file.mode || !work.same_owner(file, now);
  if (differs || work.made.contains(file.path)) {
    work.report.written.push_back(file.path);
  } else {
    ++work.report.unchanged;
  }
  if (work.dry || !(differs || worked_in)) return {};
  work.touched = true;
  if (auto done = dress(work, folder.get(), file); !done) return done;
  if (::fsync(folder.get()) != 0) return Unexpected(io_error("sync", file.path));
  return {};
}

// Deepest first, so that nothing below changes a folder's time any more.
Done finish_folders(RestoreWork& work) {
  for (auto file = work.contents.files.rbegin(); file != work.contents.files.rend(); ++file) {
    if (file->kind != FileKind::Directory) continue;
    const bool worked_in = work.dirty.contains(file->path) || work.made.contains(file->path);
    if (!work.selected(file->path) && !worked_in) continue;
    if (auto done = finish_folder(work, *file, worked_in); !done) return done;
  }
  // What holds a covered path.
  for (const std::string& root : work.contents.info.paths) {
    if (!work.dirty.contains(folder_of(root))) continue;
    if (auto done = sync_folder(folder_of(root)); !done) return done;
  }
  return {};
}

}  // namespace

Result<RestoreReport, CheckpointError> restore(const CheckpointContents& contents,
                                               ContentSource& objects,
                                               const RestoreRequest& request) {
  auto only = normal_paths(request.paths);
  if (!only) return Unexpected(std::move(only).error());
  RestoreWork work(contents, objects, request, std::move(*only));
  Done done = check(work);
  if (done) done = apply_all(work);
  if (done) done = remove_all(work);
  if (done) done = finish_folders(work);
  if (done) return std::move(work.report);
  CheckpointError error = std::move(done).error();
  error.touched = work.touched;
  return Unexpected(std::move(error));
}

}  // namespace recover::adapters::checkpoint
