// A snapshot made from a feed's changes is the one that a walk of everything would have made:
// random trees, random changes, both feeds. And what a feed cannot follow, it says.
#include "backup/feed/feed.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <random>
#include <set>

#include "backup/browse/tree_walk.h"
#include "backup/feed/change_watch.h"
#include "backup/feed/link_book.h"
#include "backup/local/file.h"
#include "test/restic_archive.h"

namespace recover::backup {
namespace {

namespace fs = std::filesystem;

// A tree that changes at random below `root`.
class RandomTree {
 public:
  RandomTree(std::string root, unsigned seed) : root_(std::move(root)), random_(seed) {}

  // The last of a round may be a further hard link. A name that is gone again before anybody looked
  // leaves only a time on the file's other names, which no feed tells of.
  void change(bool is_last) {
    switch (pick(is_last ? 14 : 13)) {
      case 0:
      case 1:
      case 2: return write(fresh());
      case 3: return write(any_file());
      case 4: return append(any_file());
      case 5: return make_folder();
      case 6: return rename(any_file(), pick(2) == 0 ? any_file() : fresh());
      case 7: return move_folder();
      case 8: return static_cast<void>(::chmod(any().c_str(), pick(2) == 0 ? 0700 : 0750));
      case 9: return attribute();
      case 10: return static_cast<void>(::unlink(any_file().c_str()));
      case 11: return remove_folder();
      case 12: return static_cast<void>(::symlink("x", fresh().c_str()));
      default: return static_cast<void>(::link(any_file().c_str(), fresh().c_str()));
    }
  }

 private:
  std::size_t pick(std::size_t count) { return random_() % count; }
  std::string fresh() { return any_folder() + "/n" + std::to_string(pick(40)); }
  std::string any_folder() { return any_of(true); }
  std::string any_file() { return any_of(false); }
  std::string any() { return pick(3) == 0 ? any_folder() : any_file(); }
  std::string any_of(bool folders) {
    std::vector<std::string> found;
    if (folders) found.push_back(root_);
    for (const auto& one : fs::recursive_directory_iterator(root_)) {
      const bool is_folder = one.is_directory() && !one.is_symlink();
      if (is_folder == folders) found.push_back(one.path());
    }
    return found.empty() ? root_ + "/none" : found[pick(found.size())];
  }
  void write(const std::string& path) {
    if (fs::is_symlink(path) || fs::is_directory(path)) return;
    test::spill(path, std::to_string(random_()));
  }
  static void append(const std::string& path) {
    if (fs::is_regular_file(fs::symlink_status(path))) {
      std::ofstream(path, std::ios::app) << "more";
    }
  }
  void make_folder() {
    const std::string path = fresh();
    std::error_code there;
    fs::create_directories(path + "/deep/er", there);
    if (!there) write(path + "/deep/er/f");
  }
  static void rename(const std::string& from, const std::string& to) {
    std::error_code ignored;
    fs::rename(from, to, ignored);
  }
  void move_folder() {
    const std::string from = any_folder();
    if (from != root_) rename(from, fresh());
  }
  void attribute() {
    const std::string value = std::to_string(pick(1000));
    ::setxattr(any().c_str(), "user.x", value.data(), value.size(), 0);
  }
  void remove_folder() {
    const std::string path = any_folder();
    if (path != root_ && pick(2) == 0) fs::remove_all(path);
  }

  const std::string root_;
  std::mt19937 random_;
};

class Feeds : public test::ResticArchive, public testing::WithParamInterface<FeedKind> {
 protected:
  void SetUp() override {
    ResticArchive::SetUp();
    if (IsSkipped()) return;
    fs::create_directories(data_);
    feed_options_.paths = {data_};
  }
  bool arm() {
    auto feed =
        GetParam() == FeedKind::Fanotify ? arm_fanotify(feed_options_) : arm_inotify(feed_options_);
    const bool refused = !feed && feed.error().kind == FailureKind::NotPermitted;
    EXPECT_TRUE(feed || refused) << feed.error().message;
    if (feed) feed_ = std::move(*feed);
    return feed_ != nullptr;
  }
  ChangeNotes drain() {
    ChangeNotes notes;
    feed_->drain(notes);
    return notes;
  }
  ArchiveReport snapshot(const ChangeSet& changes) {
    const BlobIndex index = repository_->load_index().value();
    ArchiveProgress progress;
    options_.now.seconds += 1;
    options_.skip_unchanged = true;
    options_.on_linked = [this](const std::string& path, const Node& node) {
      links_.saw(path, node);
    };
    links_.begin(changes);
    auto report = archive_onto(
        *repository_, {.index = index, .parent = parent_, .changes = &changes}, options_, progress);
    EXPECT_TRUE(report) << report.error().message;
    parent_ = {.id = report->id, .snapshot = report->snapshot};
    read_ = progress.files_new + progress.files_changed;
    looked_at_ = progress.files_new + progress.files_changed + progress.files_unmodified;
    return *report;
  }
  std::string difference(const Node& one, const Node& other) {
    std::string text;
    const BlobIndex index = repository_->load_index().value();
    const auto done = diff_trees(
        *repository_, index, one.subtree.value(), other.subtree.value(), true,
        [&](const Difference& found) { text += letter_of(found.kind) + found.path + "\n"; });
    return done ? text : done.error().message;
  }
  static std::string told(const ChangeSet& changes) {
    std::string text = changes.why();
    changes.for_each(
        [&](const std::string& path, bool deep) { text += "\n" + path + (deep ? "/..." : ""); });
    return text;
  }
  // Until nothing is left to look at again.
  Node follow(ChangeSet changes) {
    for (int i = 0; i < 5; ++i) {
      snapshot(changes);
      changes = links_.finish();
      if (changes.empty()) break;
    }
    EXPECT_TRUE(changes.empty()) << told(changes);
    return of_data(parent_->snapshot.tree);
  }
  Node walk_everything() {
    const BlobIndex index = repository_->load_index().value();
    ArchiveProgress progress;
    ArchiveOptions options = options_;
    options.on_linked = nullptr;
    options.now.seconds += 1;
    auto report =
        archive_onto(*repository_, {.index = index, .parent = std::nullopt}, options, progress);
    EXPECT_TRUE(report && report->problem_count == 0);
    return of_data(report->snapshot.tree);
  }
  // Its metadata and its tree. The folders above change with every other test.
  Node of_data(const Digest& tree) {
    const auto node = find_node(*repository_, repository_->load_index().value(), tree, data_);
    EXPECT_TRUE(node) << node.error().message;
    return node ? *node : Node();
  }
  static ChangeSet everything() {
    ChangeSet changes;
    changes.add_everything("the first");
    return changes;
  }

  FeedOptions feed_options_;
  std::unique_ptr<Feed> feed_;
  LinkBook links_;
  std::optional<Repository::FoundSnapshot> parent_;
  std::uint64_t looked_at_ = 0;
  std::uint64_t read_ = 0;
};

INSTANTIATE_TEST_SUITE_P(Both, Feeds, testing::Values(FeedKind::Fanotify, FeedKind::Inotify),
                         [](const auto& one) { return std::string(to_string(one.param)); });

TEST_P(Feeds, TheSnapshotIsThatOfAFullWalk) {
  const char* const wanted = std::getenv("RECOVER_FEED_TREES");
  const unsigned trees = wanted != nullptr ? static_cast<unsigned>(std::atoi(wanted)) : 6;
  const char* const first = std::getenv("RECOVER_FEED_FIRST");
  const unsigned from = first != nullptr ? static_cast<unsigned>(std::atoi(first)) : 1;
  for (unsigned seed = from; seed < from + trees; ++seed) {
    fs::remove_all(data_);
    fs::create_directories(data_);
    RandomTree tree(data_, seed);
    for (int i = 0; i < 60; ++i) tree.change(true);
    if (!arm()) GTEST_SKIP() << "not permitted here";
    ASSERT_EQ(follow(everything()), walk_everything());
    for (unsigned round = 0; round < 8; ++round) {
      const unsigned count = 1U << (round % 5U);
      for (unsigned i = 0; i < count; ++i) tree.change(i + 1 == count);
      const ChangeNotes notes = drain();
      ASSERT_FALSE(feed_->is_lost() || notes.changes.is_everything()) << notes.changes.why();
      const Node followed = follow(notes.changes);
      const Node walked = walk_everything();
      ASSERT_TRUE(followed == walked) << "seed " << seed << " round " << round << "\n"
                                      << difference(followed, walked) << told(notes.changes);
    }
  }
  EXPECT_TRUE(restic_.run("check --read-data")) << restic_.output;
}

TEST_P(Feeds, OnlyWhatChangedIsLookedAt) {
  for (int i = 0; i < 300; ++i) {
    test::spill(data("d" + std::to_string(i % 10) + "/f" + std::to_string(i)), "old");
  }
  if (!arm()) GTEST_SKIP() << "not permitted here";
  follow(everything());
  test::spill(data("d3/f13"), "new");
  fs::remove(data("d4/f14"));
  const ChangeNotes notes = drain();
  EXPECT_TRUE(notes.is_urgent);
  EXPECT_EQ(notes.changes.size(), 2U);
  follow(notes.changes);
  EXPECT_EQ(looked_at_, 1U);
  EXPECT_EQ(of_data(parent_->snapshot.tree), walk_everything());
  EXPECT_TRUE(drain().changes.empty()) << "a backup changes nothing";
}

TEST_P(Feeds, WhatIsNamedIsReadWhateverItsTimesSay) {
  for (const char* const name : {"page", "other"}) test::spill(data(name), "old");
  follow(everything());
  ChangeSet named;
  named.add(data("page"), false);
  snapshot(named);
  EXPECT_EQ(read_, 1U);
  EXPECT_EQ(of_data(parent_->snapshot.tree), walk_everything());
}

// Its tree is too long to be held, so it is listed; what is below it is not walked for that.
TEST_P(Feeds, AFolderWithALongTreeIsListedOnly) {
  for (int i = 0; i < 1100; ++i) {
    fs::create_directories(data("long"));
    fs::create_symlink(std::string(4000, 'x'), data("long/l" + std::to_string(i)));
  }
  for (const char* const name : {"page", "other", "below/leaf", "named/leaf"}) {
    test::spill(data("long/" + std::string(name)), "old");
  }
  follow(everything());
  ChangeSet named;
  for (const char* const name : {"page", "named/leaf"}) {
    named.add(data("long/" + std::string(name)), false);
  }
  for (const bool giant : {false, true}) {
    if (giant) options_.giant_entries = 100;
    test::spill(data("long/other"), "new");
    snapshot(named);
    EXPECT_EQ(read_, 3U) << "those that were named whatever their times say";
    EXPECT_EQ(looked_at_, 3U);
    EXPECT_EQ(of_data(parent_->snapshot.tree), walk_everything());
  }
}

TEST_P(Feeds, AFileOpenForLongIsToldAsItIsWritten) {
  test::spill(data("log"), "old");
  test::spill(data("page"), std::string(4096, 'a'));
  if (!arm()) GTEST_SKIP() << "not permitted here";
  const Descriptor log(::open(data("log").c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
  ASSERT_EQ(::write(log.get(), "x", 1), 1);
  EXPECT_NE(drain().changes.find(data("log")), nullptr) << "though it is open still";
  Descriptor page(::open(data("page").c_str(), O_RDWR | O_CLOEXEC));
  void* const mapped = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, page.get(), 0);
  ASSERT_NE(mapped, MAP_FAILED);
  static_cast<char*>(mapped)[7] = 'b';
  page.reset();
  ::munmap(mapped, 4096);
  EXPECT_NE(drain().changes.find(data("page")), nullptr) << "the last close tells";
}

TEST_P(Feeds, WhatIsIgnoredIsNotUrgent) {
  feed_options_.ignored = [this](const std::string& path) {
    return path.starts_with(data("cache"));
  };
  fs::create_directories(data("cache"));
  if (!arm()) GTEST_SKIP() << "not permitted here";
  test::spill(data("cache/x"), "x");
  ChangeNotes notes = drain();
  EXPECT_FALSE(notes.is_urgent);
  test::spill(data("y"), "y");
  EXPECT_TRUE(drain().is_urgent);
}

TEST_P(Feeds, ATreeBelowALinkKeepsItsName) {
  test::spill(folder_ / "real/sub/f", "1");
  fs::create_directory_symlink(folder_ / "real", folder_ / "link");
  feed_options_.paths = {folder_ / "link/sub"};
  if (!arm()) GTEST_SKIP() << "not permitted here";
  test::spill(folder_ / "real/sub/f", "2");
  EXPECT_NE(drain().changes.find(folder_ / "link/sub/f"), nullptr);
}

TEST_P(Feeds, OneFileIsFollowedThoughItIsReplaced) {
  test::spill(data("one"), "1");
  feed_options_.paths = {data("one")};
  if (!arm()) GTEST_SKIP() << "not permitted here";
  test::spill(data("two"), "2");
  EXPECT_FALSE(drain().is_urgent);
  fs::rename(data("two"), data("one"));
  EXPECT_TRUE(drain().is_urgent);
}

TEST_P(Feeds, MoreThanTheQueueHoldsIsEverything) {
  if (!arm()) GTEST_SKIP() << "not permitted here";
  const std::string limit =
      test::slurp(GetParam() == FeedKind::Fanotify ? "/proc/sys/fs/fanotify/max_queued_events"
                                                   : "/proc/sys/fs/inotify/max_queued_events");
  const int count = std::atoi(limit.c_str());
  if (count > 40'000) GTEST_SKIP() << "a queue of " << count;
  for (int i = 0; i <= count + 10; ++i) {
    ::close(::open(data("f" + std::to_string(i)).c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  }
  const ChangeNotes notes = drain();
  EXPECT_TRUE(notes.changes.is_everything());
  EXPECT_NE(notes.changes.why().find("queue"), std::string::npos);
}

TEST(Inotify, MoreFoldersThanMayBeWatchedIsNoFeed) {
  const test::TempFolder folder;
  for (int i = 0; i < 5; ++i) fs::create_directories(folder / std::to_string(i));
  const auto feed = arm_inotify({.paths = {folder.path()}, .watches_max = 3});
  ASSERT_FALSE(feed);
  EXPECT_EQ(feed.error().kind, FailureKind::Full);
}

// Waits for the watch's thread, which has its own time.
bool comes(const ChangeWatch& watch, const std::function<bool(const ChangeWatch::Waiting&)>& what) {
  for (int i = 0; i < 2000; ++i) {
    if (what(watch.waiting())) return true;
    ::usleep(10'000);
  }
  return false;
}

constexpr std::chrono::milliseconds kTestTick{20};

class Watches : public testing::TestWithParam<FeedWish> {
 protected:
  test::TempFolder folder_;
  const std::string data_ = folder_ / "data";
};

INSTANTIATE_TEST_SUITE_P(Both, Watches, testing::Values(FeedWish::Any, FeedWish::Inotify));

TEST_P(Watches, APathThatIsMovedAwayIsEverything) {
  test::spill(data_ + "/f", "1");
  ChangeWatch watch({.feed = {.paths = {data_}}, .wish = GetParam(), .tick = kTestTick});
  ASSERT_TRUE(watch.kind()) << watch.trouble();
  fs::rename(data_, folder_ / "other");
  EXPECT_TRUE(comes(watch, [](const auto& waiting) { return waiting.everything; }));
  test::spill(data_ + "/f", "2");
  EXPECT_TRUE(comes(watch, [&](const auto&) { return watch.kind().has_value(); }));
  EXPECT_TRUE(watch.take().changes.is_everything());
  test::spill(data_ + "/g", "3");
  EXPECT_TRUE(comes(watch, [](const auto& waiting) { return waiting.paths > 0; }));
}

TEST_P(Watches, WhatIsPutBackWaitsAgainSinceThen) {
  fs::create_directories(data_);
  ChangeWatch watch({.feed = {.paths = {data_}}, .wish = GetParam(), .tick = kTestTick});
  test::spill(data_ + "/f", "1");
  ASSERT_TRUE(comes(watch, [](const auto& waiting) { return waiting.oldest.has_value(); }));
  const ChangeWatch::Taken taken = watch.take();
  EXPECT_TRUE(taken.oldest && !watch.waiting().oldest);
  watch.put_back(taken);
  EXPECT_EQ(watch.waiting().oldest, taken.oldest);
  EXPECT_NE(watch.take().changes.find(data_ + "/f"), nullptr);
}

}  // namespace
}  // namespace recover::backup
