// A small file system of its own, for tests of what happens when it is full. Needs root.
#pragma once

#include <sys/mount.h>

#include <string>

#include "test/temp_folder.h"

namespace recover::test {

class FullDisk {
 public:
  static constexpr const char* kMissing = "mounting a file system needs root";

  explicit FullDisk(const std::string& size) {
    const std::string options = "size=" + size;
    mounted_ = ::mount("none", folder_.path().c_str(), "tmpfs", 0, options.c_str()) == 0;
  }
  FullDisk(const FullDisk&) = delete;
  FullDisk& operator=(const FullDisk&) = delete;
  ~FullDisk() {
    if (mounted_) ::umount2(folder_.path().c_str(), MNT_DETACH);
  }
  bool is_mounted() const { return mounted_; }
  std::string operator/(std::string_view name) const { return folder_ / name; }

 private:
  TempFolder folder_;
  bool mounted_ = false;
};

}  // namespace recover::test
