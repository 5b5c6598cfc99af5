#include "backup/feed/watched_paths.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

#include "backup/local/file.h"

namespace recover::backup {
namespace {

// Of /proc/self/mountinfo: space, tab, line feed and backslash are written as \ooo.
std::string unescape_mount(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      plain += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                                 (text[i + 3] - '0'));
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

struct MountLine {
  std::string id;
  std::string point;
  std::string type;
};

std::vector<MountLine> mount_lines() {
  std::vector<MountLine> mounts;
  std::ifstream file("/proc/self/mountinfo");
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string parent;
    std::string device;
    std::string root;
    std::string point;
    MountLine mount;
    words >> mount.id >> parent >> device >> root >> point;
    for (std::string word; words >> word && word != "-";) {
    }
    words >> mount.type;
    mount.point = unescape_mount(point);
    mounts.push_back(std::move(mount));
  }
  return mounts;
}

}  // namespace

std::string join_path(std::string_view folder, std::string_view name) {
  std::string path(folder == "/" ? "" : folder);
  path += '/';
  path += name;
  return path;
}

bool is_at_or_below(std::string_view path, std::string_view folder) {
  if (folder == "/") return true;
  return path.starts_with(folder) && (path.size() == folder.size() || path[folder.size()] == '/');
}

bool is_remote(std::string_view file_system) {
  static constexpr std::array<std::string_view, 9> kRemote = {"nfs", "nfs4", "cifs", "smb3", "ceph",
                                                              "9p",  "afs",  "gfs2", "ocfs2"};
  return file_system.starts_with("fuse") ||
         std::find(kRemote.begin(), kRemote.end(), file_system) != kRemote.end();
}

Outcome<WatchedPaths> WatchedPaths::look(const FeedOptions& options) {
  WatchedPaths watched;
  watched.ignored_ = options.ignored;
  watched.one_file_system_ = options.one_file_system;
  for (const std::string& wanted : options.paths) {
    std::filesystem::path given = std::filesystem::path(wanted).lexically_normal();
    if (!given.has_filename() && given != "/") given = given.parent_path();  // "/srv/"
    const std::string path = given.string();
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0) return system_failure("looking at", path);
    std::error_code error;
    const std::filesystem::path above = std::filesystem::canonical(given.parent_path(), error);
    if (error) return fail(FailureKind::NotFound, path + ": " + error.message());
    watched.paths_.push_back(
        {.path = path,
         .real = path == "/" ? path : join_path(above.string(), given.filename().string()),
         .is_folder = S_ISDIR(info.st_mode),
         .device = info.st_dev,
         .inode = info.st_ino});
  }
  return watched;
}

bool WatchedPaths::are_same() const {
  return std::all_of(paths_.begin(), paths_.end(), [](const WatchedPath& one) {
    struct stat info {};
    // Of a file the name is followed, not the inode: it is replaced when it is written anew.
    if (::lstat(one.path.c_str(), &info) != 0) return false;
    const bool same = info.st_dev == one.device && info.st_ino == one.inode;
    return one.is_folder ? same : !S_ISDIR(info.st_mode);
  });
}

void WatchedPaths::note(ChangeNotes& notes, std::string_view real, bool deep) const {
  for (const WatchedPath& one : paths_) {
    if (!is_at_or_below(real, one.real)) continue;
    const std::string_view below = real.substr(one.real == "/" ? 0 : one.real.size());
    const std::string path = one.path == "/" ? std::string(real) : one.path + std::string(below);
    if (ignored_ && path != one.path && ignored_(path)) {
      notes.changes.add(std::filesystem::path(path).parent_path().string(), false);
      continue;
    }
    notes.changes.add(path, deep);
    notes.is_urgent = true;
  }
}

std::vector<WatchedPaths::Mount> WatchedPaths::mounts_below() const {
  const std::vector<MountLine> lines = mount_lines();
  std::vector<Mount> mounts;
  const auto take = [&](const MountLine& line) {
    const bool known = std::any_of(mounts.begin(), mounts.end(),
                                   [&](const Mount& one) { return one.point == line.point; });
    if (!known) mounts.push_back({.point = line.point, .type = line.type});
  };
  for (const WatchedPath& one : paths_) {
    // The last that is mounted there hides those before it.
    const MountLine* on = nullptr;
    for (const MountLine& line : lines) {
      if (!is_at_or_below(one.real, line.point)) continue;
      if (on == nullptr || line.point.size() >= on->point.size()) on = &line;
    }
    if (on != nullptr) take(*on);
    for (const MountLine& line : lines) {
      const bool below = line.point != one.real && is_at_or_below(line.point, one.real);
      if (below && !one_file_system_ && one.is_folder) take(line);
    }
  }
  return mounts;
}

std::string WatchedPaths::mounts() const {
  std::string text;
  for (const MountLine& line : mount_lines()) {
    const bool matters = std::any_of(paths_.begin(), paths_.end(), [&](const WatchedPath& one) {
      return is_at_or_below(line.point, one.real);
    });
    if (matters) text += line.id + " " + line.point + "\n";
  }
  return text;
}

}  // namespace recover::backup
