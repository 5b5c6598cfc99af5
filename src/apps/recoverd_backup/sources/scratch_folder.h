// A folder for one dump or one drill, gone with all in it afterwards.
//
// A server that runs as another user may not reach it by its path: the folders above are ours
// alone. So servers are handed its descriptor, and name it and their sockets in it by that; which
// also keeps the names of sockets short enough.
#pragma once

#include <string>
#include <string_view>

#include "apps/recoverd_backup/account.h"
#include "apps/recoverd_backup/program_run.h"
#include "backup/failure.h"
#include "posix/descriptor.h"

namespace recover::apps {

class ScratchFolder {
 public:
  // Below `within`, which must exist; closed to everybody but us and `owner`.
  static backup::Outcome<ScratchFolder> make(const std::string& within,
                                             const Account* owner = nullptr);
  ScratchFolder(ScratchFolder&& other) noexcept = default;
  ScratchFolder& operator=(ScratchFolder&& other) = delete;
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder();

  const std::string& path() const { return path_; }
  std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }
  // A folder in it, of the same owner.
  backup::Outcome<void> make_folder(const std::string& name, const Account* owner) const;
  backup::Outcome<void> write(const std::string& name, std::string_view text,
                              const Account* owner) const;
  int descriptor() const { return folder_.get(); }
  // The name of a file in it, for programs whose first handed descriptor is this folder's.
  static std::string handed(std::string_view name);
  // For this process.
  std::string by_descriptor(std::string_view name) const;

 private:
  ScratchFolder() = default;

  std::string path_;
  posix::Descriptor folder_;
};

}  // namespace recover::apps
