// The real restic, for tests: the judge of what we write and the author of what we must read.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "test/temp_folder.h"

namespace recover::test {

inline std::string slurp(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

inline void spill(const std::string& path, const std::string& text) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

// Runs restic on one repository with the password "secret". Each call waits for its end.
class Restic {
 public:
  explicit Restic(const TempFolder& folder)
      : repository(folder / "repo"), log_(folder / "restic.log"), cache_(folder / "cache") {}

  static bool is_installed() { return std::system("restic version >/dev/null 2>&1") == 0; }

  // Exit status 0. `output` has what it printed.
  bool run(const std::string& arguments) {
    const std::string command = "cd / && RESTIC_PASSWORD=secret restic --cache-dir '" + cache_ +
                                "' --repo '" + repository + "' " + arguments + " >'" + log_ +
                                "' 2>&1";
    const bool ok = std::system(command.c_str()) == 0;
    output = slurp(log_);
    return ok;
  }

  std::string repository;
  std::string output;

 private:
  std::string log_;
  std::string cache_;
};

}  // namespace recover::test
