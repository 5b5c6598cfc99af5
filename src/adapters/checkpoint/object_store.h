// Contents of files, each once, under its SHA-256: objects/ab/cdef…
//
// An object is complete or not there: written to tmp/, synced, renamed. Its folder is synced by
// settle(), which must come before anything names the object.
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include <recover/result.h>

#include "adapters/checkpoint/file_system.h"

namespace recover::adapters::checkpoint {

struct StoredObject {
  std::string sha256;
  std::uint64_t size = 0;
  std::uint64_t bytes_stored = 0;  // 0: it was there.
};

class ObjectStore {
 public:
  explicit ObjectStore(std::string root) : root_(std::move(root)) {}

  // Creates the folders and clears what a crash left in tmp/.
  Done open();
  // Stores what `fd` reads. `dirty` collects folders for settle().
  Result<StoredObject, CheckpointError> put(int fd, const std::string& path,
                                            const CheckpointLimits& limits,
                                            std::set<std::string>& dirty) const;
  static Done settle(const std::set<std::string>& dirty);

  // Corrupt when it is missing or its content is another.
  Done check(const std::string& sha256, const CheckpointLimits& limits) const;
  // Writes the content to `fd`; Corrupt as above, once something may be written.
  Done copy_to(int fd, const std::string& sha256, const std::string& path,
               const CheckpointLimits& limits) const;
  // Removes every object not in `wanted`. REQUIRES: nobody puts meanwhile.
  Done sweep(const std::set<std::string>& wanted) const;

  const std::string& root() const { return root_; }

 private:
  std::string path_of(const std::string& sha256) const;
  Result<std::string, CheckpointError> store(int fd, const std::string& path,
                                             const CheckpointLimits& limits,
                                             std::set<std::string>& dirty) const;
  std::string root_;
};

}  // namespace recover::adapters::checkpoint
