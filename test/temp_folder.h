// A folder of its own for a test, gone with it.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>

namespace recover::test {

class TempFolder {
 public:
  TempFolder() : TempFolder(std::filesystem::temp_directory_path()) {}
  explicit TempFolder(const std::filesystem::path& in) {
    std::string name = (in / "recover-test-XXXXXX").string();
    path_ = ::mkdtemp(name.data()) == nullptr ? std::string() : name;
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  ~TempFolder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }
  std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }

  // Where syncing costs nothing, for tests in which no power is lost: /dev/shm, if there is one.
  static std::filesystem::path memory() {
    std::error_code ignored;
    const bool there = std::filesystem::is_directory("/dev/shm", ignored);
    return there ? "/dev/shm" : std::filesystem::temp_directory_path();
  }

 private:
  std::string path_;
};

}  // namespace recover::test
