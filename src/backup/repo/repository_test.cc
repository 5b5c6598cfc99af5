// Repositories against the real restic, in both directions, and against damage.
#include "backup/repo/repository.h"

#include <gtest/gtest.h>

#include <set>

#include "backup/chunk/chunker.h"
#include "backup/format/tree.h"
#include "backup/repo/pack_builder.h"
#include "backup/store/local_store.h"
#include "test/restic.h"
#include "test/temp_folder.h"

namespace recover::backup {
namespace {

const base::Secret kPassword("secret");
constexpr ScryptCost kCheap{.n = 1024, .r = 8, .p = 1};

CreateOptions cheap() {
  return {.now = {.seconds = 1'700'000'000}, .user = "root", .host = "here", .cost = kCheap};
}

class Repositories : public testing::Test {
 protected:
  void SetUp() override {
    if (!test::Restic::is_installed()) GTEST_SKIP() << "restic is not installed";
  }
  // Every tree and file below a tree, read and counted; names of files are collected.
  void walk(Repository& repository, const BlobIndex& index, const Digest& tree) {
    const auto text =
        repository.load_blob(index, {.id = tree, .type = BlobType::Tree}, codec(repository));
    ASSERT_TRUE(text) << text.error().message;
    TreeText again;
    ASSERT_TRUE(read_tree(text_of(*text), [&](Node&& node) -> Outcome<void> {
      again.add(node);
      names_.insert(node.name);
      std::string content;
      for (const Digest& id : node.content) {
        const auto data =
            repository.load_blob(index, {.id = id, .type = BlobType::Data}, codec(repository));
        if (!data) return Unexpected(data.error());
        content += text_of(*data);
      }
      if (node.type == NodeType::File) contents_[node.name] = content;
      if (node.subtree) walk(repository, index, *node.subtree);
      return {};
    }));
    EXPECT_EQ(again.finish(), text_of(*text)) << "the text of a tree is reproduced byte for byte";
  }
  BlobCodec& codec(const Repository& repository) {
    if (!codec_) codec_.emplace(repository.key(), kDefaultLevel);
    return *codec_;
  }

  test::TempFolder folder_{test::TempFolder::memory()};
  test::Restic restic_{folder_};
  LocalStore store_{restic_.repository};
  std::optional<BlobCodec> codec_;
  std::set<std::string> names_;
  std::map<std::string, std::string> contents_;
};

std::string noise(std::size_t size) {
  std::string bytes;
  for (std::uint64_t i = 0; bytes.size() < size; ++i) {
    bytes += text_of(sha256(view_of(std::to_string(i))).bytes);
  }
  bytes.resize(size);
  return bytes;
}

TEST_F(Repositories, ReadsWhatResticWrote) {
  const std::string odd =
      "quote\" back\\ line\n tab\t bell\a byte\xff nbsp\xc2\xa0 emoji\xf0\x9f\x98\x80 <&>";
  test::spill(folder_ / "data/text", "hello\n");
  test::spill(folder_ / "data/empty", "");
  test::spill(folder_ / ("data/deep/er/" + odd), "odd");
  test::spill(folder_ / "data/large", noise(20U << 20U));
  std::filesystem::create_symlink("to \xe2\x80\xa8 where", folder_ / "data/link");
  std::filesystem::create_hard_link(folder_ / "data/text", folder_ / "data/text2");
  ASSERT_TRUE(restic_.run("init") && restic_.run("backup '" + folder_ / "data" + "'"))
      << restic_.output;

  auto repository = Repository::open(store_, kPassword);
  ASSERT_TRUE(repository) << repository.error().message;
  const auto snapshot = repository->find_snapshot("latest");
  ASSERT_TRUE(snapshot);
  EXPECT_EQ(snapshot->snapshot.paths, std::vector<std::string>{folder_ / "data"});
  const auto index = repository->load_index();
  ASSERT_TRUE(index);
  walk(*repository, *index, snapshot->snapshot.tree);
  EXPECT_TRUE(names_.contains(odd));
  EXPECT_EQ(contents_["large"], noise(20U << 20U));
  EXPECT_EQ(contents_["text2"], "hello\n");

  // The same cuts, or the two would not share a byte of a large file.
  const Chunker chunker(repository->config().polynomial);
  const std::string large = contents_["large"];
  View rest = view_of(large);
  while (!rest.empty()) {
    const View chunk = rest.first(chunker.cut(rest));
    EXPECT_TRUE(index->contains({.id = sha256(chunk), .type = BlobType::Data}));
    rest = rest.subspan(chunk.size());
  }
}

// One folder with one file, written blob by blob.
void write_by_hand(const Repository& repository, const std::string& content, std::int64_t time) {
  BlobCodec codec(repository.key(), kDefaultLevel);
  IndexText index;
  const auto store_blob = [&](BlobType type, std::string_view plain) {
    const Digest id = sha256(view_of(plain));
    PackBuilder builder;
    EXPECT_TRUE(builder.add(codec, type, id, view_of(plain)));
    FinishedPack pack = builder.finish(codec.cipher());
    EXPECT_EQ(pack.bytes.size(), pack_bytes(pack.index.blobs));
    EXPECT_TRUE(
        repository.store().write({.kind = FileKind::Pack, .id = pack.index.id}, pack.bytes));
    index.add(pack.index);
    return id;
  };
  Node file{.name = "a \"file\"\x01\xff", .type = NodeType::File, .mode = 04755};
  file.size = content.size();
  file.content = {store_blob(BlobType::Data, content)};
  TreeText tree;
  tree.add(file);
  const Snapshot snapshot{.time = {.seconds = time},
                          .parent = std::nullopt,
                          .tree = store_blob(BlobType::Tree, tree.finish()),
                          .paths = {"/hand"},
                          .host = "here",
                          .user = "root"};
  EXPECT_TRUE(repository.save(FileKind::Index, index.finish()));
  EXPECT_TRUE(repository.save(FileKind::Snapshot, text_of(snapshot)));
}

TEST_F(Repositories, ResticReadsWhatWeWrote) {
  const auto repository = Repository::create(store_, kPassword, cheap());
  ASSERT_TRUE(repository) << repository.error().message;
  for (const std::string& content :
       {std::string("text ") + std::string(5000, 'x'), noise(1U << 20U)}) {
    write_by_hand(*repository, content, static_cast<std::int64_t>(content.size()));
    ASSERT_TRUE(restic_.run("check --read-data")) << restic_.output;
    std::filesystem::remove_all(folder_ / "out");
    ASSERT_TRUE(restic_.run("restore latest --target '" + folder_ / "out" + "'")) << restic_.output;
    EXPECT_TRUE(test::slurp(folder_ / "out/a \"file\"\x01\xff") == content);
  }
}

TEST_F(Repositories, KeysOfEitherSideOpen) {
  const auto repository = Repository::create(store_, kPassword, cheap());
  ASSERT_TRUE(repository);
  ASSERT_TRUE(Repository::add_key(store_, repository->key(), base::Secret("other"), cheap()));
  EXPECT_TRUE(Repository::open(store_, base::Secret("other")));
  EXPECT_TRUE(Repository::open(store_, kPassword));
  EXPECT_EQ(Repository::open(store_, base::Secret("third")).error().kind,
            FailureKind::WrongPassword);
  test::spill(folder_ / "new-password", "fourth");
  ASSERT_TRUE(restic_.run("key add --new-password-file '" + folder_ / "new-password" + "'"))
      << restic_.output;
  EXPECT_TRUE(Repository::open(store_, base::Secret("fourth")));
}

TEST_F(Repositories, ReadsVersionOne) {
  test::spill(folder_ / "data/text", "hello\n");
  ASSERT_TRUE(restic_.run("init --repository-version 1")) << restic_.output;
  ASSERT_TRUE(restic_.run("backup '" + folder_ / "data" + "'")) << restic_.output;
  auto repository = Repository::open(store_, kPassword);
  ASSERT_TRUE(repository) << repository.error().message;
  const auto snapshot = repository->find_snapshot("latest");
  const auto index = repository->load_index();
  ASSERT_TRUE(snapshot && index);
  walk(*repository, *index, snapshot->snapshot.tree);
  EXPECT_EQ(contents_["text"], "hello\n");
}

TEST(Repository, IsNotMadeOverAnother) {
  const test::TempFolder folder;
  LocalStore store(folder / "repo");
  EXPECT_EQ(Repository::open(store, kPassword).error().kind, FailureKind::NotFound);
  ASSERT_TRUE(Repository::create(store, kPassword, cheap()));
  EXPECT_EQ(Repository::create(store, kPassword, cheap()).error().kind, FailureKind::Exists);
  ASSERT_TRUE(store.remove(FileName()));
  EXPECT_EQ(Repository::create(store, kPassword, cheap()).error().kind, FailureKind::Exists)
      << "its keys are still there";
}

TEST(Repository, FindsSnapshotsByTheirBeginning) {
  const test::TempFolder folder;
  LocalStore store(folder / "repo");
  const auto repository = Repository::create(store, kPassword, cheap());
  EXPECT_EQ(repository->find_snapshot("latest").error().kind, FailureKind::NotFound);
  Snapshot snapshot{.time = {.seconds = 5}, .parent = std::nullopt, .tree = {}, .paths = {"/a"}};
  const auto older = repository->save(FileKind::Snapshot, text_of(snapshot));
  snapshot.time.seconds = 6;
  const auto newer = repository->save(FileKind::Snapshot, text_of(snapshot));
  ASSERT_TRUE(older && newer);
  EXPECT_EQ(repository->find_snapshot("latest")->id, *newer);
  EXPECT_EQ(repository->find_snapshot(hex(*older).substr(0, 10))->id, *older);
  EXPECT_EQ(repository->find_snapshot("").error().kind, FailureKind::NotFound);
  EXPECT_EQ(repository->find_snapshot("xyz").error().kind, FailureKind::NotFound);
}

}  // namespace
}  // namespace recover::backup
