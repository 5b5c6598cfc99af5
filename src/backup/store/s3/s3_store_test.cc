// The S3 store against OpenStack Swift, a broken wire, a server that dies, and restic.
#include "backup/store/s3/s3_store.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "backup/store/s3/answer.h"
#include "backup/store/steady_store.h"
#include "test/backup/cycle.h"
#include "test/backup/relay.h"
#include "test/backup/stores.h"

namespace recover::backup::s3 {
namespace {

using test::Relay;

// The examples of "Signature Calculations for the Authorization Header" (Amazon S3 API reference).
TEST(S3Signatures, AreThoseOfTheStandard) {
  const Credentials credentials{
      .access_key = "AKIAIOSFODNN7EXAMPLE",
      .secret_key = base::Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")};
  const std::string empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
  const std::string time = "20130524T000000Z";
  const auto signature = [&](SigningInput input) {
    input.headers["host"] = "examplebucket.s3.amazonaws.com";
    input.headers["x-amz-date"] = time;
    input.headers["x-amz-content-sha256"] = std::string(input.body_sha256);
    const std::string all = authorization(credentials, "us-east-1", time, input);
    return all.substr(all.rfind('=') + 1);
  };
  EXPECT_EQ(signature({.method = "GET",
                       .path = "/test.txt",
                       .query = {},
                       .headers = {{"range", "bytes=0-9"}},
                       .body_sha256 = empty}),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
  EXPECT_EQ(signature({.method = "GET",
                       .path = "/",
                       .query = {{"lifecycle", ""}},
                       .headers = {},
                       .body_sha256 = empty}),
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
  EXPECT_EQ(signature({.method = "GET",
                       .path = "/",
                       .query = {{"prefix", "J"}, {"max-keys", "2"}},
                       .headers = {},
                       .body_sha256 = empty}),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
  EXPECT_EQ(signature({.method = "PUT",
                       .path = "/" + percent_encoded("test$file.text", true),
                       .query = {},
                       .headers = {{"date", "Fri, 24 May 2013 00:00:00 GMT"},
                                   {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
                       .body_sha256 =
                           "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"}),
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
}

TEST(S3Locations, AreWrittenAsResticDoes) {
  const auto parsed = [](const char* text) { return Location::parse(text).value_or(Location()); };
  EXPECT_EQ(parsed("s3:https://host:9000/bucket/a/b"),
            (Location{.authority = "host:9000", .bucket = "bucket", .prefix = "a/b"}));
  EXPECT_EQ(parsed("s3:http://127.0.0.1:1/bucket"),
            (Location{.tls = false, .authority = "127.0.0.1:1", .bucket = "bucket", .prefix = ""}));
  EXPECT_EQ(parsed("s3:s3.amazonaws.com/bucket//a/"),
            (Location{.authority = "s3.amazonaws.com", .bucket = "bucket", .prefix = "a"}));
  EXPECT_EQ(parsed("s3://eu.example/bucket").authority, "eu.example");
  for (const char* const bad : {"s3:", "s3:host", "s3:host/", "s3:/bucket", "s3:key:secret@h/b",
                                "s3:http://h/b/../c", "s4:h/b", "s3:h\n/b"}) {
    EXPECT_FALSE(Location::parse(bad)) << bad;
  }
}

TEST(S3Answers, AreReadOrRefused) {
  const auto page = parse_list(
      "<?xml version='1.0'?><ListBucketResult xmlns=\"x\"><Name>b</Name><IsTruncated>true"
      "</IsTruncated><Contents><Key>a&amp;b&#x27;</Key><Size>12</Size></Contents><Contents>"
      "<Key>c</Key><Size>0</Size></Contents><NextContinuationToken>t=</NextContinuationToken>"
      "</ListBucketResult>");
  ASSERT_TRUE(page && page->objects.size() == 2);
  EXPECT_EQ(page->objects[0].key, "a&b'");
  EXPECT_EQ(page->objects[0].bytes, 12U);
  EXPECT_EQ(page->next, "t=");
  for (const char* const bad :
       {"", "<html>busy</html>", "<ListBucketResult>",
        "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
        "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a</Key></Contents>"
        "</ListBucketResult>",
        "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a</Key><Size>-1</Size>"
        "</Contents></ListBucketResult>"}) {
    EXPECT_FALSE(parse_list(bad)) << bad;
  }
  EXPECT_EQ(parse_error("<Error><Code>SlowDown</Code><Message>m</Message></Error>").code,
            "SlowDown");
  EXPECT_EQ(parse_error("no xml").code, "");
}

Bytes s3_noise(std::size_t size) {
  Bytes bytes;
  for (std::uint64_t i = 0; bytes.size() < size; ++i) {
    append(bytes, sha256(view_of("s3" + std::to_string(i))).bytes);
  }
  bytes.resize(size);
  return bytes;
}

FileName s3_pack(View bytes) {
  return {.kind = FileKind::Pack, .id = sha256(bytes)};
}

SteadyOptions quick() {
  SteadyOptions options;
  options.attempts = 8;
  options.first_wait = std::chrono::milliseconds(20);
  options.longest_wait = std::chrono::milliseconds(500);
  return options;
}

class S3Stores : public testing::Test {
 protected:
  void SetUp() override {
    if (!test::S3Server::is_installed()) GTEST_SKIP() << test::S3Server::kMissing;
    ASSERT_TRUE(server_.start());
  }
  std::unique_ptr<Store> through(const std::string& port, const std::string& prefix) {
    auto options = server_.options(prefix);
    options.location.authority = "127.0.0.1:" + port;
    options.part_bytes = 5U << 20U;
    options.http.silence_timeout = std::chrono::seconds(2);
    return std::make_unique<S3Store>(std::move(options));
  }

  test::S3Server server_;
};

TEST_F(S3Stores, SayWhatIsWrongInWordsThatHelp) {
  const auto failure = [&](const std::function<void(S3Options&)>& change) {
    auto options = server_.options("pre");
    change(options);
    S3Store store(std::move(options));
    const auto read = store.list(FileKind::Pack);
    EXPECT_FALSE(read);
    return read ? Failure() : read.error();
  };
  const Failure secret =
      failure([](S3Options& options) { options.credentials.secret_key = base::Secret("wrong"); });
  EXPECT_EQ(secret.kind, FailureKind::NotPermitted);
  EXPECT_NE(secret.message.find("AWS_SECRET_ACCESS_KEY"), std::string::npos) << secret.message;
  EXPECT_EQ(secret.message.find("wrong"), std::string::npos) << "no secrets in messages";
  EXPECT_EQ(failure([](S3Options& options) { options.credentials.access_key = "who"; }).kind,
            FailureKind::NotPermitted);
  EXPECT_EQ(failure([](S3Options& options) { options.location.bucket = "other"; }).kind,
            FailureKind::NotFound);
  EXPECT_EQ(failure([](S3Options& options) { options.location.authority = "127.0.0.1:1"; }).kind,
            FailureKind::Unreachable);
  const Failure distrust = failure([&](S3Options& options) {
    options.location.tls = true;
    options.location.authority = "127.0.0.1:" + server_.https;
    options.http.ca_file.clear();
  });
  EXPECT_EQ(distrust.kind, FailureKind::NotPermitted) << distrust.message;
}

TEST_F(S3Stores, LearnTheRightRegionFromTheServer) {
  auto options = server_.options("pre");
  options.region = "eu-central-1";
  S3Store store(std::move(options));
  const auto listed = store.list(FileKind::Pack);
  EXPECT_TRUE(listed) << listed.error().message;
}

TEST_F(S3Stores, MakeABucketThatIsNotThere) {
  auto options = server_.options("");
  options.location.bucket = "fresh";
  S3Store store(std::move(options));
  const Bytes bytes = s3_noise(100);
  EXPECT_FALSE(store.write(s3_pack(bytes), bytes));
  const auto made = store.prepare();
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_TRUE(store.write(s3_pack(bytes), bytes)) << "at the root of the bucket";
  EXPECT_EQ(store.list(FileKind::Pack)->size(), 1U);
}

// Cut at bytes all along the way, in both directions: tried again, whole or not there.
TEST_F(S3Stores, GetThroughAWireThatBreaks) {
  Relay relay(server_.http);
  const Bytes bytes = s3_noise(6U << 20U);  // Two parts.
  for (const Relay::Way way : {Relay::Way::ToServer, Relay::Way::ToClient}) {
    for (const std::uint64_t byte : {0UL, 100UL, 700UL, 5'000UL, 1'000'000UL, 6'290'000UL}) {
      const std::string prefix = std::to_string(static_cast<int>(way)) + std::to_string(byte);
      SteadyStore store(through(relay.port, prefix), quick());
      relay.strike(Relay::Does::Cuts, way, byte);
      const auto written = store.write(s3_pack(bytes), bytes);
      ASSERT_TRUE(written) << byte << ": " << written.error().message;
      relay.strike(Relay::Does::Cuts, way, byte);
      EXPECT_TRUE(store.read(s3_pack(bytes)).value_or(Bytes()) == bytes) << byte;
      relay.strike(Relay::Does::Cuts, way, byte);
      EXPECT_EQ(store.list(FileKind::Pack).value_or(std::vector<StoredFile>()).size(), 1U) << byte;
      relay.strike(Relay::Does::Nothing, way, 0);
    }
  }
}

// A bit changed on the way, with no TLS to see it: what is stored and what is read is right, or
// it has failed.
TEST_F(S3Stores, NeverTakeWhatWasChangedOnTheWay) {
  Relay relay(server_.http);
  const Bytes bytes = s3_noise(300'000);
  unsigned struck = 0;
  for (const std::uint64_t byte : {5UL, 60UL, 200UL, 600UL, 1'200UL, 100'000UL, 300'000UL}) {
    const std::string prefix = "flip" + std::to_string(byte);
    SteadyStore store(through(relay.port, prefix), quick());
    relay.strike(Relay::Does::Flips, Relay::Way::ToServer, byte);
    const auto written = store.write(s3_pack(bytes), bytes);
    struck += relay.has_struck() ? 1 : 0;
    relay.strike(Relay::Does::Nothing, Relay::Way::ToServer, 0);
    const auto there = store.read(s3_pack(bytes));
    EXPECT_EQ(written.has_value(), there.has_value()) << byte;
    EXPECT_TRUE(!there || *there == bytes) << byte;
    if (!written) {
      ASSERT_TRUE(store.write(s3_pack(bytes), bytes)) << byte;
    }
    relay.strike(Relay::Does::Flips, Relay::Way::ToClient, byte);
    const auto read = store.read(s3_pack(bytes));
    EXPECT_TRUE(!read || *read == bytes) << byte;
    relay.strike(Relay::Does::Nothing, Relay::Way::ToServer, 0);
  }
  EXPECT_GT(struck, 4U);
}

// kill -9 in the middle of a write, and the server back a moment later.
TEST_F(S3Stores, GoOnWhenTheServerComesBack) {
  const Bytes bytes = s3_noise(24U << 20U);
  S3Store bare(server_.options("kill"));
  SteadyStore store(through(server_.http, "kill"), quick());
  ASSERT_TRUE(store.prepare());
  Outcome<void> written;
  std::thread writer([&] { written = store.write(s3_pack(bytes), bytes); });
  server_.kill();
  EXPECT_TRUE(server_.start());
  writer.join();
  const auto there = bare.size(s3_pack(bytes));
  EXPECT_TRUE(there ? *there == bytes.size() : there.error().kind == FailureKind::NotFound);
  EXPECT_TRUE(!written || there) << "what was said to be kept is kept";
  if (!there) {
    EXPECT_TRUE(store.write(s3_pack(bytes), bytes));
  }
  EXPECT_TRUE(store.read(s3_pack(bytes)).value_or(Bytes()) == bytes);
}

TEST_F(S3Stores, GiveUpOnAServerThatFallsSilent) {
  const std::unique_ptr<Store> store = through(server_.http, "silent");
  ASSERT_TRUE(store->prepare());
  server_.process().signal(SIGSTOP);
  const auto listed = store->list(FileKind::Pack);
  server_.process().signal(SIGCONT);
  ASSERT_FALSE(listed);
  EXPECT_EQ(listed.error().kind, FailureKind::Unreachable);
}

TEST_F(S3Stores, SweepUploadsThatNobodyEnded) {
  const Bytes bytes = s3_noise(6U << 20U);
  auto options = server_.options("left");
  options.part_bytes = 5U << 20U;
  options.bandwidth.upload_kib_per_second = 256;  // It does not come to its end.
  const pid_t writer = ::fork();
  if (writer == 0) {
    S3Store slow(options);
    (void)slow.write(s3_pack(bytes), bytes);
    ::_exit(0);
  }
  while (test::slurp(server_.log_path()).find("?uploads=") == std::string::npos) {
  }
  ::kill(writer, SIGKILL);
  ::waitpid(writer, nullptr, 0);
  const std::unique_ptr<Store> store = through(server_.http, "left");
  const auto swept = store->sweep();
  ASSERT_TRUE(swept) << swept.error().message;
  EXPECT_TRUE(store->list(FileKind::Pack)->empty());
  EXPECT_TRUE(store->write(s3_pack(bytes), bytes));
  // Written behind the answer, so read behind the next ones.
  const std::string log = test::slurp(server_.log_path());
  const std::size_t ended = log.find("\"DELETE /backups/left/");
  ASSERT_NE(ended, std::string::npos);
  EXPECT_NE(log.substr(ended, log.find('\n', ended) - ended).find("?uploadId="), std::string::npos);
}

TEST_F(S3Stores, ShareARepositoryWithRestic) {
  if (!test::Restic::is_installed()) GTEST_SKIP() << "restic is not installed";
  const test::TempFolder folder(test::TempFolder::memory());
  for (int i = 0; i < 20; ++i) {
    test::spill(folder / ("data/" + std::to_string(i)), std::string(70'000, char('a' + i)));
  }
  S3Store store(server_.options("shared", true));
  auto repository = test::make_repository(store);
  ASSERT_TRUE(repository) << repository.error().message;
  const auto report = test::back_up(*repository, folder / "data");
  ASSERT_TRUE(report) << report.error().message;
  const auto restic = [&](const std::string& arguments) {
    return test::restic_says(folder, "--cacert '" + server_.certificate() + "'",
                             server_.url("shared", true), arguments);
  };
  EXPECT_EQ(restic("check --read-data"), "");
  test::spill(folder / "data/more", std::string(70'000, 'z'));
  EXPECT_EQ(restic("backup '" + folder / "data'"), "");
  EXPECT_EQ(restic("restore latest --target '" + folder / "out'"), "");
  EXPECT_EQ(test::slurp(folder / ("out" + folder.path() + "/data/more")), std::string(70'000, 'z'));
  EXPECT_EQ(test::check_all(*repository), "");
  EXPECT_EQ(repository->snapshots()->size(), 2U);
}

TEST(Bandwidths, HoldTheirRateOverAllWhoShareThem) {
  Bandwidth bandwidth({.upload_kib_per_second = 10'000});
  const Instant begun = SteadyClock::instance().now();
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      for (int piece = 0; piece < 100; ++piece) bandwidth.upload(16'384);
    });
  }
  for (std::thread& thread : threads) thread.join();
  // 4,800 KiB less an eighth of a second's worth, which is free: never faster.
  EXPECT_GE(SteadyClock::instance().now() - begun, std::chrono::milliseconds(340));
  bandwidth.download(std::size_t{1} << 40U);  // Not limited.
}

}  // namespace
}  // namespace recover::backup::s3
