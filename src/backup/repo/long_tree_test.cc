// Trees that are too long to be held: the same bytes by way of a file.
#include <gtest/gtest.h>

#include "backup/repo/blob_codec.h"
#include "test/temp_folder.h"

namespace recover::backup {
namespace {

TEST(LongTrees, AreSealedAndOpenedByWayOfAFile) {
  const test::TempFolder folder;
  auto text = SpilledText::open(folder.path());
  ASSERT_TRUE(text);
  std::string whole;
  for (int i = 0; whole.size() < (std::size_t{3} << 20U); ++i) {
    const std::string line = "entry " + std::to_string(i) + " of a giant folder\n";
    whole += line;
    ASSERT_TRUE(text->append(line));
  }
  ASSERT_TRUE(text->flush());
  const Digest id = sha256(view_of(whole));
  BlobCodec codec(MasterKey::random(), kDefaultLevel);
  auto sealed = SpilledText::open(folder.path());
  const auto entry = codec.seal_long(id, text->pieces(), *sealed);
  ASSERT_TRUE(entry) << entry.error().message;
  EXPECT_EQ(entry->uncompressed_length, whole.size());
  const Bytes bytes = sealed->part(0, sealed->size()).value();
  EXPECT_EQ(entry->length, bytes.size());
  const auto plain = codec.open(*entry, bytes);
  ASSERT_TRUE(plain) << plain.error().message;
  EXPECT_EQ(text_of(*plain), whole);

  std::string again;
  const auto read = [&](const BlobEntry& of, const Bytes& from) {
    again.clear();
    return codec.read_long(
        of,
        [&](std::uint64_t at, std::uint64_t length) -> Outcome<Bytes> {
          const View part = View(from).subspan(at, length);
          return Bytes(part.begin(), part.end());
        },
        [&](View piece) -> Outcome<void> {
          again += text_of(piece);
          return {};
        });
  };
  ASSERT_TRUE(read(*entry, bytes));
  EXPECT_EQ(again, whole);

  auto other = SpilledText::open(folder.path());
  EXPECT_FALSE(codec.seal_long(sha256({}), text->pieces(), *other)) << "not what its name says";
  for (const std::size_t at : {std::size_t{0}, bytes.size() / 2, bytes.size() - 1}) {
    Bytes damaged = bytes;
    damaged[at] ^= 1U;
    EXPECT_EQ(read(*entry, damaged).error().kind, FailureKind::Damaged) << at;
    EXPECT_TRUE(again.empty()) << "nothing is opened before its tag was verified";
  }
  BlobEntry shorter = *entry;
  --shorter.uncompressed_length;
  EXPECT_EQ(read(shorter, bytes).error().kind, FailureKind::Damaged);
  BlobEntry longer = *entry;
  ++longer.uncompressed_length;
  EXPECT_EQ(read(longer, bytes).error().kind, FailureKind::Damaged);
  // What was stored plain.
  const Bytes sevens(3'000'000, 7);
  const BlobEntry raw{.id = sha256(sevens),
                      .type = BlobType::Data,
                      .offset = 0,
                      .length = static_cast<std::uint32_t>(sevens.size() + kSealOverhead)};
  Bytes plainly;
  codec.cipher().seal(sevens, plainly);
  ASSERT_TRUE(read(raw, plainly));
  EXPECT_EQ(again, text_of(sevens));
}

}  // namespace
}  // namespace recover::backup
