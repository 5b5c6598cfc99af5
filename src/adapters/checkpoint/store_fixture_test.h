// A store on real files, with the real worker: what its tests begin with.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "adapters/checkpoint/repository_store.h"
#include "test/temp_folder.h"

namespace recover::adapters::checkpoint {

namespace fs = std::filesystem;
using ports::CheckpointFault;
using ports::CheckpointInfo;
using ports::RestoreReport;
using ports::TakenCheckpoint;

inline void write(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
}
inline std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// Kind, mode, owner, target and content of everything below a folder.
inline std::map<std::string, std::string> picture(const fs::path& top) {
  std::map<std::string, std::string> seen;
  const auto add = [&](const fs::path& path) {
    struct stat status {};
    ASSERT_EQ(::lstat(path.c_str(), &status), 0) << path;
    std::string text = std::to_string(status.st_mode) + " " + std::to_string(status.st_uid) + ":" +
                       std::to_string(status.st_gid) + " ";
    if (S_ISLNK(status.st_mode)) text += fs::read_symlink(path).string();
    if (S_ISREG(status.st_mode)) text += read(path);
    seen[fs::relative(path.parent_path(), top).string() + "/" + path.filename().string()] = text;
  };
  add(top);
  for (const auto& entry : fs::recursive_directory_iterator(top)) add(entry.path());
  return seen;
}

class CheckpointStoreTest : public ::testing::Test {
 protected:
  CheckpointStoreTest() {
    reopen();
    write(state_ / "nginx.conf", "good");
    write(state_ / "sites/a.conf", "site a");
    write(state_ / "sites/empty", "");
    fs::create_directories(state_ / "void");
    fs::create_symlink("sites/a.conf", state_ / "current");
    fs::create_symlink("/nowhere/at/all", state_ / "dangling");
    ::chmod((state_ / "nginx.conf").c_str(), 04640);
    ::chmod((state_ / "void").c_str(), 01750);
    if (::geteuid() == 0) {
      EXPECT_EQ(::chown((state_ / "sites/a.conf").c_str(), 12, 34), 0);
    }
    const timespec times[2] = {{.tv_sec = 1'000, .tv_nsec = 5}, {.tv_sec = 1'000, .tv_nsec = 5}};
    ::utimensat(AT_FDCWD, (state_ / "nginx.conf").c_str(), times, 0);
  }

  void reopen() {
    store_.reset();
    auto opened = RepositoryStore::open(
        {.root = folder_ / "checkpoints", .worker = BACKUP_WORKER, .clock_step = {}});
    ASSERT_TRUE(opened) << opened.error().message;
    store_ = std::move(*opened);
  }
  TakenCheckpoint take(const std::string& name = "", std::vector<std::string> paths = {}) {
    if (paths.empty()) paths = {state_};
    auto taken = store_->take({.service = "web", .name = name, .paths = std::move(paths)});
    EXPECT_TRUE(taken) << taken.error().message;
    return taken ? *taken : TakenCheckpoint{};
  }
  RestoreReport restore(const std::string& checkpoint, std::vector<std::string> paths = {},
                        bool dry_run = false) {
    auto report = store_->restore({.service = "web",
                                   .checkpoint = checkpoint,
                                   .paths = std::move(paths),
                                   .dry_run = dry_run});
    EXPECT_TRUE(report) << report.error().message;
    return report ? *report : RestoreReport{};
  }
  // Every pack of the repository is overwritten in its middle: files' contents, not what is known
  // of them, for trees are in packs of their own.
  std::vector<fs::path> packs() {
    std::vector<fs::path> found;
    for (const auto& file :
         fs::recursive_directory_iterator(folder_ / "checkpoints/repository/data")) {
      if (file.is_regular_file()) found.push_back(file.path());
    }
    return found;
  }
  bool restic(const std::string& arguments) {
    const std::string root = folder_ / "checkpoints";
    const std::string command = "restic --no-cache -r " + root + "/repository --password-file " +
                                root + "/password " + arguments + " >" + (folder_ / "restic.log") +
                                " 2>&1";
    const bool good = std::system(command.c_str()) == 0;
    if (!good) std::system(("cat " + (folder_ / "restic.log")).c_str());
    return good;
  }

  test::TempFolder folder_{test::TempFolder::memory()};
  const fs::path state_ = fs::path(folder_.path()) / "srv/conf";
  std::unique_ptr<RepositoryStore> store_;
};

}  // namespace recover::adapters::checkpoint
