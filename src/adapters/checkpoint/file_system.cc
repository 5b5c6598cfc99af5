#include "adapters/checkpoint/file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <filesystem>
#include <system_error>
#include <utility>

#include <recover/check.h>

#include "posix/sync_folder.h"

namespace recover::adapters::checkpoint {
namespace {

constexpr std::size_t kPieceBytes = 128ULL << 10U;

}  // namespace

void Sha256::Free::operator()(void* context) const {
  EVP_MD_CTX_free(static_cast<EVP_MD_CTX*>(context));
}

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  RECOVER_CHECK(context_ != nullptr);
  RECOVER_CHECK(
      EVP_DigestInit_ex(static_cast<EVP_MD_CTX*>(context_.get()), EVP_sha256(), nullptr) == 1);
}

void Sha256::add(std::string_view bytes) {
  RECOVER_CHECK(
      EVP_DigestUpdate(static_cast<EVP_MD_CTX*>(context_.get()), bytes.data(), bytes.size()) == 1);
}

std::string Sha256::hex() {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::array<unsigned char, 32> digest{};
  RECOVER_CHECK(
      EVP_DigestFinal_ex(static_cast<EVP_MD_CTX*>(context_.get()), digest.data(), nullptr) == 1);
  std::string text;
  for (const unsigned char byte : digest) {
    text.push_back(kDigits[byte >> 4U]);
    text.push_back(kDigits[byte & 0xfU]);
  }
  return text;
}

CheckpointError io_error(std::string_view doing, const std::string& path) {
  const int code = errno;
  return {.fault = CheckpointFault::Io,
          .message = std::string(doing) + " " + path + ": " + std::generic_category().message(code),
          .path = path};
}

Done go_on(const CheckpointLimits& limits) {
  if (limits.stop.stop_requested()) {
    return Unexpected(CheckpointError{.fault = CheckpointFault::Cancelled, .message = "cancelled"});
  }
  if (limits.deadline != kNever && SteadyClock::instance().now() >= limits.deadline) {
    return Unexpected(
        CheckpointError{.fault = CheckpointFault::Cancelled, .message = "out of time"});
  }
  return {};
}

Descriptor open_folder_at(int parent, const std::string& name) {
  return Descriptor(
      ::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

Descriptor open_folder(const std::string& path) {
  return Descriptor(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

std::optional<struct stat> look_at(int parent, const std::string& name) {
  struct stat status {};
  if (::fstatat(parent, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return std::nullopt;
  return status;
}

Result<std::vector<std::string>, CheckpointError> names_in(int folder, const std::string& path) {
  // A descriptor of its own: the stream closes it and moves its position.
  const int copy = ::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* const stream = copy < 0 ? nullptr : ::fdopendir(copy);
  if (stream == nullptr) {
    auto error = io_error("read folder", path);
    if (copy >= 0) ::close(copy);
    return Unexpected(std::move(error));
  }
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* const entry = ::readdir(stream)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
    errno = 0;
  }
  const int code = errno;
  ::closedir(stream);
  errno = code;
  if (code != 0) return Unexpected(io_error("read folder", path));
  std::sort(names.begin(), names.end());
  return names;
}

Result<std::string, CheckpointError> link_target(int parent, const std::string& name,
                                                 const std::string& path) {
  std::array<char, PATH_MAX> target{};
  const ssize_t size = ::readlinkat(parent, name.c_str(), target.data(), target.size());
  if (size < 0) return Unexpected(io_error("read link", path));
  return std::string(target.data(), static_cast<std::size_t>(size));
}

Result<std::string, CheckpointError> read_through(
    int fd, const std::string& path, const CheckpointLimits& limits,
    const std::function<Done(std::string_view)>& piece) {
  std::string buffer(kPieceBytes, '\0');
  Sha256 sha;
  for (off_t offset = 0;;) {
    if (auto go = go_on(limits); !go) return Unexpected(std::move(go).error());
    const ssize_t size = ::pread(fd, buffer.data(), buffer.size(), offset);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return Unexpected(io_error("read", path));
    if (size == 0) return sha.hex();
    const std::string_view bytes(buffer.data(), static_cast<std::size_t>(size));
    sha.add(bytes);
    if (piece) {
      if (auto done = piece(bytes); !done) return Unexpected(std::move(done).error());
    }
    offset += size;
  }
}

Done write_all(int fd, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t size = ::write(fd, bytes.data(), bytes.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return Unexpected(io_error("write", path));
    bytes.remove_prefix(static_cast<std::size_t>(size));
  }
  return {};
}

Result<std::string, CheckpointError> read_file(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file) return Unexpected(io_error("open", path));
  std::string text;
  auto read = read_through(file.get(), path, {}, [&](std::string_view bytes) -> Done {
    text.append(bytes);
    if (text.size() <= kStoreFileBytesMax) return {};
    return Unexpected(CheckpointError{
        .fault = CheckpointFault::Corrupt, .message = path + " is too large", .path = path});
  });
  if (!read) return Unexpected(std::move(read).error());
  return text;
}

Done replace_file(const std::string& path, std::string_view bytes) {
  const std::filesystem::path target(path);
  const std::string temporary =
      (target.parent_path() / ("." + target.filename().string() + ".new")).string();
  {
    const Descriptor file(
        ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file) return Unexpected(io_error("create", temporary));
    if (auto done = write_all(file.get(), bytes, temporary); !done) return done;
    if (::fsync(file.get()) != 0) return Unexpected(io_error("sync", temporary));
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) return Unexpected(io_error("rename", path));
  return sync_folder(std::filesystem::path(path).parent_path().string());
}

Done sync_folder(const std::string& path) {
  if (!posix::sync_folder(path)) return Unexpected(io_error("sync", path));
  return {};
}

Done make_folders(const std::string& path) {
  std::string made;
  for (const auto& part : std::filesystem::path(path)) {
    made = (std::filesystem::path(made) / part).string();
    const bool fresh = ::mkdir(made.c_str(), 0700) == 0;
    if (!fresh && errno != EEXIST) return Unexpected(io_error("create folder", made));
    if (!fresh) continue;
    auto done = sync_folder(std::filesystem::path(made).parent_path().string());
    if (!done) return done;
  }
  return {};
}

}  // namespace recover::adapters::checkpoint
