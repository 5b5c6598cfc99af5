// Each piece of cryptography against the vectors its inventors published. S3's signatures have
// theirs in s3_store_test.cc.
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "backup/crypto/cipher.h"
#include "backup/crypto/digest.h"
#include "backup/crypto/key_derivation.h"

namespace recover::backup {
namespace {

Bytes from_hex(std::string_view text) {
  Bytes bytes;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    bytes.push_back(
        static_cast<std::uint8_t>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16)));
  }
  return bytes;
}

template <class Array>
Array array_of(std::string_view text) {
  Array array{};
  const Bytes bytes = from_hex(text);
  std::copy_n(bytes.begin(), array.size(), array.begin());
  return array;
}

// What `seal` makes of the text under that nonce, without the nonce: ciphertext and tag.
Bytes sealed(const MasterKey& key, std::string_view nonce, View plain) {
  Cipher cipher(key);
  Bytes out;
  cipher.seal_with(array_of<std::array<std::uint8_t, kIvBytes>>(nonce), plain, out);
  return {out.begin() + kIvBytes, out.end()};
}

// FIPS 180-2, appendix B.
TEST(PublishedVectors, Sha256) {
  EXPECT_EQ(hex(sha256(view_of("abc"))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex(sha256(view_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"))),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

// NIST SP 800-38A, F.5.5.
TEST(PublishedVectors, Aes256Ctr) {
  MasterKey key{};
  key.encrypt = array_of<decltype(key.encrypt)>(
      "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4");
  const Bytes plain = from_hex(
      "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
      "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710");
  const Bytes wanted = from_hex(
      "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5"
      "2b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6");
  Bytes made = sealed(key, "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff", plain);
  made.resize(plain.size());
  EXPECT_EQ(made, wanted);
}

// D. J. Bernstein, "The Poly1305-AES message-authentication code", appendix B. The tag is that of
// the ciphertext: the plaintext is chosen so that this is the vector's message.
TEST(PublishedVectors, Poly1305Aes) {
  struct Vector {
    std::string_view message, r, k, nonce, tag;
  };
  constexpr Vector kVectors[] = {
      {"f3f6", "851fc40c3467ac0be05cc20404f3f700", "ec074c835580741701425b623235add6",
       "fb447350c4e868c52ac3275cf9d4327e", "f4c633c3044fc145f84f335cb81953de"},
      {"", "a0f3080000f46400d0c7e9076c834403", "75deaa25c09f208e1dc4ce6b5cad3fbf",
       "61ee09218d29b0aaed7e154a2c5509cc", "dd3fab2251f11ac759f0887129cc2ee7"},
      {"663cea190ffb83d89593f3f476b6bc24d7e679107ea26adb8caf6652d0656136",
       "48443d0bb0d21109c89a100b5ce2c208", "6acb5f61a7176dd320c5c1eb2edcdc74",
       "ae212a55399729595dea458bc621ff0e", "0ee1c16bb73f0f4fd19881753c01cdbe"},
  };
  for (const Vector& vector : kVectors) {
    MasterKey key{};
    key.encrypt.fill(7);
    key.mac_k = array_of<decltype(key.mac_k)>(vector.k);
    key.mac_r = array_of<decltype(key.mac_r)>(vector.r);
    Bytes plain = from_hex(vector.message);
    const Bytes stream = sealed(key, vector.nonce, Bytes(plain.size()));
    for (std::size_t i = 0; i < plain.size(); ++i) plain[i] ^= stream[i];
    Bytes wanted = from_hex(vector.message);
    append(wanted, from_hex(vector.tag));
    EXPECT_EQ(sealed(key, vector.nonce, plain), wanted);
  }
}

// RFC 7914, section 12.
TEST(PublishedVectors, Scrypt) {
  const auto key = derive_key(base::Secret("pleaseletmein"), view_of("SodiumChloride"),
                              {.n = 16384, .r = 8, .p = 1});
  ASSERT_TRUE(key) << key.error().message;
  Bytes made(key->encrypt.begin(), key->encrypt.end());
  append(made, key->mac_k);
  append(made, key->mac_r);
  EXPECT_EQ(made, from_hex("7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
                           "d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887"));
}

}  // namespace
}  // namespace recover::backup
