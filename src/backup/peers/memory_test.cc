// The wish that memory does not grow with the repository: of every command that looks at all of it.
#include <gtest/gtest.h>

#include "backup/browse/copier.h"
#include "backup/browse/tree_walk.h"
#include "backup/check/checker.h"
#include "backup/check/repair.h"
#include "backup/restore/restorer.h"
#include "backup/retain/shared_prune.h"
#include "backup/store/local_store.h"
#include "test/backup/wide_repository.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define RECOVER_MEMORY_IS_NOT_OURS 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define RECOVER_MEMORY_IS_NOT_OURS 1
#endif

namespace recover::backup {
namespace {

using test::growth_mib;

// Of each command, beyond what the process has when it begins: a few buffers. The sets that a prune
// once had of 100,000 files, and the text and nodes of a folder of 80,000, are twice as much.
constexpr double kGrowthMax = 26;

class MemoryBound : public testing::Test {
 protected:
  void SetUp() override {
#if defined(RECOVER_MEMORY_IS_NOT_OURS)
    GTEST_SKIP() << "a sanitizer has its own memory";
#endif
    repository_.emplace(make(store_, "one"));
  }
  Repository make(Store& store, const std::string& cache) const {
    const CreateOptions options{
        .now = {}, .user = "u", .host = "h", .cost = {.n = 1024, .r = 8, .p = 1}};
    auto made = Repository::create(store, base::Secret("secret"), options);
    made->set_cache_folder(folder_ / cache);
    return std::move(*made);
  }
  void expect_small(const std::string& what, const std::function<bool()>& work) const {
    const auto grown = growth_mib(work);
    ASSERT_TRUE(grown) << what << " failed";
    RecordProperty(what, std::to_string(*grown));
    EXPECT_LT(*grown, kGrowthMax) << what;
  }
  bool walks() const {
    const auto index = repository_->load_index();
    const auto latest = repository_->find_snapshot("latest");
    std::size_t seen = 0;
    return index && latest &&
           walk_tree(*repository_, *index, latest->snapshot.tree,
                     [&](const std::string&, const Node&) -> Outcome<TreeVisit> {
                       ++seen;
                       return TreeVisit::GoOn;
                     }) &&
           seen > 0;
  }
  bool checks(bool read_data) const {
    CheckProgress progress;
    const auto report = check(*repository_, {.read_data = read_data}, progress);
    return report && report->is_sound();
  }

  test::TempFolder folder_{test::TempFolder::memory()};
  LocalStore store_{folder_ / "repo"};
  std::optional<Repository> repository_;
};

TEST_F(MemoryBound, DoesNotGrowWithTheRepository_restic1988_restic1723_restic3844_kopia1308) {
  test::WideRepository wide(*repository_, folder_ / "repo");
  std::vector<Digest> folders;
  constexpr std::uint64_t kFiles = 200;
  for (std::uint64_t i = 0; i < 500; ++i) folders.push_back(wide.add_tree(i * kFiles, kFiles));
  ASSERT_TRUE(wide.finish(folders));
  expect_small("prune", [&] { return prune_beside_others(*repository_, {}).has_value(); });
  expect_small("check", [&] { return checks(false); });
}

TEST_F(MemoryBound, DoesNotGrowWithAFolder_rustic1752) {
  test::WideRepository wide(*repository_, folder_ / "repo");
  const auto giant = wide.add_giant(80'000);  // 26 MiB of text.
  ASSERT_TRUE(giant && wide.finish({*giant}));
  expect_small("check", [&] { return checks(true); });
  expect_small("walk", [&] { return walks(); });
  expect_small("prune", [&] { return prune_beside_others(*repository_, {}).has_value(); });
  expect_small("restore", [&] {
    RestoreProgress progress;
    const auto latest = repository_->find_snapshot("latest");
    return latest && restore(*repository_, latest->snapshot,
                             {.to = folder_ / "out", .dry_run = true}, progress);
  });
  LocalStore second(folder_ / "second");
  const Repository other = make(second, "two");
  expect_small("copy", [&] {
    const auto snapshots = repository_->snapshots();
    return snapshots && copy_snapshots(*repository_, other, *snapshots);
  });
}

}  // namespace
}  // namespace recover::backup
