// A repository of ours beside the real restic, and a folder of data to back up: what tests of the
// backup engine begin with.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <optional>
#include <string>

#include "backup/archive/archiver.h"
#include "backup/store/local_store.h"
#include "test/restic.h"

namespace recover::test {

// Skips when restic is not installed.
class ResticArchive : public testing::Test {
 protected:
  void SetUp() override {
    if (!Restic::is_installed()) GTEST_SKIP() << "restic is not installed";
    const backup::CreateOptions options{
        .now = {}, .user = "u", .host = "h", .cost = {.n = 1024, .r = 8, .p = 1}};
    auto made = backup::Repository::create(store_, base::Secret("secret"), options);
    ASSERT_TRUE(made) << made.error().message;
    repository_.emplace(std::move(*made));
    options_.paths = {data_};
    options_.host = host_name();
    options_.user = "root";
    options_.now = {.seconds = 2'000'000'000};
  }
  static std::string host_name() {
    std::array<char, 256> name{};
    ::gethostname(name.data(), name.size() - 1);
    return name.data();
  }
  backup::ArchiveReport back_up() {
    backup::ArchiveProgress progress;
    options_.now.seconds += 1;
    auto report = backup::archive(*repository_, options_, progress);
    EXPECT_TRUE(report) << report.error().message;
    return report ? *report : backup::ArchiveReport();
  }
  std::string data(const std::string& name) const { return data_ + "/" + name; }
  // Names, kinds, modes, owners, targets, links, times and attributes of all; the bytes of files.
  static bool are_alike(const std::string& one, const std::string& other) {
    const std::string list =
        "(find . -printf '%P|%y|%m|%U|%G|%l|%T@|%n\\n' | sed '/|d|/s/|[0-9]*$//' | sort; "
        "getfattr -R -h -d -m - . 2>/dev/null | sort; "
        "find . -type f -print0 | sort -z | xargs -0 sha256sum)";
    const std::string command = "bash -c \"diff <(cd '" + one + "' && " + list + ") <(cd '" +
                                other + "' && " + list + ")\"";
    return std::system(command.c_str()) == 0;
  }

  TempFolder folder_{TempFolder::memory()};
  Restic restic_{folder_};
  backup::LocalStore store_{restic_.repository};
  std::optional<backup::Repository> repository_;
  const std::string data_ = folder_ / "data";
  backup::ArchiveOptions options_;
};

inline std::string noise(std::size_t size, std::string seed = "noise") {
  std::string bytes;
  while (bytes.size() < size) {
    seed = backup::text_of(backup::sha256(backup::view_of(seed)).bytes);
    bytes += seed;
  }
  bytes.resize(size);
  return bytes;
}

}  // namespace recover::test
