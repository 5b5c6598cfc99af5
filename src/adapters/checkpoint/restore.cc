#include "adapters/checkpoint/restore.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <map>
#include <set>
#include <utility>

#include "adapters/checkpoint/capture.h"

namespace recover::adapters::checkpoint {
namespace {

using ports::CheckpointContents;
using ports::CheckpointFile;
using ports::FileKind;
using ports::RestoreReport;
using ports::RestoreRequest;

constexpr long kNanosecondsPerSecond = 1'000'000'000;

timespec time_of(std::int64_t nanoseconds) {
  std::int64_t seconds = nanoseconds / kNanosecondsPerSecond;
  std::int64_t rest = nanoseconds % kNanosecondsPerSecond;
  if (rest < 0) {
    rest += kNanosecondsPerSecond;
    --seconds;
  }
  return {.tv_sec = seconds, .tv_nsec = rest};
}

// The same for the same file, so that the next attempt meets what this one left.
std::string temporary_for(const std::string& name) {
  Sha256 sha;
  sha.add(name);
  return std::string(kTemporaryPrefix) + sha.hex().substr(0, 16);
}

class Restore {
 public:
  Restore(const CheckpointContents& contents, const ObjectStore& objects,
          const RestoreRequest& request, std::vector<std::string> only)
      : contents_(contents),
        objects_(objects),
        limits_(request.limits),
        only_(std::move(only)),
        dry_(request.dry_run),
        root_user_(::geteuid() == 0) {
    for (const CheckpointFile& file : contents.files) known_.emplace(file.path, &file);
    report_.id = contents.info.id;
  }

  Result<RestoreReport, CheckpointError> run() {
    Done done = check();
    if (done) done = apply_all();
    if (done) done = remove_all();
    if (done) done = finish_folders();
    if (done) return std::move(report_);
    CheckpointError error = std::move(done).error();
    error.touched = touched_;
    return Unexpected(std::move(error));
  }

 private:
  bool selected(std::string_view path) const {
    return only_.empty() || std::any_of(only_.begin(), only_.end(),
                                        [path](const auto& top) { return is_within(path, top); });
  }
  // Whether something selected can be below.
  bool leads_to_selected(std::string_view path) const {
    return selected(path) || std::any_of(only_.begin(), only_.end(),
                                         [path](const auto& top) { return is_within(top, path); });
  }

  Done check() const {
    bool any = false;
    std::set<std::string> checked;
    for (const CheckpointFile& file : contents_.files) {
      if (!is_covered(file.path)) {
        return Unexpected(CheckpointError{.fault = CheckpointFault::Corrupt,
                                          .message = "the checkpoint names a file it cannot hold",
                                          .path = file.path});
      }
      if (!selected(file.path)) continue;
      any = true;
      if (file.kind != FileKind::Regular || !checked.insert(file.sha256).second) continue;
      auto whole = objects_.check(file.sha256, limits_);
      if (whole) continue;
      CheckpointError error = std::move(whole).error();
      error.message = file.path + " cannot be restored: " + error.message;
      error.path = file.path;
      return Unexpected(std::move(error));
    }
    if (any || only_.empty()) return {};
    return Unexpected(CheckpointError{.fault = CheckpointFault::NotFound,
                                      .message = "the checkpoint holds nothing there",
                                      .path = only_.front()});
  }

  Done apply_all() {
    for (const CheckpointFile& file : contents_.files) {
      if (!selected(file.path)) continue;
      if (auto go = go_on(limits_); !go) return go;
      auto folder = enter_folder_of(file.path);
      if (!folder) return Unexpected(std::move(folder).error());
      if (!*folder) {  // Only in a dry run, or of something absent.
        if (file.kind != FileKind::Absent) report_.written.push_back(file.path);
        continue;
      }
      if (auto done = apply(folder->get(), file); !done) return done;
    }
    return {};
  }

  bool is_covered(const std::string& path) const {
    return std::filesystem::path(path).lexically_normal() == path &&
           std::any_of(contents_.info.paths.begin(), contents_.info.paths.end(),
                       [&path](const std::string& root) { return is_within(path, root); });
  }

  // REQUIRES: covered.
  const std::string& root_of(const std::string& path) const {
    return *std::find_if(contents_.info.paths.begin(), contents_.info.paths.end(),
                         [&path](const std::string& root) { return is_within(path, root); });
  }

  // The folder that holds `path`. Above the covered path: as it is, links and all, and missing
  // folders are made. Below: name by name.
  Result<Descriptor, CheckpointError> enter_folder_of(const std::string& path) {
    const std::string& root = root_of(path);
    Descriptor folder = open_folder(folder_of(root));
    if (!folder && errno == ENOENT && !dry_ && known_.at(root)->kind != FileKind::Absent) {
      if (auto made = make_folders(folder_of(root)); !made) {
        return Unexpected(std::move(made).error());
      }
      folder = open_folder(folder_of(root));
    }
    if (!folder && (errno == ENOENT || errno == ENOTDIR)) {
      return dry_ || known_.at(root)->kind == FileKind::Absent
                 ? Result<Descriptor, CheckpointError>(Descriptor())
                 : Unexpected(io_error("open", folder_of(root)));
    }
    if (!folder) return Unexpected(io_error("open", folder_of(root)));
    std::size_t end = root.size();
    std::size_t start = root.rfind('/') + 1;
    while (end < path.size()) {
      auto next = enter(folder.get(), path.substr(start, end - start), path.substr(0, end));
      if (!next || !*next) return next;
      folder = std::move(*next);
      start = end + 1;
      end = std::min(path.find('/', start), path.size());
    }
    return folder;
  }

  // A folder of the checkpoint, made to be one if it is not.
  Result<Descriptor, CheckpointError> enter(int parent, const std::string& name,
                                            const std::string& path) {
    Descriptor folder = open_folder_at(parent, name);
    if (folder || dry_) return folder;
    if (errno != ENOENT && errno != ENOTDIR && errno != ELOOP) {
      return Unexpected(io_error("open", path));
    }
    touched_ = true;
    if (::unlinkat(parent, name.c_str(), 0) != 0 && errno != ENOENT) {
      return Unexpected(io_error("replace", path));
    }
    if (::mkdirat(parent, name.c_str(), 0700) != 0) return Unexpected(io_error("create", path));
    made_.insert(path);
    dirty_.insert(folder_of(path));
    folder = open_folder_at(parent, name);
    if (!folder) return Unexpected(io_error("open", path));
    return folder;
  }

  Done apply(int parent, const CheckpointFile& file) {
    const std::string name = name_of(file.path);
    const auto now = look_at(parent, name);
    switch (file.kind) {
      case FileKind::Directory: return apply_folder(parent, name, file, now);
      case FileKind::Regular: return apply_file(parent, name, file, now);
      case FileKind::Symlink: return apply_link(parent, name, file, now);
      case FileKind::Absent: return apply_absent(parent, name, file, now);
    }
    return {};
  }

  Done apply_folder(int parent, const std::string& name, const CheckpointFile& file,
                    const std::optional<struct stat>& now) {
    if (now && S_ISDIR(now->st_mode)) return {};  // Owner and mode come last.
    if (dry_) {
      report_.written.push_back(file.path);
      return {};
    }
    const auto folder = enter(parent, name, file.path);
    if (!folder) return Unexpected(folder.error());
    return {};
  }

  bool same_owner(const CheckpointFile& file, const struct stat& now) const {
    return !root_user_ || (now.st_uid == file.uid && now.st_gid == file.gid);
  }

  Result<bool, CheckpointError> same_content(int parent, const std::string& name,
                                             const CheckpointFile& file,
                                             const struct stat& now) const {
    if (!S_ISREG(now.st_mode) || static_cast<std::uint64_t>(now.st_size) != file.size) return false;
    const Descriptor open(
        ::openat(parent, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!open) return false;
    auto sha = read_through(open.get(), file.path, limits_);
    if (!sha && sha.error().fault == CheckpointFault::Cancelled) {
      return Unexpected(std::move(sha).error());
    }
    return sha && *sha == file.sha256;
  }

  Done apply_file(int parent, const std::string& name, const CheckpointFile& file,
                  const std::optional<struct stat>& now) {
    if (now && (now->st_mode & 07777U) == file.mode && same_owner(file, *now)) {
      const auto same = same_content(parent, name, file, *now);
      if (!same) return Unexpected(same.error());
      if (*same) {
        ++report_.unchanged;
        return {};
      }
    }
    report_.written.push_back(file.path);
    if (dry_) return make_way(parent, name, file, now);
    // Also when only the mode differs: the content may be shared with a link elsewhere.
    const std::string temporary = temporary_for(name);
    touched_ = true;
    ::unlinkat(parent, temporary.c_str(), 0);
    const Descriptor out(::openat(parent, temporary.c_str(),
                                  O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!out) return Unexpected(io_error("create beside", file.path));
    Done done = objects_.copy_to(out.get(), file.sha256, file.path, limits_);
    if (done) done = dress(out.get(), file);
    if (done && ::fsync(out.get()) != 0) done = Unexpected(io_error("sync", file.path));
    if (done) done = put_in_place(parent, temporary, name, file, now);
    if (!done) ::unlinkat(parent, temporary.c_str(), 0);
    return done;
  }

  // Owner before mode: changing the owner clears setuid bits.
  Done dress(int fd, const CheckpointFile& file) const {
    if (root_user_ && ::fchown(fd, file.uid, file.gid) != 0) {
      return Unexpected(io_error("change the owner of", file.path));
    }
    if (::fchmod(fd, file.mode) != 0) return Unexpected(io_error("change the mode of", file.path));
    const timespec times[2] = {time_of(file.mtime_ns), time_of(file.mtime_ns)};
    if (::futimens(fd, times) != 0) return Unexpected(io_error("change the time of", file.path));
    return {};
  }

  // A rename does not replace a folder.
  Done make_way(int parent, const std::string& name, const CheckpointFile& file,
                const std::optional<struct stat>& now) {
    if (!now || !S_ISDIR(now->st_mode)) return {};
    return remove_name(parent, name, file.path, now->st_dev);
  }

  Done put_in_place(int parent, const std::string& temporary, const std::string& name,
                    const CheckpointFile& file, const std::optional<struct stat>& now) {
    if (auto gone = make_way(parent, name, file, now); !gone) return gone;
    if (::renameat(parent, temporary.c_str(), parent, name.c_str()) != 0) {
      return Unexpected(io_error("replace", file.path));
    }
    dirty_.insert(folder_of(file.path));
    return {};
  }

  Done apply_link(int parent, const std::string& name, const CheckpointFile& file,
                  const std::optional<struct stat>& now) {
    if (now && S_ISLNK(now->st_mode) && same_owner(file, *now)) {
      const auto target = link_target(parent, name, file.path);
      if (target && *target == file.target) {
        ++report_.unchanged;
        return {};
      }
    }
    report_.written.push_back(file.path);
    if (dry_) return make_way(parent, name, file, now);
    const std::string temporary = temporary_for(name);
    touched_ = true;
    ::unlinkat(parent, temporary.c_str(), 0);
    if (::symlinkat(file.target.c_str(), parent, temporary.c_str()) != 0) {
      return Unexpected(io_error("create beside", file.path));
    }
    Done done;
    if (root_user_ &&
        ::fchownat(parent, temporary.c_str(), file.uid, file.gid, AT_SYMLINK_NOFOLLOW) != 0) {
      done = Unexpected(io_error("change the owner of", file.path));
    }
    if (done) done = put_in_place(parent, temporary, name, file, now);
    if (!done) ::unlinkat(parent, temporary.c_str(), 0);
    return done;
  }

  // A folder that came where nothing was may be anything, so it stays.
  Done apply_absent(int parent, const std::string& name, const CheckpointFile& file,
                    const std::optional<struct stat>& now) {
    if (!now) return {};
    if (!S_ISREG(now->st_mode) && !S_ISLNK(now->st_mode)) {
      report_.left.push_back(file.path);
      return {};
    }
    return remove_name(parent, name, file.path, now->st_dev);
  }

  Done remove_all() {
    for (const std::string& root : contents_.info.paths) {
      const auto known = known_.find(root);
      if (known == known_.end() || known->second->kind != FileKind::Directory) continue;
      if (!leads_to_selected(root)) continue;
      const Descriptor parent = open_folder(folder_of(root));
      const Descriptor folder = parent ? open_folder_at(parent.get(), name_of(root)) : Descriptor();
      if (!folder && dry_) continue;
      if (!folder) return Unexpected(io_error("open", root));
      if (auto done = remove_unknown(folder.get(), root); !done) return done;
    }
    return {};
  }

  bool is_held_back(const std::string& path) const {
    return std::find(contents_.not_held.begin(), contents_.not_held.end(), path) !=
           contents_.not_held.end();
  }

  // As deep as the folders that the checkpoint knows.  NOLINTNEXTLINE(misc-no-recursion)
  Done remove_unknown(int folder, const std::string& path) {
    if (auto go = go_on(limits_); !go) return go;
    struct stat status {};
    if (::fstat(folder, &status) != 0) return Unexpected(io_error("look at", path));
    const auto names = names_in(folder, path);
    if (!names) return Unexpected(names.error());
    for (const std::string& name : *names) {
      const std::string child = path + "/" + name;
      if (!leads_to_selected(child) || is_held_back(child)) continue;
      if (auto done = remove_if_unknown(folder, name, child, status.st_dev); !done) return done;
    }
    return {};
  }

  // NOLINTNEXTLINE(misc-no-recursion)
  Done remove_if_unknown(int folder, const std::string& name, const std::string& path,
                         dev_t device) {
    const auto known = known_.find(path);
    if (known == known_.end()) {
      return selected(path) ? remove_name(folder, name, path, device) : Done{};
    }
    if (known->second->kind != FileKind::Directory) return {};
    const Descriptor next = open_folder_at(folder, name);
    return next ? remove_unknown(next.get(), path) : Done{};
  }

  // Files, links, and folders of the same file system with what is in them; the rest is left.
  // NOLINTNEXTLINE(misc-no-recursion)
  Done remove_name(int parent, const std::string& name, const std::string& path, dev_t device) {
    const auto now = look_at(parent, name);
    if (!now) return {};
    const bool folder = S_ISDIR(now->st_mode);
    if (now->st_dev != device || !(folder || S_ISREG(now->st_mode) || S_ISLNK(now->st_mode))) {
      report_.left.push_back(path);
      return {};
    }
    if (folder) {
      if (auto done = empty_folder(parent, name, path, device); !done) return done;
    }
    if (!dry_) {
      touched_ = true;
      const bool gone = ::unlinkat(parent, name.c_str(), folder ? AT_REMOVEDIR : 0) == 0;
      if (!gone && errno != ENOTEMPTY && errno != EEXIST && errno != EBUSY) {
        return Unexpected(io_error("remove", path));
      }
      if (!gone) {
        report_.left.push_back(path);
        return {};
      }
      dirty_.insert(folder_of(path));
    }
    if (!name.starts_with(kTemporaryPrefix)) report_.removed.push_back(path);
    return {};
  }

  // As deep as kRemoveDepthMax.  NOLINTNEXTLINE(misc-no-recursion)
  Done empty_folder(int parent, const std::string& name, const std::string& path, dev_t device) {
    if (std::count(path.begin(), path.end(), '/') > kRemoveDepthMax) {
      report_.left.push_back(path);
      return {};
    }
    const Descriptor folder = open_folder_at(parent, name);
    if (!folder) return Unexpected(io_error("open", path));
    const auto names = names_in(folder.get(), path);
    if (!names) return Unexpected(names.error());
    for (const std::string& child : *names) {
      if (auto done = remove_name(folder.get(), child, path + "/" + child, device); !done) {
        return done;
      }
    }
    return {};
  }

  // Deepest first, so that nothing below changes a folder's time any more.
  Done finish_folders() {
    for (auto file = contents_.files.rbegin(); file != contents_.files.rend(); ++file) {
      if (file->kind != FileKind::Directory) continue;
      const bool worked_in = dirty_.contains(file->path) || made_.contains(file->path);
      if (!selected(file->path) && !worked_in) continue;
      if (auto done = finish_folder(*file, worked_in); !done) return done;
    }
    // What holds a covered path.
    for (const std::string& root : contents_.info.paths) {
      if (!dirty_.contains(folder_of(root))) continue;
      if (auto done = sync_folder(folder_of(root)); !done) return done;
    }
    return {};
  }

  Done finish_folder(const CheckpointFile& file, bool worked_in) {
    auto parent = enter_folder_of(file.path);
    if (!parent) return Unexpected(std::move(parent).error());
    if (!*parent) return {};
    const Descriptor folder = open_folder_at(parent->get(), name_of(file.path));
    struct stat now {};
    if (!folder) return dry_ ? Done() : Done(Unexpected(io_error("open", file.path)));
    if (::fstat(folder.get(), &now) != 0) return Unexpected(io_error("look at", file.path));
    const bool differs = (now.st_mode & 07777U) != file.mode || !same_owner(file, now);
    if (differs || made_.contains(file.path)) {
      report_.written.push_back(file.path);
    } else {
      ++report_.unchanged;
    }
    if (dry_ || !(differs || worked_in)) return {};
    touched_ = true;
    if (auto done = dress(folder.get(), file); !done) return done;
    if (::fsync(folder.get()) != 0) return Unexpected(io_error("sync", file.path));
    return {};
  }

  static constexpr std::ptrdiff_t kRemoveDepthMax = 256;

  const CheckpointContents& contents_;
  const ObjectStore& objects_;
  const CheckpointLimits limits_;
  const std::vector<std::string> only_;
  const bool dry_;
  const bool root_user_;
  bool touched_ = false;
  std::map<std::string, const CheckpointFile*> known_;
  std::set<std::string> made_;   // Folders.
  std::set<std::string> dirty_;  // Folders with names added or removed.
  RestoreReport report_;
};

}  // namespace

Result<RestoreReport, CheckpointError> restore(const CheckpointContents& contents,
                                               const ObjectStore& objects,
                                               const RestoreRequest& request) {
  auto only = normal_paths(request.paths);
  if (!only) return Unexpected(std::move(only).error());
  return Restore(contents, objects, request, std::move(*only)).run();
}

}  // namespace recover::adapters::checkpoint
