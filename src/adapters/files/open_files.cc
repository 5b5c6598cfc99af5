#include "adapters/files/open_files.h"

#include <dirent.h>
#include <sys/stat.h>

#include <fstream>
#include <memory>
#include <string>

namespace recover::adapters::files {
namespace {

using Folder = std::unique_ptr<DIR, int (*)(DIR*)>;

Folder open_folder(const std::string& path) {
  return {::opendir(path.c_str()), &::closedir};
}

bool is_number(const char* name) {
  return *name >= '0' && *name <= '9';
}

void add(const std::string& path, std::set<FileId>& found) {
  struct stat file {};
  if (::stat(path.c_str(), &file) == 0 && S_ISREG(file.st_mode)) {
    found.emplace(file.st_dev, file.st_ino);
  }
}

void add_descriptors(const std::string& process, std::set<FileId>& found) {
  const Folder folder = open_folder(process + "/fd");
  if (!folder) return;
  while (const dirent* entry = ::readdir(folder.get())) {
    if (is_number(entry->d_name)) add(process + "/fd/" + entry->d_name, found);
  }
}

// By path as well as by link: the device in `maps` is not stat's on some file systems.
void add_mapped(const std::string& process, std::set<std::string>& seen, std::set<FileId>& found) {
  std::ifstream maps(process + "/maps");
  std::string line;
  while (std::getline(maps, line)) {
    const auto slash = line.find('/');
    if (slash == std::string::npos) continue;
    std::string path = line.substr(slash);
    if (seen.insert(path).second) add(path, found);
    const auto range_end = line.find(' ');
    add(process + "/map_files/" + line.substr(0, range_end), found);
  }
}

}  // namespace

std::set<FileId> open_files() {
  std::set<FileId> found;
  std::set<std::string> seen;
  const Folder proc = open_folder("/proc");
  if (!proc) return found;
  while (const dirent* entry = ::readdir(proc.get())) {
    if (!is_number(entry->d_name)) continue;
    const std::string process = std::string("/proc/") + entry->d_name;
    add_descriptors(process, found);
    add_mapped(process, seen, found);
  }
  return found;
}

}  // namespace recover::adapters::files
