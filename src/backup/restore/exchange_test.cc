// Random trees exchanged with the real restic in both directions: what one backs up, the other
// restores, and both call a tree by the same ID. RECOVER_EXCHANGE_TREES says how many (200).
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <random>

#include "backup/browse/tree_walk.h"
#include "backup/restore/restorer.h"
#include "test/restic_archive.h"

namespace recover::backup {
namespace {

// Puts entries of every kind with names, sizes, modes, times and attributes of every kind below one
// folder. The same seed gives the same tree.
class TreeMaker {
 public:
  explicit TreeMaker(unsigned seed) : random_(seed) {}

  void fill(const std::string& folder, unsigned depth = 0) {
    std::filesystem::create_directories(folder);
    std::vector<std::string> files;
    const unsigned entries = below(7);
    for (unsigned i = 0; i < entries; ++i) {
      const std::string path = folder + "/" + name(i);
      make(path, folder, files, depth);
    }
    if (below(3) == 0) ::setxattr(folder.c_str(), "user.folder", "v", 1, 0);
    set_times(folder);
    ::chmod(folder.c_str(), 0700 | below(0100));
  }

 private:
  unsigned below(unsigned limit) { return static_cast<unsigned>(random_()) % limit; }

  // Bytes that need escaping in one of the two layers, or none, and always different ones.
  std::string name(unsigned number) {
    static const std::vector<std::string> kParts = {"a",
                                                    "\"",
                                                    "\\",
                                                    "\n",
                                                    "\x01",
                                                    "\x7f",
                                                    "\xff",
                                                    "<&>",
                                                    "\xc3\xa9",
                                                    "\xe2\x80\xa8",
                                                    "\xc2\xa0",
                                                    "\xf0\x9f",
                                                    "\xf0\x9f\x98\x80",
                                                    " ",
                                                    "\\x41",
                                                    "'",
                                                    "*",
                                                    "\xef\xbb\xbf",
                                                    "\t",
                                                    "n"};
    std::string text = std::to_string(number);
    for (unsigned i = below(4); i > 0; --i)
      text += kParts[below(static_cast<unsigned>(kParts.size()))];
    return text;
  }
  std::string content() {
    static constexpr std::size_t kSizes[] = {0, 1, 31, 4096, 70'000};
    std::size_t size = kSizes[below(5)] + below(50);
    if (below(60) == 0) size = (1U << 20U) + below(1U << 20U);
    const unsigned kind = below(3);
    if (kind == 0) return std::string(size, '\0');
    std::string text = test::noise(size, std::to_string(below(1000)));
    if (kind == 1)
      std::replace_if(
          text.begin(), text.end(), [](char c) { return c > 'P'; }, 'x');
    return text;
  }
  void make(const std::string& path, const std::string& folder, std::vector<std::string>& files,
            unsigned depth) {
    const unsigned kind = below(12);
    if (kind < 2 && depth < 4) return fill(path, depth + 1);
    // restic of Debian loses the bytes of a target that are no UTF-8.
    if (kind == 2) return std::filesystem::create_symlink("to/\xc3\xa9 <&>\"\\", path);
    if (kind == 3) {
      ::mkfifo(path.c_str(), 0600);
      return set_times(path);
    }
    if (kind == 4 && ::geteuid() == 0) {
      ::mknod(path.c_str(), (below(2) == 0 ? S_IFCHR : S_IFBLK) | 0640,
              makedev(below(300), below(70'000)));
      return set_times(path);
    }
    if (kind == 5 && !files.empty()) return std::filesystem::create_hard_link(files.back(), path);
    test::spill(path, content());
    files.push_back(path);
    if (below(4) == 0) ::setxattr(path.c_str(), "user.one", "\0\xff", 2, 0);
    if (below(8) == 0) ::setxattr(path.c_str(), "user.empty", "", 0, 0);
    if (::geteuid() == 0 && below(4) == 0) {
      static_cast<void>(::lchown(path.c_str(), 1 + below(3000), 1 + below(3000)));
    }
    ::chmod(path.c_str(), below(2) == 0 ? 0644 : 0400 | below(010000));
    set_times(path);
    static_cast<void>(folder);
  }
  void set_times(const std::string& path) {
    const timespec time{.tv_sec = static_cast<time_t>(below(2'000'000'000)) - 100'000'000,
                        .tv_nsec = static_cast<long>(below(1000)) * 1'000'000};
    const timespec times[2] = {time, time};
    ::utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW);
  }

  std::minstd_rand random_;
};

class Exchanges : public test::ResticArchive {
 protected:
  Digest tree_of_data(const Digest& root) {
    const BlobIndex index = repository_->load_index().value();
    return find_node(*repository_, index, root, data_).value().subtree.value();
  }
  static unsigned trees() {
    const char* const wanted = std::getenv("RECOVER_EXCHANGE_TREES");
    return wanted == nullptr ? 200 : static_cast<unsigned>(std::atoi(wanted));
  }
};

TEST_F(Exchanges, RandomTreesInBothDirections) {
  constexpr unsigned kLot = 25;  // Trees of one snapshot: restic takes its time to begin.
  for (unsigned seed = 0; seed < trees(); seed += kLot) {
    SCOPED_TRACE("trees from seed " + std::to_string(seed));
    std::filesystem::remove_all(data_);
    for (unsigned i = 0; i < kLot; ++i) {
      TreeMaker(seed + i + 1).fill(data("tree" + std::to_string(seed + i)));
    }
    const ArchiveReport ours = back_up();
    ASSERT_EQ(ours.problem_count, 0U) << ours.problems.front();
    ASSERT_TRUE(restic_.run("restore " + hex(ours.id) + " --target '" + folder_ / "theirs" + "'"))
        << restic_.output;
    ASSERT_TRUE(are_alike(data_, folder_ / "theirs" + data_)) << "restic restored ours otherwise";

    ASSERT_TRUE(restic_.run("backup --force --tag theirs '" + data_ + "'")) << restic_.output;
    std::optional<Snapshot> theirs;
    const auto both = repository_->snapshots();
    ASSERT_TRUE(both);
    for (const auto& one : *both) {
      if (!one.snapshot.tags.empty()) theirs = one.snapshot;
    }
    ASSERT_TRUE(theirs);
    EXPECT_EQ(tree_of_data(theirs->tree), tree_of_data(ours.snapshot.tree)) << "byte for byte";
    RestoreProgress progress;
    const auto restored =
        restore(*repository_, *theirs, {.to = folder_ / "ours", .threads = 2}, progress);
    ASSERT_TRUE(restored) << restored.error().message;
    EXPECT_EQ(restored->problem_count, 0U) << restored->problems.front();
    ASSERT_TRUE(are_alike(data_, folder_ / "ours" + data_)) << "we restored restic's otherwise";

    for (const char* const folder : {"theirs", "ours"})
      std::filesystem::remove_all(folder_ / folder);
    for (const auto& one : *both) {
      ASSERT_TRUE(store_.remove({.kind = FileKind::Snapshot, .id = one.id}));
    }
  }
  EXPECT_TRUE(restic_.run("check --read-data")) << restic_.output;
}

}  // namespace
}  // namespace recover::backup
