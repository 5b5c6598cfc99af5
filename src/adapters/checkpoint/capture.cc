#include "adapters/checkpoint/capture.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <set>
#include <utility>

namespace recover::adapters::checkpoint {
namespace {

using ports::CheckpointFile;
using ports::FileKind;

// A file that changes while it is read is read again so often.
constexpr int kReadsMax = 3;

CheckpointError refused(std::string message, std::string path = {}) {
  return {
      .fault = CheckpointFault::Refused, .message = std::move(message), .path = std::move(path)};
}

std::int64_t nanoseconds(const timespec& time) {
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

bool same_version(const struct stat& a, const struct stat& b) {
  return a.st_size == b.st_size && nanoseconds(a.st_mtim) == nanoseconds(b.st_mtim) &&
         nanoseconds(a.st_ctim) == nanoseconds(b.st_ctim);
}

class Capture {
 public:
  Capture(const ObjectStore& objects, const CheckpointLimits& limits)
      : objects_(objects), limits_(limits) {
    struct stat status {};
    if (::stat(objects.root().c_str(), &status) == 0) store_ = status;
  }

  Done add_root(const std::string& path) {
    const Descriptor parent = open_folder(folder_of(path));
    const auto status = parent ? look_at(parent.get(), name_of(path)) : std::nullopt;
    if (!status && errno != ENOENT && errno != ENOTDIR)
      return Unexpected(io_error("look at", path));
    if (!status) {
      captured_.files.push_back({.path = path, .kind = FileKind::Absent});
      return {};
    }
    device_ = status->st_dev;
    return add(parent.get(), name_of(path), path, *status, 0);
  }

  Result<Captured, CheckpointError> finish() {
    if (auto done = ObjectStore::settle(dirty_); !done) return Unexpected(std::move(done).error());
    return std::move(captured_);
  }

 private:
  // With add_folder(), as deep as kDepthMax.  NOLINTNEXTLINE(misc-no-recursion)
  Done add(int parent, const std::string& name, const std::string& path, const struct stat& status,
           int depth) {
    if (auto go = go_on(limits_); !go) return go;
    if (captured_.files.size() >= kFilesMax) return Unexpected(refused("too many files to hold"));
    if (depth > kDepthMax) return Unexpected(refused("folders too deep to hold", path));
    if (S_ISDIR(status.st_mode)) return add_folder(parent, name, path, depth);
    if (S_ISREG(status.st_mode)) return add_file(parent, name, path);
    if (S_ISLNK(status.st_mode)) return add_link(parent, name, path, status);
    captured_.not_held.push_back(path);
    return {};
  }

  static CheckpointFile describe(const std::string& path, FileKind kind,
                                 const struct stat& status) {
    return {.path = path,
            .kind = kind,
            .mode = status.st_mode & 07777U,
            .uid = status.st_uid,
            .gid = status.st_gid,
            .mtime_ns = nanoseconds(status.st_mtim)};
  }

  // NOLINTNEXTLINE(misc-no-recursion)
  Done add_folder(int parent, const std::string& name, const std::string& path, int depth) {
    const Descriptor folder = open_folder_at(parent, name);
    struct stat status {};
    if (!folder || ::fstat(folder.get(), &status) != 0) return Unexpected(io_error("open", path));
    const bool ours = status.st_dev == store_.st_dev && status.st_ino == store_.st_ino;
    if (ours || status.st_dev != device_) {
      captured_.not_held.push_back(path);
      return {};
    }
    captured_.files.push_back(describe(path, FileKind::Directory, status));
    const auto names = names_in(folder.get(), path);
    if (!names) return Unexpected(names.error());
    for (const std::string& child : *names) {
      if (child.starts_with(kTemporaryPrefix)) continue;
      const auto seen = look_at(folder.get(), child);
      if (!seen) continue;  // Gone since.
      if (auto done = add(folder.get(), child, path + "/" + child, *seen, depth + 1); !done) {
        return done;
      }
    }
    return {};
  }

  Done add_file(int parent, const std::string& name, const std::string& path) {
    for (int read = 0; read < kReadsMax; ++read) {
      const Descriptor file(
          ::openat(parent, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
      struct stat before {};
      if (!file || ::fstat(file.get(), &before) != 0) return Unexpected(io_error("open", path));
      if (!S_ISREG(before.st_mode)) continue;
      if (bytes_ + static_cast<std::uint64_t>(before.st_size) > kBytesMax) {
        return Unexpected(
            refused("more than " + std::to_string(kBytesMax) + " bytes to hold", path));
      }
      auto object = objects_.put(file.get(), path, limits_, dirty_);
      struct stat after {};
      if (::fstat(file.get(), &after) != 0) return Unexpected(io_error("look at", path));
      if (!same_version(before, after)) continue;
      if (!object) return Unexpected(std::move(object).error());
      bytes_ += object->size;
      captured_.bytes_stored += object->bytes_stored;
      captured_.files.push_back(describe(path, FileKind::Regular, after));
      captured_.files.back().size = object->size;
      captured_.files.back().sha256 = std::move(object->sha256);
      return {};
    }
    return Unexpected(CheckpointError{
        .fault = CheckpointFault::Io, .message = path + " changes while it is read", .path = path});
  }

  Done add_link(int parent, const std::string& name, const std::string& path,
                const struct stat& status) {
    auto target = link_target(parent, name, path);
    if (!target) return Unexpected(std::move(target).error());
    captured_.files.push_back(describe(path, FileKind::Symlink, status));
    captured_.files.back().mode = 0777;
    captured_.files.back().target = std::move(*target);
    return {};
  }

  const ObjectStore& objects_;
  const CheckpointLimits& limits_;
  struct stat store_ {};
  dev_t device_ = 0;
  std::uint64_t bytes_ = 0;
  std::set<std::string> dirty_;
  Captured captured_;
};

}  // namespace

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string name_of(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

bool is_within(std::string_view path, std::string_view top) {
  return path.starts_with(top) && (path.size() == top.size() || path[top.size()] == '/');
}

Result<std::vector<std::string>, CheckpointError> normal_paths(
    const std::vector<std::string>& paths) {
  std::vector<std::string> normal;
  for (const std::string& path : paths) {
    std::string text = std::filesystem::path(path).lexically_normal().string();
    if (text.size() > 1 && text.back() == '/') text.pop_back();
    if (!text.starts_with('/') || text == "/" || text.starts_with("//")) {
      return Unexpected(refused("a state path must be absolute and not the root: " + path, path));
    }
    normal.push_back(std::move(text));
  }
  std::sort(normal.begin(), normal.end());
  std::vector<std::string> tops;
  for (std::string& path : normal) {
    const bool covered = std::any_of(tops.begin(), tops.end(),
                                     [&](const std::string& top) { return is_within(path, top); });
    if (!covered) tops.push_back(std::move(path));
  }
  return tops;
}

Result<Captured, CheckpointError> capture(const std::vector<std::string>& paths,
                                          const ObjectStore& objects,
                                          const CheckpointLimits& limits) {
  Capture work(objects, limits);
  for (const std::string& path : paths) {
    if (auto done = work.add_root(path); !done) return Unexpected(std::move(done).error());
  }
  return work.finish();
}

}  // namespace recover::adapters::checkpoint
