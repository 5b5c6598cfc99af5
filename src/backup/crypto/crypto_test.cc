// Known answers of restic's cryptography, and that no changed byte goes unnoticed.
#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <array>
#include <numeric>

#include "backup/crypto/cipher.h"
#include "backup/crypto/digest.h"
#include "backup/crypto/key_derivation.h"

namespace recover::backup {
namespace {

template <std::size_t N>
std::array<std::uint8_t, N> counting(std::uint8_t first) {
  std::array<std::uint8_t, N> bytes{};
  std::iota(bytes.begin(), bytes.end(), first);
  return bytes;
}

MasterKey counting_key() {
  return {.encrypt = counting<32>(0x00), .mac_k = counting<16>(0x20), .mac_r = counting<16>(0x30)};
}

std::string hex_of(View bytes) {
  std::string text;
  for (const std::uint8_t byte : bytes) {
    text += "0123456789abcdef"[byte >> 4U];
    text += "0123456789abcdef"[byte & 15U];
  }
  return text;
}

std::string sealed_hex(std::string_view plain) {
  Cipher cipher(counting_key());
  Bytes out;
  cipher.seal_with(counting<16>(0x40), view_of(plain), out);
  return hex_of(out);
}

TEST(Digest, KnownAnswers) {
  EXPECT_EQ(hex(sha256({})), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hex(sha256(view_of("{\"nodes\":[]}\n"))),
            "ac08ce34ba4f8123618661bef2425f7028ffb9ac740578a3ee88684d2523fee8");
  Sha256 hasher;
  hasher.add(view_of("{\"nodes\""));
  hasher.add(view_of(":[]}\n"));
  EXPECT_EQ(hasher.finish(), sha256(view_of("{\"nodes\":[]}\n")));
  EXPECT_EQ(hasher.finish(), sha256({}));
}

TEST(Digest, ParsesOnlyWholeHex) {
  const Digest digest = sha256({});
  EXPECT_EQ(parse_digest(hex(digest)), digest);
  EXPECT_FALSE(parse_digest(hex(digest).substr(1)));
  EXPECT_FALSE(parse_digest(hex(digest) + "0"));
  EXPECT_FALSE(parse_digest(std::string(64, 'g')));
}

TEST(Cipher, KnownAnswers) {
  EXPECT_EQ(
      sealed_hex("hello restic format"),
      "404142434445464748494a4b4c4d4e4fcb1bb353f87ac88ae00f0ba4ad3dde25dd146ad2a983a1e9a37d3d3b"
      "ed08546deeee02");
  EXPECT_EQ(sealed_hex(""), "404142434445464748494a4b4c4d4e4f859469c07743c7e45b318d151d3d87e9");
}

TEST(Cipher, OpensWhatItSealed) {
  Cipher cipher(MasterKey::random());
  for (const std::size_t size : {0U, 1U, 15U, 16U, 17U, 100000U}) {
    const Bytes plain(size, 0xa5);
    Bytes sealed;
    cipher.seal(plain, sealed);
    EXPECT_EQ(sealed.size(), size + kSealOverhead);
    EXPECT_EQ(cipher.open(sealed).value(), plain);
  }
}

TEST(Cipher, NoticesEveryChangedByte) {
  Cipher cipher(MasterKey::random());
  Bytes sealed;
  cipher.seal(view_of("every byte counts"), sealed);
  for (std::uint8_t& byte : sealed) {
    byte ^= 1U;
    EXPECT_EQ(cipher.open(sealed).error().kind, FailureKind::Damaged);
    byte ^= 1U;
  }
  EXPECT_TRUE(cipher.open(sealed));
  sealed.resize(kSealOverhead - 1);
  EXPECT_EQ(cipher.open(sealed).error().kind, FailureKind::Damaged);
}

TEST(Cipher, ClampedAndRawKeysAreTheSame) {
  MasterKey clamped = counting_key();
  for (const std::size_t i : {3U, 7U, 11U, 15U}) clamped.mac_r[i] &= 0x0fU;
  for (const std::size_t i : {4U, 8U, 12U}) clamped.mac_r[i] &= 0xfcU;
  Cipher raw(counting_key());
  Bytes sealed;
  raw.seal(view_of("either"), sealed);
  EXPECT_TRUE(Cipher(clamped).open(sealed));
}

TEST(KeyDerivation, KnownAnswer) {
  const auto key = derive_key(base::Secret("secret"), counting<64>(0), {.n = 1024, .r = 8, .p = 1});
  ASSERT_TRUE(key);
  EXPECT_EQ(hex_of(key->encrypt),
            "8294788ae39ff8884c3e62efc4fe4d2be03c0d07f4894dc1f26f0211b8b27143");
  EXPECT_EQ(hex_of(key->mac_k) + hex_of(key->mac_r),
            "2dc647db76d14555d1225b3320e98dca4ac5edc76ab074a28698cfbf4adbbf7c");
}

// RFC 7914, section 12, its third vector; and costs of odd kinds as the crypto library has them.
TEST(KeyDerivation, IsScryptOfAnyCost) {
  const std::string salt_text = "NaCl";
  const auto known =
      derive_key(base::Secret("password"), view_of(salt_text), {.n = 1024, .r = 8, .p = 16});
  ASSERT_TRUE(known);
  EXPECT_EQ(hex_of(known->encrypt),
            "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162");
  EXPECT_EQ(hex_of(known->mac_k) + hex_of(known->mac_r),
            "2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640");
  for (const ScryptCost& cost :
       {ScryptCost{.n = 2, .r = 1, .p = 1}, ScryptCost{.n = 4, .r = 3, .p = 2},
        ScryptCost{.n = 64, .r = 5, .p = 7}, ScryptCost{.n = 512, .r = 8, .p = 4}}) {
    std::array<std::uint8_t, 64> wanted{};
    ASSERT_EQ(EVP_PBE_scrypt("secret", 6, view_of(salt_text).data(), salt_text.size(), cost.n,
                             cost.r, cost.p, 0, wanted.data(), wanted.size()),
              1);
    const auto key = derive_key(base::Secret("secret"), view_of(salt_text), cost);
    ASSERT_TRUE(key);
    EXPECT_EQ(hex_of(key->encrypt) + hex_of(key->mac_k) + hex_of(key->mac_r), hex_of(wanted));
  }
}

TEST(KeyDerivation, RefusesHostileCosts) {
  for (const ScryptCost& cost :
       {ScryptCost{.n = 3, .r = 8, .p = 1}, ScryptCost{.n = 0, .r = 8, .p = 1},
        ScryptCost{.n = 1ULL << 40U, .r = 8, .p = 1}, ScryptCost{.n = 1024, .r = 0, .p = 1},
        ScryptCost{.n = 1024, .r = 0xffffffffU, .p = 1}, ScryptCost{.n = 1024, .r = 8, .p = 0}}) {
    EXPECT_EQ(derive_key(base::Secret("x"), counting<64>(0), cost).error().kind,
              FailureKind::Unsupported);
  }
}

}  // namespace
}  // namespace recover::backup
