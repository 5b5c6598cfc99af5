// The records of checkpoints and the names that point at them, as files of a folder.
//
// Service and checkpoint names are escaped (%41) where they could be paths. A file's time says when
// its checkpoint was last taken. Not thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <recover/result.h>

#include "adapters/checkpoint/file_system.h"
#include "adapters/checkpoint/record.h"

namespace recover::adapters::checkpoint {

inline constexpr std::size_t kNameBytesMax = 80;  // Of a service, and of a checkpoint's name.
inline constexpr std::size_t kIdPrefixMin = 8;    // Digits of an id that may stand for it.

Done check_name(std::string_view name, std::string_view what);

class RecordShelf {
 public:
  // A record's file, without its content.
  struct Listed {
    std::string id;
    std::vector<std::string> names;
    std::int64_t taken_ns = 0;
  };

  explicit RecordShelf(std::string root) : root_(std::move(root)) {}

  // Newest first; damaged ones too.
  Result<std::vector<Listed>, CheckpointError> listed(std::string_view service) const;
  Result<CheckpointRecord, CheckpointError> load(std::string_view service,
                                                 const std::string& id) const;
  // The newest that can be read.
  std::optional<CheckpointRecord> newest(std::string_view service) const;
  // The id of an id, of its beginning, or of a name.
  Result<std::string, CheckpointError> resolve(std::string_view service,
                                               std::string_view checkpoint) const;
  // It is the newest from now on. One that is there is replaced.
  Done put(const CheckpointRecord& record) const;
  Done point(std::string_view service, std::string_view name, const std::string& id) const;
  // With its names. Durable when it returns.
  Done remove(std::string_view service, const Listed& checkpoint) const;
  Result<std::vector<std::string>, CheckpointError> services() const;

 private:
  std::string folder_of(std::string_view service) const;
  std::string record_path(std::string_view service, const std::string& id) const;

  std::string root_;
};

}  // namespace recover::adapters::checkpoint
