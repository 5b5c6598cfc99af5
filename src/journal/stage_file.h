// The file journal.stage: opened through SQLite's file layer, so that what makes the disk fail in
// tests makes it fail here as well. Knows no frames.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <recover/result.h>

#include "ports/journal.h"

namespace recover::journal {

// One thread.
class StageFile {
 public:
  // Created unless it exists, for its owner alone. `vfs` empty: the system's.
  static Result<StageFile, ports::JournalError> open(const std::string& path,
                                                     const std::string& vfs);

  // At most `size_max` bytes from its start.
  Result<std::string, ports::JournalError> read(std::size_t size_max) const;
  // With the kernel when it returns. After an error what is there from `offset` on is undefined.
  Result<void, ports::JournalError> write(std::uint64_t offset, std::string_view bytes) const;
  // Nothing is in it any more.
  Result<void, ports::JournalError> truncate() const;

 private:
  struct Close {
    void operator()(sqlite3_file* file) const;
  };
  StageFile() = default;
  ports::JournalError error(int code, std::string_view doing) const;

  std::string path_;
  std::unique_ptr<sqlite3_file, Close> file_;
};

}  // namespace recover::journal
