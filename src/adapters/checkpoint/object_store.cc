#include "adapters/checkpoint/object_store.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <filesystem>

namespace recover::adapters::checkpoint {
namespace {

CheckpointError corrupt(const std::string& path, std::string why) {
  return {.fault = CheckpointFault::Corrupt,
          .message = "object " + path + " " + std::move(why),
          .path = path};
}

// Of temporary files; the process is alone in its tmp/.
std::string next_number() {
  static std::atomic<std::uint64_t> number{0};
  return std::to_string(number.fetch_add(1, std::memory_order_relaxed));
}

}  // namespace

std::string ObjectStore::path_of(const std::string& sha256) const {
  return root_ + "/objects/" + sha256.substr(0, 2) + "/" + sha256.substr(2);
}

Done ObjectStore::open() {
  if (auto done = make_folders(root_ + "/objects"); !done) return done;
  const std::string tmp = root_ + "/tmp";
  if (auto done = make_folders(tmp); !done) return done;
  const Descriptor folder = open_folder(tmp);
  const auto names = names_in(folder.get(), tmp);
  if (!names) return Unexpected(names.error());
  for (const std::string& name : *names) ::unlinkat(folder.get(), name.c_str(), 0);
  return {};
}

Result<StoredObject, CheckpointError> ObjectStore::put(int fd, const std::string& path,
                                                       const CheckpointLimits& limits,
                                                       std::set<std::string>& dirty) const {
  std::uint64_t size = 0;
  auto sha = read_through(fd, path, limits, [&size](std::string_view bytes) -> Done {
    size += bytes.size();
    return {};
  });
  if (!sha) return Unexpected(std::move(sha).error());
  struct stat status {};
  const bool held = ::stat(path_of(*sha).c_str(), &status) == 0 &&
                    static_cast<std::uint64_t>(status.st_size) == size;
  if (held) return StoredObject{.sha256 = std::move(*sha), .size = size, .bytes_stored = 0};
  auto stored = store(fd, path, limits, dirty);
  if (!stored) return Unexpected(std::move(stored).error());
  if (*stored != *sha) {
    return Unexpected(CheckpointError{
        .fault = CheckpointFault::Io, .message = path + " changes while it is read", .path = path});
  }
  return StoredObject{.sha256 = std::move(*sha), .size = size, .bytes_stored = size};
}

Result<std::string, CheckpointError> ObjectStore::store(int fd, const std::string& path,
                                                        const CheckpointLimits& limits,
                                                        std::set<std::string>& dirty) const {
  const std::string temporary = root_ + "/tmp/" + next_number();
  const Descriptor out(
      ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!out) return Unexpected(io_error("create", temporary));
  auto sha = read_through(fd, path, limits, [&](std::string_view bytes) {
    return write_all(out.get(), bytes, temporary);
  });
  Done done;
  if (!sha) done = Unexpected(sha.error());
  if (done && ::fsync(out.get()) != 0) done = Unexpected(io_error("sync", temporary));
  if (done) {
    const std::string target = path_of(*sha);
    const std::string folder = std::filesystem::path(target).parent_path().string();
    if (::mkdir(folder.c_str(), 0700) == 0) dirty.insert(root_ + "/objects");
    dirty.insert(folder);
    if (::rename(temporary.c_str(), target.c_str()) == 0) return sha;
    done = Unexpected(io_error("rename", target));
  }
  ::unlink(temporary.c_str());
  return Unexpected(std::move(done).error());
}

Done ObjectStore::settle(const std::set<std::string>& dirty) {
  for (const std::string& folder : dirty) {
    if (auto done = sync_folder(folder); !done) return done;
  }
  return {};
}

Done ObjectStore::check(const std::string& sha256, const CheckpointLimits& limits) const {
  const std::string path = path_of(sha256);
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file && errno == ENOENT) return Unexpected(corrupt(path, "is missing"));
  if (!file) return Unexpected(io_error("open", path));
  const auto sha = read_through(file.get(), path, limits);
  if (!sha) return Unexpected(sha.error());
  if (*sha != sha256) return Unexpected(corrupt(path, "is damaged"));
  return {};
}

Done ObjectStore::copy_to(int fd, const std::string& sha256, const std::string& path,
                          const CheckpointLimits& limits) const {
  const std::string source = path_of(sha256);
  const Descriptor file(::open(source.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file) return Unexpected(corrupt(source, "is missing"));
  const auto sha = read_through(file.get(), source, limits,
                                [&](std::string_view bytes) { return write_all(fd, bytes, path); });
  if (!sha) return Unexpected(sha.error());
  if (*sha != sha256) return Unexpected(corrupt(source, "is damaged"));
  return {};
}

Done ObjectStore::sweep(const std::set<std::string>& wanted) const {
  const std::string objects = root_ + "/objects";
  const Descriptor top = open_folder(objects);
  if (!top) return Unexpected(io_error("open", objects));
  const auto folders = names_in(top.get(), objects);
  if (!folders) return Unexpected(folders.error());
  for (const std::string& prefix : *folders) {
    const Descriptor folder = open_folder_at(top.get(), prefix);
    if (!folder) continue;
    const auto names = names_in(folder.get(), objects + "/" + prefix);
    if (!names) return Unexpected(names.error());
    for (const std::string& name : *names) {
      if (!wanted.contains(prefix + name)) ::unlinkat(folder.get(), name.c_str(), 0);
    }
  }
  return {};
}

}  // namespace recover::adapters::checkpoint
