// What tests of the wishes of restic's, borg's and kopia's users share; each is named after the
// wish and its issues (docs/backup.md has the list).
#pragma once

#include <ctime>
#include <filesystem>
#include <string>
#include <vector>

#include "backup/check/checker.h"
#include "backup/retain/pruner.h"
#include "test/restic_archive.h"

namespace recover::test {

class Peers : public ResticArchive {
 protected:
  void SetUp() override {
    ResticArchive::SetUp();
    options_.now = {.seconds = std::time(nullptr) - 3600};
  }
  void expect_sound(bool restic = true) {
    backup::CheckProgress progress;
    const auto report = backup::check(*repository_, {.read_data = true}, progress);
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_TRUE(report->is_sound()) << report->errors.at(0);
    if (!restic) return;
    EXPECT_TRUE(restic_.run("check --read-data")) << restic_.output;
  }
  std::uint64_t stored_bytes() {
    std::uint64_t bytes = 0;
    const auto files = store_.list(backup::FileKind::Pack);
    if (files) {
      for (const backup::StoredFile& file : *files) bytes += file.bytes;
    }
    return bytes;
  }
  std::string path_of(const backup::Digest& pack) const {
    const std::string name = backup::hex(pack);
    return restic_.repository + "/data/" + name.substr(0, 2) + "/" + name;
  }
  // The pack that holds most.
  backup::Digest largest_pack() {
    const auto files = store_.list(backup::FileKind::Pack);
    backup::StoredFile largest;
    for (const backup::StoredFile& file : *files) {
      if (file.bytes > largest.bytes) largest = file;
    }
    return largest.id;
  }
  void change_byte(const backup::Digest& pack, std::size_t at) {
    const std::string path = path_of(pack);
    std::string bytes = slurp(path);
    ASSERT_LT(at, bytes.size());
    bytes[at] = static_cast<char>(~bytes[at]);
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    spill(path, bytes);
  }
};

}  // namespace recover::test
