// Mirrors that lose members, get them back, and are killed between two of them.
#include "backup/store/mirror/mirror_store.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <future>
#include <thread>

#include "backup/store/append_only_store.h"
#include "backup/store/local_store.h"
#include "test/backup/cycle.h"
#include "test/backup/faulty_store.h"

namespace recover::backup {
namespace {

// A folder that can be unplugged: then nothing answers. A file on a bad sector is not read any more
// until it is written anew.
class Unplugged final : public Store {
 public:
  Unplugged(std::string folder, const bool& out, std::optional<FileName>& unread)
      : inner_(std::move(folder)), out_(out), unread_(unread) {}

  std::string location() const override { return inner_.location(); }
  Outcome<void> prepare() override { return out_ ? gone() : inner_.prepare(); }
  Outcome<Bytes> read(const FileName& name) override {
    if (unread_ == name) return fail(FailureKind::Io, "bad sector");
    return out_ ? Outcome<Bytes>(gone()) : inner_.read(name);
  }
  Outcome<Bytes> read_part(const FileName& name, std::uint64_t offset,
                           std::uint64_t length) override {
    return out_ ? Outcome<Bytes>(gone()) : inner_.read_part(name, offset, length);
  }
  Outcome<std::uint64_t> size(const FileName& name) override {
    return out_ ? Outcome<std::uint64_t>(gone()) : inner_.size(name);
  }
  Outcome<void> write(const FileName& name, View bytes) override {
    return out_ ? gone() : inner_.write(name, bytes);
  }
  Outcome<void> remove(const FileName& name) override {
    if (unread_ == name) unread_.reset();
    return out_ ? gone() : inner_.remove(name);
  }
  Outcome<void> sweep() override { return out_ ? gone() : inner_.sweep(); }
  Outcome<std::vector<StoredFile>> list(FileKind kind) override {
    return out_ ? Outcome<std::vector<StoredFile>>(gone()) : inner_.list(kind);
  }

 private:
  static Unexpected<Failure> gone() { return fail(FailureKind::Unreachable, "unplugged"); }

  LocalStore inner_;
  const bool& out_;
  std::optional<FileName>& unread_;
};

class Mirrors : public testing::Test {
 protected:
  void SetUp() override { test::spill(folder_ / "data/file", std::string(200'000, 'a')); }

  std::unique_ptr<MirrorStore> open(const std::vector<std::string>& names = {"primary",
                                                                             "secondary"}) {
    std::vector<MirrorMember> members;
    for (const std::string& name : names) {
      MirrorMember member{
          .name = name,
          .store = std::make_unique<Unplugged>(folder_ / name, out_[name], unread_[name])};
      if (name == "emergency") member.writes = MirrorMember::Writes::Later;
      if (name == "tertiary") {
        member.store = std::make_unique<AppendOnlyStore>(std::move(member.store));
        member.append_only = true;
      }
      members.push_back(std::move(member));
    }
    return std::make_unique<MirrorStore>(
        std::move(members), MirrorOptions{.name = "test", .state_path = folder_ / "state"});
  }
  // Alone, as restic would open it: sound, with so many snapshots.
  void expect_sound(const std::string& name, std::size_t snapshots) {
    LocalStore store(folder_ / name);
    auto repository = Repository::open(store, test::kCyclePassword);
    ASSERT_TRUE(repository) << name << ": " << repository.error().message;
    EXPECT_EQ(test::check_all(*repository), "") << name;
    EXPECT_EQ(repository->snapshots()->size(), snapshots) << name;
  }
  void back_up(Store& store, const std::string& content) {
    test::spill(folder_ / "data/file", content);
    auto repository = Repository::open(store, test::kCyclePassword);
    ASSERT_TRUE(repository) << repository.error().message;
    const auto report = test::back_up(*repository, folder_ / "data", ++time_);
    ASSERT_TRUE(report) << report.error().message;
  }
  void catch_up(MirrorStore& mirror) {
    const CatchUpReport report = mirror.catch_up({});
    EXPECT_TRUE(report.problems.empty()) << report.problems.front();
  }

  test::TempFolder folder_{test::TempFolder::memory()};
  std::map<std::string, bool> out_;
  std::map<std::string, std::optional<FileName>> unread_;
  std::int64_t time_ = 1'700'000'000;
};

TEST_F(Mirrors, AreEachARepositoryOfItsOwn) {
  const auto mirror = open({"primary", "secondary", "tertiary", "emergency"});
  catch_up(*mirror);
  ASSERT_TRUE(test::make_repository(*mirror));
  back_up(*mirror, std::string(300'000, 'b'));
  for (const char* const name : {"primary", "secondary", "tertiary"}) expect_sound(name, 1);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "emergency/config")) << "that is copied later";
  catch_up(*mirror);
  expect_sound("emergency", 1);
}

TEST_F(Mirrors, LoseAMemberCarryOnAndBringItUpToDate) {
  auto mirror = open();
  catch_up(*mirror);
  ASSERT_TRUE(test::make_repository(*mirror));
  back_up(*mirror, std::string(300'000, 'b'));
  out_["secondary"] = true;
  back_up(*mirror, std::string(300'000, 'c'));
  EXPECT_TRUE(mirror->status()[1].behind);
  EXPECT_EQ(mirror->status()[1].why, "unplugged");
  out_["secondary"] = false;
  back_up(*mirror, std::string(300'000, 'd'));
  expect_sound("secondary", 1);  // It missed one, so it got none of the later ones either.
  mirror = open();               // Another process knows it, too.
  EXPECT_TRUE(mirror->status()[1].behind);
  catch_up(*mirror);
  EXPECT_FALSE(mirror->status()[1].behind);
  expect_sound("primary", 3);
  expect_sound("secondary", 3);
}

TEST_F(Mirrors, AreReadFromTheFirstThatIsHealthy) {
  const auto mirror = open();
  catch_up(*mirror);
  ASSERT_TRUE(test::make_repository(*mirror));
  back_up(*mirror, std::string(300'000, 'b'));
  out_["primary"] = true;
  auto repository = Repository::open(*mirror, test::kCyclePassword);
  ASSERT_TRUE(repository) << repository.error().message;
  EXPECT_EQ(test::check_all(*repository), "");
  // Written while the primary is away: it is the one that is behind now.
  back_up(*mirror, std::string(300'000, 'c'));
  out_["primary"] = false;
  EXPECT_TRUE(mirror->status()[0].behind);
  EXPECT_EQ(Repository::open(*mirror, test::kCyclePassword)->snapshots()->size(), 2U)
      << "not from the one that lacks something";
  catch_up(*mirror);
  expect_sound("primary", 2);
}

TEST_F(Mirrors, TakeAFileThatOneMemberHasDamagedFromAnother) {
  const auto mirror = open();
  catch_up(*mirror);
  const Bytes bytes(1000, 5);
  const FileName name{.kind = FileKind::Snapshot, .id = sha256(bytes)};
  ASSERT_TRUE(mirror->prepare());
  ASSERT_TRUE(mirror->write(name, bytes));
  const std::string path = folder_ / ("primary/snapshots/" + hex(name.id));
  std::filesystem::remove(path);
  test::spill(path, std::string(1000, 'x'));
  EXPECT_EQ(mirror->read(name).value_or(Bytes()), bytes);
  std::filesystem::remove(path);
  EXPECT_EQ(mirror->read(name).value_or(Bytes()), bytes);
  EXPECT_EQ(mirror->read_part(name, 10, 20).value_or(Bytes()), Bytes(20, 5));
}

// Bit rot in the middle of a pack is seen by who opens what is in it: another member has it right.
TEST_F(Mirrors, RestoreWhatHasRottedInTheFirstMember) {
  const auto mirror = open();
  catch_up(*mirror);
  ASSERT_TRUE(test::make_repository(*mirror));
  back_up(*mirror, std::string(300'000, 'b'));
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(folder_ / "primary/data")) {
    if (!entry.is_regular_file()) continue;
    std::string bytes = test::slurp(entry.path());
    for (std::size_t i = 0; i < bytes.size(); i += 50) bytes[i] = static_cast<char>(~bytes[i]);
    std::filesystem::remove(entry.path());
    test::spill(entry.path(), bytes);
  }
  auto repository = Repository::open(*mirror, test::kCyclePassword);
  ASSERT_TRUE(repository);
  const auto index = repository->load_index();
  const auto snapshot = repository->find_snapshot("latest");
  ASSERT_TRUE(index && snapshot);
  BlobCodec codec(repository->key(), kDefaultLevel);
  const BlobKey tree{.id = snapshot->snapshot.tree, .type = BlobType::Tree};
  EXPECT_TRUE(repository->load_blob(*index, tree, codec));
  out_["secondary"] = true;
  EXPECT_FALSE(repository->load_blob(*index, tree, codec)) << "rotten in the only one left";
}

TEST_F(Mirrors, RemoveLaterWhatAMemberMissed) {
  const auto mirror = open({"primary", "secondary", "tertiary"});
  catch_up(*mirror);
  ASSERT_TRUE(mirror->prepare());
  const Bytes bytes(1000, 5);
  const FileName name{.kind = FileKind::Pack, .id = sha256(bytes)};
  ASSERT_TRUE(mirror->write(name, bytes));
  out_["secondary"] = true;
  ASSERT_TRUE(mirror->remove(name));
  out_["secondary"] = false;
  LocalStore secondary(folder_ / "secondary");
  EXPECT_TRUE(secondary.size(name));
  catch_up(*mirror);
  EXPECT_FALSE(secondary.size(name));
  EXPECT_TRUE(LocalStore(folder_ / "tertiary").size(name)) << "that one gives up nothing";
}

TEST_F(Mirrors, AreNotEmptiedByAnEmptyPrimary) {
  {
    const auto mirror = open();
    catch_up(*mirror);
    ASSERT_TRUE(test::make_repository(*mirror));
    back_up(*mirror, std::string(300'000, 'b'));
  }
  std::filesystem::remove_all(folder_ / "primary");
  auto mirror = open();
  EXPECT_EQ(mirror->catch_up({}).problems.size(), 1U) << "it may not be mounted: nothing is made";
  EXPECT_FALSE(std::filesystem::exists(folder_ / "primary"));
  expect_sound("secondary", 1);
  auto repository = Repository::open(*mirror, test::kCyclePassword);
  ASSERT_TRUE(repository) << "read from the secondary";
  EXPECT_EQ(repository->snapshots()->size(), 1U);
  back_up(*mirror, std::string(300'000, 'c'));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "primary"));
  expect_sound("secondary", 2);
  EXPECT_TRUE(mirror->catch_up({.refill = true}).problems.empty());
  expect_sound("primary", 2);
}

// What a prune does not see it removes.
TEST_F(Mirrors, WhoHasWrittenGoesByNoListOfOneThatLacksSome) {
  auto mirror = open({"primary", "emergency"});
  catch_up(*mirror);
  ASSERT_TRUE(test::make_repository(*mirror));
  back_up(*mirror, std::string(300'000, 'b'));
  catch_up(*mirror);
  back_up(*mirror, std::string(300'000, 'c'));
  out_["primary"] = true;
  EXPECT_FALSE(mirror->list(FileKind::Snapshot));
  mirror = open({"primary", "emergency"});
  const auto seen = mirror->list(FileKind::Snapshot);
  ASSERT_TRUE(seen) << "to read, what is left is better than nothing";
  EXPECT_EQ(seen->size(), 1U);
}

TEST_F(Mirrors, ADamagedPackOfTheFirstDoesNotCostTheWholeOneOfAnother) {
  {
    const auto mirror = open({"primary", "emergency"});
    catch_up(*mirror);
    ASSERT_TRUE(test::make_repository(*mirror));
    back_up(*mirror, std::string(300'000, 'b'));
    catch_up(*mirror);
  }
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(folder_ / "primary/data")) {
    if (!entry.is_regular_file()) continue;
    std::filesystem::permissions(entry.path(), std::filesystem::perms::owner_all);
    std::filesystem::resize_file(entry.path(), entry.file_size() - 50);
  }
  (void)open({"primary", "emergency"})->catch_up({});
  expect_sound("emergency", 1);
}

TEST_F(Mirrors, AreReadFromALaterMemberWhenTheFirstIsGone) {
  {
    const auto mirror = open({"primary", "emergency"});
    catch_up(*mirror);
    ASSERT_TRUE(test::make_repository(*mirror));
    back_up(*mirror, std::string(300'000, 'b'));
    catch_up(*mirror);
  }
  std::filesystem::remove_all(folder_ / "primary");
  const auto mirror = open({"primary", "emergency"});
  auto repository = Repository::open(*mirror, test::kCyclePassword);
  ASSERT_TRUE(repository) << repository.error().message;
  EXPECT_EQ(repository->snapshots()->size(), 1U);
  EXPECT_EQ(test::check_all(*repository), "");
}

// One that was a repository before it was a member, and whose disk is not mounted the next time.
TEST_F(Mirrors, DoNotFillAMemberThatHeldARepositoryBefore) {
  {
    LocalStore before(folder_ / "primary");
    ASSERT_TRUE(test::make_repository(before));
    const auto mirror = open();
    catch_up(*mirror);
    expect_sound("secondary", 0);
  }
  std::filesystem::rename(folder_ / "primary", folder_ / "elsewhere");
  std::filesystem::create_directory(folder_ / "primary");
  EXPECT_EQ(open()->catch_up({}).problems.size(), 1U);
  EXPECT_TRUE(std::filesystem::is_empty(folder_ / "primary"));
}

// Two threads were given the same damaged bytes; the second to complain means the same member.
TEST_F(Mirrors, BlameWhoGaveTheDamagedBytes) {
  const auto mirror = open();
  catch_up(*mirror);
  ASSERT_TRUE(test::make_repository(*mirror));
  const Bytes bytes(1000, 5);
  const FileName name{.kind = FileKind::Pack, .id = sha256(bytes)};
  ASSERT_TRUE(mirror->write(name, bytes));
  const std::string path =
      folder_ / ("primary/data/" + hex(name.id).substr(0, 2) + "/" + hex(name.id));
  std::filesystem::remove(path);
  test::spill(path, std::string(1000, 'x'));
  std::promise<void> read_by_both;
  std::promise<void> blamed_by_one;
  std::thread other([&] {
    EXPECT_TRUE(mirror->read_part(name, 0, 1000));
    read_by_both.set_value();
    blamed_by_one.get_future().wait();
    EXPECT_TRUE(mirror->distrust(name));
  });
  EXPECT_TRUE(mirror->read_part(name, 0, 1000));
  read_by_both.get_future().wait();
  EXPECT_TRUE(mirror->distrust(name));
  blamed_by_one.set_value();
  other.join();
  EXPECT_EQ(mirror->read_part(name, 0, 1000).value_or(Bytes()), bytes);
}

// The state lost with the disk that had it, and the primary with it.
TEST_F(Mirrors, ReadFromWhoeverHasTheRepositoryWhenNothingIsKnown) {
  {
    const auto mirror = open();
    catch_up(*mirror);
    ASSERT_TRUE(test::make_repository(*mirror));
    back_up(*mirror, std::string(300'000, 'b'));
  }
  std::filesystem::remove_all(folder_ / "primary");
  std::filesystem::remove(folder_ / "state");
  const auto mirror = open();
  auto repository = Repository::open(*mirror, test::kCyclePassword);
  ASSERT_TRUE(repository) << repository.error().message;
  EXPECT_EQ(repository->snapshots()->size(), 1U);
  EXPECT_EQ(test::check_all(*repository), "");
  catch_up(*mirror);
  expect_sound("primary", 1);
}

TEST_F(Mirrors, MixNoTwoRepositories) {
  for (const char* const name : {"primary", "secondary"}) {
    LocalStore store(folder_ / name);
    ASSERT_TRUE(test::make_repository(store));
  }
  const auto mirror = open();
  const CatchUpReport report = mirror->catch_up({});
  EXPECT_EQ(report.files, 0U);
  ASSERT_EQ(report.problems.size(), 1U);
  EXPECT_NE(report.problems[0].find("another repository"), std::string::npos);
}

TEST_F(Mirrors, CopyNoDamage) {
  auto mirror = open();
  catch_up(*mirror);
  ASSERT_TRUE(mirror->prepare());
  out_["secondary"] = true;
  const Bytes bytes(1000, 5);
  const FileName name{.kind = FileKind::Pack, .id = sha256(bytes)};
  ASSERT_TRUE(mirror->write(name, bytes));
  out_["secondary"] = false;
  const std::string id = hex(name.id);
  const std::string path = folder_ / ("primary/data/" + id.substr(0, 2) + "/" + id);
  std::filesystem::remove(path);
  test::spill(path, std::string(1000, 'x'));
  EXPECT_EQ(mirror->catch_up({}).problems.size(), 1U);
  EXPECT_FALSE(LocalStore(folder_ / "secondary").size(name));
}

TEST_F(Mirrors, StopToCatchUpInTimeAndGoOnLater) {
  {
    const auto alone = open({"primary"});
    ASSERT_TRUE(test::make_repository(*alone));
    back_up(*alone, std::string(300'000, 'b'));
  }
  const auto mirror = open();
  const CatchUpReport late =
      mirror->catch_up({.until = std::chrono::steady_clock::time_point::min()});
  EXPECT_EQ(late.problems.size(), 1U);
  EXPECT_EQ(late.files, 0U);
  std::stop_source stop;
  stop.request_stop();
  const CatchUpReport stopped = mirror->catch_up({.stop = stop.get_token()});
  ASSERT_EQ(stopped.problems.size(), 1U);
  EXPECT_EQ(stopped.problems.front(), "secondary: it was stopped");
  EXPECT_TRUE(mirror->status()[1].behind);
  catch_up(*mirror);
  expect_sound("secondary", 1);
}

TEST_F(Mirrors, OpenByTheConfigThatIsWholeAndMendTheOther) {
  {
    const auto mirror = open();
    catch_up(*mirror);
    ASSERT_TRUE(test::make_repository(*mirror));
    back_up(*mirror, std::string(300'000, 'b'));
  }
  std::string rotten = test::slurp(folder_ / "primary/config");
  rotten[20] = static_cast<char>(rotten[20] ^ 1);
  std::filesystem::remove(folder_ / "primary/config");
  test::spill(folder_ / "primary/config", rotten);
  const auto mirror = open({"primary", "secondary", "emergency"});
  const auto repository = Repository::open(*mirror, test::kCyclePassword);
  ASSERT_TRUE(repository) << repository.error().message;
  catch_up(*mirror);
  expect_sound("emergency", 1);
  ScrubProgress progress;
  const std::vector<MemberScrub> found = mirror->scrub(
      {.is_config = [&](View sealed) { return repository->is_own_config(sealed); }}, progress);
  EXPECT_EQ(found[0].mended_files, std::vector<std::string>{"config is damaged"});
  EXPECT_EQ(found[1].mended + found[2].mended, 0U);
  expect_sound("primary", 1);
}

TEST_F(Mirrors, AScrubTellsWhoDoesNotAnswerAndMendsWhatADiskLost) {
  const auto mirror = open({"primary", "secondary", "tertiary"});
  catch_up(*mirror);
  ASSERT_TRUE(test::make_repository(*mirror));
  back_up(*mirror, std::string(300'000, 'b'));
  LocalStore primary(folder_ / "primary");
  unread_["primary"] =
      FileName{.kind = FileKind::Pack, .id = primary.list(FileKind::Pack)->front().id};
  out_["secondary"] = true;
  ScrubProgress progress;
  const std::vector<MemberScrub> found = mirror->scrub({}, progress);
  EXPECT_EQ(found[0].mended, 1U);
  EXPECT_EQ(found[0].wrong + found[1].wrong + found[2].wrong, 0U);
  EXPECT_EQ(found[1].problems, std::vector<std::string>{"unplugged"});
  expect_sound("primary", 1);
}

// One that protects continuously writes for as long as it lives.
TEST_F(Mirrors, AreNotFalselyLateWhileSomebodyWritesForever) {
  const std::vector<std::string> kNames = {"primary", "secondary", "emergency"};
  const auto mirror = open(kNames);
  catch_up(*mirror);
  ASSERT_TRUE(test::make_repository(*mirror));
  const auto protector = open(kNames);
  back_up(*protector, std::string(300'000, 'b'));
  MirrorState state(folder_ / "state");
  ASSERT_TRUE(state.change([](MirrorRecord& all) { all.members["emergency"].since = 1000; }));
  catch_up(*mirror);
  expect_sound("emergency", 1);
  EXPECT_GT(state.load().members["emergency"].since, 1000) << "it has what there was just now";
  out_["secondary"] = true;
  back_up(*mirror, std::string(300'000, 'c'));
  EXPECT_TRUE(protector->status()[1].behind) << "another found out";
  EXPECT_FALSE(protector->status()[0].behind);
}

// Killed anywhere in the middle of a backup: whoever opens the mirror next compares its members,
// and then all are sound and alike.
TEST_F(Mirrors, AreAlikeAgainAfterAKill) {
  {
    const auto mirror = open();
    catch_up(*mirror);
    ASSERT_TRUE(test::make_repository(*mirror));
  }
  for (unsigned round = 0; round < 12; ++round) {
    const pid_t child = ::fork();
    if (child == 0) {
      const auto mirror = open();
      // Fails at call N of the secondary's: as if killed between the two.
      auto repository = Repository::open(*mirror, test::kCyclePassword);
      for (unsigned i = 0; repository; ++i) {
        test::spill(folder_ / "data/file",
                    std::string(100'000 + 1000 * round, static_cast<char>('a' + i % 26)));
        (void)test::back_up(*repository, folder_ / "data", 1'700'000'000 + round * 1000 + i);
      }
      ::_exit(1);
    }
    LocalStore primary(folder_ / "primary");
    const std::size_t before = primary.list(FileKind::Pack)->size();
    while (primary.list(FileKind::Pack)->size() <= before + round) {
    }
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    const auto mirror = open();
    EXPECT_TRUE(mirror->status()[1].behind) << "in doubt";
    catch_up(*mirror);
    const auto snapshots = primary.list(FileKind::Snapshot)->size();
    expect_sound("primary", snapshots);
    LocalStore secondary(folder_ / "secondary");
    EXPECT_GE(secondary.list(FileKind::Snapshot)->size(), snapshots);
    expect_sound("secondary", secondary.list(FileKind::Snapshot)->size());
  }
}

}  // namespace
}  // namespace recover::backup
