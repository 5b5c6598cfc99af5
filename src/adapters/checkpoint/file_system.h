// System calls as values, always relative to an open folder and never through a symbolic link.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <recover/result.h>

#include "ports/checkpoint_store.h"
#include "posix/descriptor.h"

namespace recover::adapters::checkpoint {

using ports::CheckpointError;
using ports::CheckpointFault;
using ports::CheckpointLimits;
using posix::Descriptor;
using Done = Result<void, CheckpointError>;

class Sha256 {
 public:
  Sha256();
  void add(std::string_view bytes);
  std::string hex();  // Once.

 private:
  struct Free {
    void operator()(void* context) const;
  };
  std::unique_ptr<void, Free> context_;
};

// From errno.
CheckpointError io_error(std::string_view doing, const std::string& path);
// Cancelled when the limits say so.
Done go_on(const CheckpointLimits& limits);

// A folder below another, not through a link; or by an absolute path that is trusted.
Descriptor open_folder_at(int parent, const std::string& name);
Descriptor open_folder(const std::string& path);
// None: there is nothing of that name.
std::optional<struct stat> look_at(int parent, const std::string& name);
// Sorted, without "." and "..".
Result<std::vector<std::string>, CheckpointError> names_in(int folder, const std::string& path);
Result<std::string, CheckpointError> link_target(int parent, const std::string& name,
                                                 const std::string& path);

// Reads to the end from the start, piece by piece; returns the SHA-256. A Done that fails ends it.
Result<std::string, CheckpointError> read_through(
    int fd, const std::string& path, const CheckpointLimits& limits,
    const std::function<Done(std::string_view)>& piece = {});
Done write_all(int fd, std::string_view bytes, const std::string& path);

// Whole small files of the store. At most kStoreFileBytesMax.
inline constexpr std::size_t kStoreFileBytesMax = 256ULL << 20U;
Result<std::string, CheckpointError> read_file(const std::string& path);
// Temporary file (with a dot in front), fsync, rename, fsync of the folder.
Done replace_file(const std::string& path, std::string_view bytes);
Done sync_folder(const std::string& path);
Done make_folders(const std::string& path);

}  // namespace recover::adapters::checkpoint
