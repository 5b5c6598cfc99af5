// Streams as snapshots, judged by the real restic.
#include "backup/archive/stream.h"

#include <gtest/gtest.h>

#include <cstdio>

#include "test/restic_archive.h"

namespace recover::backup {
namespace {

using test::noise;

class Streams : public test::ResticArchive {
 protected:
  Outcome<ArchiveReport> store(const std::string& text, Outcome<void> whole = {}) {
    const std::string path = folder_ / "stream";
    test::spill(path, text);
    std::FILE* const file = std::fopen(path.c_str(), "re");
    ArchiveProgress progress;
    auto report = archive_stream(*repository_, ::fileno(file),
                                 {.name = "dump.sql",
                                  .tags = {"db"},
                                  .host = "here",
                                  .user = "me",
                                  .program_version = "test",
                                  .now = {.seconds = 1'700'000'000, .nanoseconds = 5},
                                  .is_whole = [&] { return whole; }},
                                 progress);
    std::fclose(file);
    return report;
  }
};

TEST_F(Streams, ResticReadsWhatWasStreamed) {
  for (const std::size_t bytes : {0U, 1U, 300'000U, 3U << 20U, 20U << 20U}) {
    const std::string text = noise(bytes);
    const auto report = store(text);
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_EQ(report->snapshot.summary->bytes_processed, bytes);
    ASSERT_TRUE(restic_.run("check --read-data")) << restic_.output;
    ASSERT_TRUE(restic_.run("dump " + hex(report->id) + " /dump.sql")) << restic_.output;
    EXPECT_EQ(restic_.output, text) << bytes;
  }
}

TEST_F(Streams, TheSameAgainStoresNothing) {
  const std::string text = noise(5U << 20U);
  ASSERT_TRUE(store(text));
  const auto again = store(text);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->snapshot.summary->data_blobs, 0U);
}

TEST_F(Streams, AStreamThatIsNotWholeIsNoSnapshot) {
  const auto report = store(noise(2U << 20U), fail(FailureKind::Io, "pg_dump: exit 1"));
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().message, "pg_dump: exit 1");
  EXPECT_TRUE(repository_->snapshots()->empty());
  ASSERT_TRUE(restic_.run("check")) << restic_.output;
}

}  // namespace
}  // namespace recover::backup
