// The cuts are restic's: its published vectors, and its byte-at-a-time definition as the model.
#include "backup/chunk/chunker.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <vector>

#include "backup/crypto/digest.h"

namespace recover::backup {
namespace {

constexpr std::uint64_t kBits = 0x25b468838dcb75;
const Polynomial kPolynomial = *Polynomial::from(kBits);

std::vector<std::size_t> cuts(const Chunker& chunker, View data) {
  std::vector<std::size_t> lengths;
  while (!data.empty()) {
    lengths.push_back(chunker.cut(data));
    data = data.subspan(lengths.back());
  }
  return lengths;
}

// H(LE64(0)) || H(LE64(1)) || ...
Bytes noise(std::size_t size) {
  Bytes bytes;
  for (std::uint64_t i = 0; bytes.size() < size; ++i) {
    std::array<std::uint8_t, 8> number{};
    for (unsigned k = 0; k < 8; ++k) number[k] = static_cast<std::uint8_t>(i >> (8 * k));
    append(bytes, sha256(number).bytes);
  }
  bytes.resize(size);
  return bytes;
}

// The definition: a rolling window that starts with a single 1 in it.
std::size_t defined_cut(std::uint64_t p, View data) {
  const auto hash = [&](View window) {
    std::uint64_t value = 0;
    for (const std::uint8_t byte : window) value = remainder((value << 8U) | byte, p);
    return value;
  };
  for (std::size_t n = kChunkMin; n <= std::min(data.size(), kChunkMax); ++n) {
    if ((hash(data.subspan(n - 64, 64)) & 0xfffffU) == 0) return n;
  }
  return std::min(data.size(), kChunkMax);
}

TEST(Chunker, PublishedVectors) {
  const Chunker chunker(kPolynomial);
  EXPECT_EQ(cuts(chunker, Bytes((2U << 20U) + 5)),
            (std::vector<std::size_t>{524288, 524288, 524288, 524288, 5}));
  EXPECT_EQ(cuts(chunker, Bytes(3U << 20U, 0xff)).size(), 1U);
  const Bytes data = noise(16U << 20U);
  EXPECT_EQ(hex(sha256(data)).substr(0, 8), "01c65c8d");
  EXPECT_EQ(cuts(chunker, data), (std::vector<std::size_t>{1649259, 2632714, 534724, 672043, 733367,
                                                           4298234, 2724043, 1321552, 2211280}));
  EXPECT_EQ(hex(sha256(View(data).first(1649259))).substr(0, 16), "8d8322d1a03f6980");
}

TEST(Chunker, ShortFilesAreOneChunk) {
  const Chunker chunker(kPolynomial);
  EXPECT_EQ(chunker.cut({}), 0U);
  EXPECT_EQ(chunker.cut(Bytes(1)), 1U);
  EXPECT_EQ(chunker.cut(Bytes(kChunkMin)), kChunkMin);
}

TEST(Chunker, NeverMoreThanTheMaximum) {
  const Chunker chunker(kPolynomial);
  EXPECT_EQ(chunker.cut(Bytes(kChunkMax + 1, 0xff)), kChunkMax);
}

// Cuts at any place: noise in which a run of zeros (which always cuts) begins anywhere.
RC_GTEST_PROP(Chunker, CutsWhereTheDefinitionCuts, ()) {
  static const Bytes kNoise = noise(kChunkMin + (8U << 10U));
  Bytes data = kNoise;
  const std::size_t zeros = *rc::gen::inRange<std::size_t>(kChunkMin - 100, data.size() - 70);
  std::fill_n(data.begin() + static_cast<std::ptrdiff_t>(zeros), 70, std::uint8_t{0});
  const std::size_t size = *rc::gen::inRange<std::size_t>(kChunkMin - 10, data.size());
  data.resize(size);
  RC_ASSERT(Chunker(kPolynomial).cut(data) == defined_cut(kBits, data));
}

std::uint64_t product(std::uint64_t a, std::uint64_t b) {
  std::uint64_t sum = 0;
  for (unsigned bit = 0; bit < 64; ++bit) {
    if (((b >> bit) & 1U) != 0) sum ^= a << bit;
  }
  return sum;
}

TEST(Polynomial, OnlyIrreducibleOnes) {
  EXPECT_TRUE(Polynomial::from(kBits));
  EXPECT_FALSE(Polynomial::from(kBits ^ 1U));                             // x divides it.
  EXPECT_FALSE(Polynomial::from(product(0b111, (1ULL << 51U) | 0b101)));  // No linear divisor.
  EXPECT_FALSE(Polynomial::from(kBits >> 1U));                            // Degree 52.
  EXPECT_FALSE(Polynomial::parse("25b468838dcb75 "));
  EXPECT_EQ(Polynomial::parse("25b468838dcb75")->hex(), "25b468838dcb75");
  const Polynomial drawn = Polynomial::random();
  EXPECT_TRUE(Polynomial::from(drawn.bits()));
}

}  // namespace
}  // namespace recover::backup
