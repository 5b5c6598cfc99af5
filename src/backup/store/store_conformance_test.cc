// What every store promises, asked of each of them: a folder, an SFTP server, an S3 server, each of
// them bare, and mirrors and steady stores around them.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <set>
#include <thread>

#include "backup/store/mirror/mirror_store.h"
#include "backup/store/steady_store.h"
#include "backup/store/store.h"
#include "test/backup/stores.h"

namespace recover::backup {
namespace {

// One place where stores are opened; each opening sees the same files.
class Place {
 public:
  Place() = default;
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  virtual ~Place() = default;
  // Why not; empty: it is ready.
  virtual std::string start() { return {}; }
  virtual std::unique_ptr<Store> open() = 0;
};

class FolderPlace : public Place {
 public:
  std::unique_ptr<Store> open() override { return std::make_unique<LocalStore>(folder_ / "repo"); }

 private:
  test::TempFolder folder_{test::TempFolder::memory()};
};

class SftpPlace : public Place {
 public:
  std::string start() override {
    return test::has_sftp_server() ? "" : "openssh-sftp-server is not installed";
  }
  std::unique_ptr<Store> open() override {
    return std::make_unique<sftp::SftpStore>(test::sftp_options(folder_ / "repo"));
  }

 private:
  test::TempFolder folder_{test::TempFolder::memory()};
};

class S3Place : public Place {
 public:
  std::string start() override {
    if (!test::S3Server::is_installed()) return test::S3Server::kMissing;
    return server_.start() ? "" : "the S3 server does not start";
  }
  std::unique_ptr<Store> open() override { return std::make_unique<s3::S3Store>(options()); }

 protected:
  s3::S3Options options() const {
    s3::S3Options wish = server_.options("some/where");
    wish.page_keys = 50;
    return wish;
  }

 private:
  test::S3Server server_;
};

// A large file goes in parts: five of the smallest size that S3 takes, and a rest.
class S3PartsPlace : public S3Place {
 public:
  std::unique_ptr<Store> open() override {
    auto wish = options();
    wish.part_bytes = 5U << 20U;
    return std::make_unique<s3::S3Store>(std::move(wish));
  }
};

class SteadyPlace : public Place {
 public:
  std::unique_ptr<Store> open() override { return std::make_unique<SteadyStore>(inner_.open()); }

 private:
  FolderPlace inner_;
};

class MirrorPlace : public Place {
 public:
  std::unique_ptr<Store> open() override {
    std::vector<MirrorMember> members;
    for (const char* const name : {"primary", "secondary"}) {
      members.push_back({.name = name, .store = std::make_unique<LocalStore>(folder_ / name)});
    }
    auto mirror = std::make_unique<MirrorStore>(
        std::move(members), MirrorOptions{.name = "two", .state_path = folder_ / "state"});
    const CatchUpReport report = mirror->catch_up({});
    EXPECT_TRUE(report.problems.empty()) << report.problems.front();
    return mirror;
  }

 private:
  test::TempFolder folder_{test::TempFolder::memory()};
};

struct Kind {
  std::string name;
  std::function<std::unique_ptr<Place>()> make;
};

void PrintTo(const Kind& kind, std::ostream* out) {
  *out << kind.name;
}

class StoreConformance : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    place_ = GetParam().make();
    if (const std::string missing = place_->start(); !missing.empty()) GTEST_SKIP() << missing;
    store_ = place_->open();
    const auto prepared = store_->prepare();
    ASSERT_TRUE(prepared) << prepared.error().message;
  }

  std::unique_ptr<Place> place_;
  std::unique_ptr<Store> store_;
};

Bytes conformance_noise(std::size_t size, std::uint64_t seed = 0) {
  Bytes bytes;
  for (std::uint64_t i = 0; bytes.size() < size; ++i) {
    append(bytes, sha256(view_of(std::to_string(seed) + "," + std::to_string(i))).bytes);
  }
  bytes.resize(size);
  return bytes;
}

FileName name_of(FileKind kind, View bytes) {
  return {.kind = kind, .id = sha256(bytes)};
}

constexpr FileKind kKinds[] = {FileKind::Key, FileKind::Lock, FileKind::Index, FileKind::Snapshot,
                               FileKind::Pack};

std::map<std::string, std::uint64_t> listed(Store& store, FileKind kind) {
  const auto files = store.list(kind);
  EXPECT_TRUE(files) << files.error().message;
  std::map<std::string, std::uint64_t> names;
  if (!files) return names;
  for (const StoredFile& file : *files) names[hex(file.id)] = file.bytes;
  EXPECT_EQ(names.size(), files->size()) << "a name twice";
  return names;
}

template <class T>
FailureKind kind_of(const Outcome<T>& result) {
  EXPECT_FALSE(result);
  if (result) return FailureKind::Invalid;
  EXPECT_FALSE(result.error().message.empty());
  return result.error().kind;
}

TEST_P(StoreConformance, KeepsFilesOfEveryKindApart) {
  const Bytes bytes = conformance_noise(1000);
  std::unique_ptr<Store> other = place_->open();
  for (const FileKind kind : kKinds) {
    const FileName name = name_of(kind, bytes);
    EXPECT_EQ(kind_of(store_->read(name)), FailureKind::NotFound);
    EXPECT_EQ(kind_of(store_->size(name)), FailureKind::NotFound);
    EXPECT_EQ(kind_of(store_->remove(name)), FailureKind::NotFound);
    EXPECT_TRUE(listed(*store_, kind).empty());
    const auto written = store_->write(name, bytes);
    ASSERT_TRUE(written) << written.error().message;
    EXPECT_EQ(other->read(name).value_or(Bytes()), bytes) << "another client sees it at once";
    EXPECT_EQ(store_->size(name).value_or(0), bytes.size());
    EXPECT_EQ(listed(*other, kind), (std::map<std::string, std::uint64_t>{{hex(name.id), 1000}}));
  }
  const FileName config;
  EXPECT_EQ(kind_of(store_->read(config)), FailureKind::NotFound);
  EXPECT_TRUE(store_->write(config, bytes));
  EXPECT_EQ(other->read(config).value_or(Bytes()), bytes);
  ASSERT_TRUE(store_->prepare()) << "repeating it changes nothing";
  for (const FileKind kind : kKinds) {
    const FileName name = name_of(kind, bytes);
    EXPECT_TRUE(store_->remove(name));
    EXPECT_EQ(kind_of(other->read(name)), FailureKind::NotFound);
    EXPECT_TRUE(listed(*other, kind).empty());
  }
}

TEST_P(StoreConformance, WhatIsStagedIsThereOnceItIsFinished) {
  for (const FileKind kind : {FileKind::Pack, FileKind::Index}) {
    const Bytes bytes = conformance_noise(100'000, static_cast<std::uint64_t>(kind));
    const FileName name = name_of(kind, bytes);
    Bytes copy = bytes;
    auto staged = store_->stage(name, copy);
    ASSERT_TRUE(staged) << staged.error().message;
    std::fill(copy.begin(), copy.end(), std::uint8_t{0});  // They are the caller's again.
    if (*staged) {
      EXPECT_TRUE(listed(*store_, kind).empty()) << "a crash would leave half a file";
      const auto finished = (*staged)->finish();
      ASSERT_TRUE(finished) << finished.error().message;
    }
    EXPECT_EQ(store_->read(name).value_or(Bytes()), bytes);
    auto again = store_->stage(name, bytes);
    if (again && *again) {
      EXPECT_FALSE((*again)->finish()) << "there is one already";
    }
    EXPECT_EQ(listed(*store_, kind).size(), 1U);
  }
  const Bytes bytes = conformance_noise(1000);
  if (auto dropped = store_->stage(name_of(FileKind::Snapshot, bytes), bytes);
      dropped && *dropped) {
    dropped->reset();
    EXPECT_TRUE(listed(*store_, FileKind::Snapshot).empty());
  }
}

TEST_P(StoreConformance, ReadsInPlaceWhatItReadsAtAllOrNothing) {
  const Bytes bytes = conformance_noise(5000);
  const FileName name = name_of(FileKind::Pack, bytes);
  Bytes room(1000);
  EXPECT_FALSE(store_->read_in_place(name, 0, room)) << "there is no such file";
  ASSERT_TRUE(store_->write(name, bytes));
  for (int time = 0; time < 2; ++time) {
    if (store_->read_in_place(name, 4000, room)) {
      EXPECT_TRUE(std::equal(room.begin(), room.end(), bytes.begin() + 4000));
    }
    EXPECT_FALSE(store_->read_in_place(name, 4001, room)) << "it is not as long";
  }
  ASSERT_TRUE(store_->remove(name));
  EXPECT_FALSE(store_->read_in_place(name, 0, room));
}

// By its own clock, and never a time that is not true: retention goes by it.
// Piece by piece; what cannot be read to its end leaves nothing.
TEST_P(StoreConformance, WritesWhatIsTooLongToBeHeld) {
  const Bytes bytes = conformance_noise(300'000, 77);
  const FileName name = name_of(FileKind::Pack, bytes);
  bool broken = true;
  const Pieces pieces{.size = bytes.size(), .each = [&](const auto& use) {
                        const View all = bytes;
                        return use(all.first(100'000)) && !broken && use(all.subspan(100'000));
                      }};
  EXPECT_FALSE(store_->write_long(name, pieces));
  EXPECT_EQ(store_->size(name).error().kind, FailureKind::NotFound);
  broken = false;
  ASSERT_TRUE(store_->write_long(name, pieces));
  EXPECT_EQ(store_->read(name).value(), bytes);
  EXPECT_EQ(store_->write_long(name, pieces).error().kind, FailureKind::Exists);
}

TEST_P(StoreConformance, TellsWhenAFileWasWritten) {
  const Bytes bytes = conformance_noise(10);
  ASSERT_TRUE(store_->write(name_of(FileKind::Snapshot, bytes), bytes));
  const auto files = store_->list(FileKind::Snapshot);
  ASSERT_TRUE(files && files->size() == 1);
  constexpr std::int64_t kFar = 3600;
  ASSERT_TRUE(files->front().written);
  EXPECT_LT(std::abs(*files->front().written - static_cast<std::int64_t>(::time(nullptr))), kFar);
}

TEST_P(StoreConformance, WritesOnceAndNeverOver) {
  const Bytes first = conformance_noise(5000);
  for (const FileKind kind : {FileKind::Config, FileKind::Key, FileKind::Pack}) {
    const FileName name = kind == FileKind::Config ? FileName() : name_of(kind, first);
    ASSERT_TRUE(store_->write(name, first));
    EXPECT_EQ(kind_of(store_->write(name, conformance_noise(100, 1))), FailureKind::Exists);
    EXPECT_EQ(kind_of(store_->write(name, first)), FailureKind::Exists);
    EXPECT_EQ(store_->read(name).value_or(Bytes()), first);
  }
}

TEST_P(StoreConformance, GivesAnyPartAndNothingBeyond) {
  const Bytes bytes = conformance_noise(300'001);
  const FileName name = name_of(FileKind::Pack, bytes);
  ASSERT_TRUE(store_->write(name, bytes));
  const auto part = [&](std::uint64_t offset, std::uint64_t length) {
    const auto got = store_->read_part(name, offset, length);
    EXPECT_TRUE(got) << offset << "+" << length << ": " << got.error().message;
    const View expected = View(bytes).subspan(offset, length);
    EXPECT_TRUE(got && std::equal(got->begin(), got->end(), expected.begin(), expected.end()));
  };
  part(0, 1);
  part(0, 300'001);
  part(300'000, 1);
  part(65'535, 131'073);
  part(0, 0);
  part(300'001, 0);
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
  for (const auto& [offset, length] : std::vector<std::pair<std::uint64_t, std::uint64_t>>{
           {0, 300'002}, {300'000, 2}, {300'001, 1}, {1'000'000, 1}, {300'002, 0}}) {
    EXPECT_EQ(kind_of(store_->read_part(name, offset, length)), FailureKind::Damaged) << offset;
  }
  // What a damaged index may say: neither memory nor time is spent on it.
  EXPECT_FALSE(store_->read_part(name, 0, std::uint64_t{1} << 62U));
  EXPECT_FALSE(store_->read_part(name, kMost - 10, 100));
  const FileName none = name_of(FileKind::Pack, conformance_noise(10, 7));
  EXPECT_EQ(kind_of(store_->read_part(none, 0, 1)), FailureKind::NotFound);
}

TEST_P(StoreConformance, KeepsEmptyAndLargeFiles) {
  const Bytes empty;
  const FileName nothing = name_of(FileKind::Lock, empty);
  ASSERT_TRUE(store_->write(nothing, empty));
  EXPECT_EQ(store_->read(nothing).value_or(Bytes(1)), empty);
  EXPECT_EQ(store_->size(nothing).value_or(1), 0U);
  EXPECT_EQ(listed(*store_, FileKind::Lock).size(), 1U);

  const Bytes large = conformance_noise(28U << 20U);
  const FileName name = name_of(FileKind::Pack, large);
  const auto written = store_->write(name, large);
  ASSERT_TRUE(written) << written.error().message;
  EXPECT_TRUE(store_->read(name).value_or(Bytes()) == large);
  const auto end = store_->read_part(name, large.size() - 100, 100);
  ASSERT_TRUE(end);
  EXPECT_TRUE(std::equal(end->begin(), end->end(), large.end() - 100));
  EXPECT_EQ(kind_of(store_->write(name, large)), FailureKind::Exists);
}

// 160 files are more than one answer lists: OpenSSH's has 100, that of S3 has 50 here.
TEST_P(StoreConformance, ListsAllOfMany) {
  std::map<std::string, std::uint64_t> expected;
  std::vector<std::thread> threads;
  std::mutex mutex;
  for (unsigned worker = 0; worker < 4; ++worker) {
    threads.emplace_back([&, worker] {
      for (unsigned i = 0; i < 40; ++i) {
        const Bytes bytes = conformance_noise(i % 50 + 1, worker * 1000 + i);
        const FileName name = name_of(FileKind::Snapshot, bytes);
        const auto written = store_->write(name, bytes);
        const std::lock_guard lock(mutex);
        EXPECT_TRUE(written || written.error().kind == FailureKind::Exists)
            << written.error().message;
        expected[hex(name.id)] = bytes.size();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(listed(*store_, FileKind::Snapshot), expected);
}

// While others write, a list and a read see whole files only, and none that was there goes missing.
TEST_P(StoreConformance, ShowsWholeFilesOnlyWhileOthersWrite) {
  std::set<Digest> before;
  for (unsigned i = 0; i < 20; ++i) {
    const Bytes bytes = conformance_noise(1000, 5000 + i);
    ASSERT_TRUE(store_->write(name_of(FileKind::Pack, bytes), bytes));
    before.insert(sha256(bytes));
  }
  std::atomic<bool> done{false};
  std::vector<std::thread> writers;
  for (unsigned worker = 0; worker < 2; ++worker) {
    writers.emplace_back([&, worker] {
      const std::unique_ptr<Store> own = place_->open();
      for (unsigned i = 0; i < 12; ++i) {
        const Bytes bytes = conformance_noise(700'000, worker * 100 + i);
        const auto written = own->write(name_of(FileKind::Pack, bytes), bytes);
        EXPECT_TRUE(written) << written.error().message;
      }
      done = done || worker == 0;
    });
  }
  while (!done) {
    const auto files = store_->list(FileKind::Pack);
    EXPECT_TRUE(files) << files.error().message;
    if (!files) break;
    std::set<Digest> missing = before;
    for (const StoredFile& file : *files) {
      missing.erase(file.id);
      if (before.contains(file.id)) continue;
      EXPECT_EQ(file.bytes, 700'000U) << "half a file under its name";
      const auto bytes = store_->read({.kind = FileKind::Pack, .id = file.id});
      EXPECT_TRUE(bytes && sha256(*bytes) == file.id);
    }
    EXPECT_TRUE(missing.empty());
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(listed(*store_, FileKind::Pack).size(), 44U);
}

// Of many who write one name at once, one has written it.
TEST_P(StoreConformance, LetsOneOfManyWriteAName) {
  const Bytes bytes = conformance_noise(200'000);
  const FileName name = name_of(FileKind::Key, bytes);
  std::atomic<unsigned> wrote{0};
  std::atomic<unsigned> came_late{0};
  std::vector<std::thread> writers;
  for (unsigned worker = 0; worker < 4; ++worker) {
    writers.emplace_back([&] {
      const auto written = store_->write(name, bytes);
      if (written) ++wrote;
      const bool late = !written && (written.error().kind == FailureKind::Exists ||
                                     written.error().kind == FailureKind::Unreachable);
      EXPECT_TRUE(written || late) << written.error().message;
      if (late) ++came_late;
    });
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_GE(wrote, 1U);
  EXPECT_EQ(wrote + came_late, 4U);
  EXPECT_EQ(store_->read(name).value_or(Bytes()), bytes);
  EXPECT_EQ(listed(*store_, FileKind::Key).size(), 1U);
}

TEST_P(StoreConformance, SweepLeavesWhatIsWhole) {
  const Bytes bytes = conformance_noise(100);
  for (const FileKind kind : kKinds) ASSERT_TRUE(store_->write(name_of(kind, bytes), bytes));
  ASSERT_TRUE(store_->write(FileName(), bytes));
  const auto swept = store_->sweep();
  ASSERT_TRUE(swept) << swept.error().message;
  for (const FileKind kind : kKinds) EXPECT_TRUE(store_->size(name_of(kind, bytes)));
  EXPECT_TRUE(store_->size(FileName()));
}

template <class T, class... Arguments>
Kind kind(const std::string& name, Arguments... arguments) {
  return {name, [=] { return std::make_unique<T>(arguments...); }};
}

INSTANTIATE_TEST_SUITE_P(Stores, StoreConformance,
                         testing::Values(kind<FolderPlace>("Folder"), kind<SftpPlace>("Sftp"),
                                         kind<S3Place>("S3"), kind<S3PartsPlace>("S3Parts"),
                                         kind<SteadyPlace>("Steady"), kind<MirrorPlace>("Mirror")),
                         [](const testing::TestParamInfo<Kind>& one) { return one.param.name; });

}  // namespace
}  // namespace recover::backup
