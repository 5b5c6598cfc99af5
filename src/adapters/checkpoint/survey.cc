#include "adapters/checkpoint/survey.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

namespace recover::adapters::checkpoint {
namespace {

CheckpointError refused(std::string message, std::string path = {}) {
  return {
      .fault = CheckpointFault::Refused, .message = std::move(message), .path = std::move(path)};
}

std::int64_t nanoseconds(const timespec& time) {
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

class Surveyor {
 public:
  Surveyor(const std::string& store, const CheckpointLimits& limits) : limits_(limits) {
    struct stat status {};
    if (::stat(store.c_str(), &status) == 0) store_ = status;
  }

  Done add_root(const std::string& path) {
    const Descriptor parent = open_folder(folder_of(path));
    const auto status = parent ? look_at(parent.get(), name_of(path)) : std::nullopt;
    if (!status && errno != ENOENT && errno != ENOTDIR)
      return Unexpected(io_error("look at", path));
    if (!status) {
      seen_.absent.push_back(path);
      note(path, nullptr);
      return {};
    }
    device_ = status->st_dev;
    Done added = add(parent.get(), name_of(path), path, *status, 0);
    const bool held = seen_.not_held.empty() || seen_.not_held.back() != path;
    if (held) seen_.present.push_back(path);
    return added;
  }

  Survey finish() {
    flush();
    seen_.fingerprint = hash_.hex();
    return std::move(seen_);
  }

 private:
  // With add_folder(), as deep as kDepthMax.  NOLINTNEXTLINE(misc-no-recursion)
  Done add(int parent, const std::string& name, const std::string& path, const struct stat& status,
           int depth) {
    if (auto go = go_on(limits_); !go) return go;
    if (++entries_ > kFilesMax) return Unexpected(refused("too many files to hold"));
    if (depth > kDepthMax) return Unexpected(refused("folders too deep to hold", path));
    const bool store = status.st_dev == store_.st_dev && status.st_ino == store_.st_ino;
    const bool folder = S_ISDIR(status.st_mode);
    const bool file = S_ISREG(status.st_mode);
    if (store || status.st_dev != device_ || !(folder || file || S_ISLNK(status.st_mode))) {
      seen_.not_held.push_back(path);
      return {};
    }
    note(path, &status);
    if (folder) return add_folder(parent, name, path, depth);
    seen_.newest_ns = std::max(seen_.newest_ns, nanoseconds(status.st_ctim));
    if (!file) return {};
    ++seen_.files;
    seen_.bytes += static_cast<std::uint64_t>(status.st_size);
    if (seen_.bytes <= kBytesMax) return {};
    return Unexpected(refused("more than " + std::to_string(kBytesMax) + " bytes to hold", path));
  }

  // NOLINTNEXTLINE(misc-no-recursion)
  Done add_folder(int parent, const std::string& name, const std::string& path, int depth) {
    const Descriptor folder = open_folder_at(parent, name);
    if (!folder) return Unexpected(io_error("open", path));
    const auto names = names_in(folder.get(), path);
    if (!names) return Unexpected(names.error());
    for (const std::string& child : *names) {
      if (child.starts_with(kTemporaryPrefix)) {
        seen_.has_strays = true;
        continue;
      }
      const auto seen = look_at(folder.get(), child);
      if (!seen) continue;  // Gone since.
      if (auto done = add(folder.get(), child, path + "/" + child, *seen, depth + 1); !done) {
        return done;
      }
    }
    return {};
  }

  // Of a folder the times say nothing that the names in it do not; that it has another owner or
  // mode is seen in those.
  void note(const std::string& path, const struct stat* status) {
    std::array<std::uint64_t, 8> numbers{};
    if (status != nullptr) {
      numbers = {1, status->st_mode, (std::uint64_t{status->st_uid} << 32U) | status->st_gid};
      if (!S_ISDIR(status->st_mode)) {
        numbers[3] = static_cast<std::uint64_t>(status->st_size);
        numbers[4] = static_cast<std::uint64_t>(nanoseconds(status->st_mtim));
        numbers[5] = static_cast<std::uint64_t>(nanoseconds(status->st_ctim));
        numbers[6] = status->st_ino;
      }
    }
    numbers[7] = path.size();
    buffer_.append(reinterpret_cast<const char*>(numbers.data()), sizeof numbers);
    buffer_ += path;
    if (buffer_.size() >= kBufferBytes) flush();
  }
  void flush() {
    hash_.add(buffer_);
    buffer_.clear();
  }

  static constexpr std::size_t kBufferBytes = 16U << 10U;
  const CheckpointLimits& limits_;
  struct stat store_ {};
  dev_t device_ = 0;
  std::size_t entries_ = 0;
  Sha256 hash_;
  std::string buffer_;
  Survey seen_;
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

Result<Survey, CheckpointError> survey(const std::vector<std::string>& paths,
                                       const std::string& store, const CheckpointLimits& limits) {
  Surveyor work(store, limits);
  for (const std::string& path : paths) {
    if (auto done = work.add_root(path); !done) return Unexpected(std::move(done).error());
  }
  return work.finish();
}

}  // namespace recover::adapters::checkpoint
