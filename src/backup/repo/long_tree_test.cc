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
  const auto sealed = codec.seal_long(id, *text);
  ASSERT_TRUE(sealed) << sealed.error().message;
  const auto& [entry, bytes] = *sealed;
  EXPECT_EQ(entry.uncompressed_length, whole.size());
  const auto plain = codec.open(entry, bytes);
  ASSERT_TRUE(plain) << plain.error().message;
  EXPECT_EQ(text_of(*plain), whole);

  auto again = SpilledText::open(folder.path());
  ASSERT_TRUE(codec.read_long(entry, bytes, *again));
  const auto region = again->map();
  ASSERT_TRUE(region);
  EXPECT_EQ(sha256({region->data(), region->size()}), id);

  EXPECT_FALSE(codec.seal_long(sha256({}), *text)) << "not what its name says";
  Bytes damaged = bytes;
  damaged[damaged.size() / 2] ^= 1U;
  auto third = SpilledText::open(folder.path());
  EXPECT_FALSE(codec.read_long(entry, damaged, *third));
  BlobEntry shorter = entry;
  --shorter.uncompressed_length;
  auto fourth = SpilledText::open(folder.path());
  EXPECT_FALSE(codec.read_long(shorter, bytes, *fourth));
}

}  // namespace
}  // namespace recover::backup
