#include "backup/crypto/cipher.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <limits>

#include <recover/check.h>

namespace recover::backup {
namespace {

using Iv = std::array<std::uint8_t, kIvBytes>;
using Tag = std::array<std::uint8_t, kTagBytes>;

// The library counts in int.
constexpr std::size_t kPieceMax = std::size_t{1} << 30U;

void transform(EVP_CIPHER_CTX* context, View in, std::uint8_t* out) {
  while (!in.empty()) {
    const std::size_t piece = std::min(in.size(), kPieceMax);
    int written = 0;
    RECOVER_CHECK(EVP_CipherUpdate(context, out, &written, in.data(), static_cast<int>(piece)) ==
                  1);
    in = in.subspan(piece);
    out += piece;
  }
}

void fill_random(std::uint8_t* out, std::size_t count) {
  RECOVER_CHECK(RAND_bytes(out, static_cast<int>(count)) == 1);
}

}  // namespace

MasterKey MasterKey::random() {
  MasterKey key;
  fill_random(key.encrypt.data(), key.encrypt.size());
  fill_random(key.mac_k.data(), key.mac_k.size());
  fill_random(key.mac_r.data(), key.mac_r.size());
  return key;
}

struct Cipher::Contexts {
  struct Free {
    void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
    void operator()(EVP_MAC_CTX* context) const { EVP_MAC_CTX_free(context); }
  };

  explicit Contexts(const MasterKey& key) {
    static EVP_MAC* const poly1305 = EVP_MAC_fetch(nullptr, "POLY1305", nullptr);
    mac.reset(EVP_MAC_CTX_new(poly1305));
    std::copy(key.mac_r.begin(), key.mac_r.end(), one_time.begin());
    RECOVER_CHECK(EVP_CipherInit_ex(stream.get(), EVP_aes_256_ctr(), nullptr, key.encrypt.data(),
                                    nullptr, 1) == 1);
    RECOVER_CHECK(EVP_CipherInit_ex(block.get(), EVP_aes_128_ecb(), nullptr, key.mac_k.data(),
                                    nullptr, 1) == 1);
    RECOVER_CHECK(EVP_CIPHER_CTX_set_padding(block.get(), 0) == 1);
  }
  ~Contexts() { OPENSSL_cleanse(one_time.data(), one_time.size()); }
  Contexts(const Contexts&) = delete;
  Contexts& operator=(const Contexts&) = delete;

  Tag tag_of(const Iv& iv, View ciphertext) {
    transform(block.get(), iv, one_time.data() + 16);
    RECOVER_CHECK(EVP_MAC_init(mac.get(), one_time.data(), one_time.size(), nullptr) == 1);
    RECOVER_CHECK(EVP_MAC_update(mac.get(), ciphertext.data(), ciphertext.size()) == 1);
    Tag tag;
    std::size_t length = 0;
    RECOVER_CHECK(EVP_MAC_final(mac.get(), tag.data(), &length, tag.size()) == 1);
    return tag;
  }

  // CTR is its own inverse.
  void crypt(const Iv& iv, View in, std::uint8_t* out) const {
    RECOVER_CHECK(EVP_CipherInit_ex(stream.get(), nullptr, nullptr, nullptr, iv.data(), 1) == 1);
    transform(stream.get(), in, out);
  }

  std::unique_ptr<EVP_CIPHER_CTX, Free> stream{EVP_CIPHER_CTX_new()};
  std::unique_ptr<EVP_CIPHER_CTX, Free> block{EVP_CIPHER_CTX_new()};
  std::unique_ptr<EVP_MAC_CTX, Free> mac;
  std::array<std::uint8_t, 32> one_time{};  // r || AES(k, IV).
};

Cipher::Cipher(const MasterKey& key) : contexts_(std::make_unique<Contexts>(key)) {}
Cipher::Cipher(Cipher&&) noexcept = default;
Cipher& Cipher::operator=(Cipher&&) noexcept = default;
Cipher::~Cipher() = default;

void Cipher::seal(View plain, Bytes& out) {
  Iv iv{};
  fill_random(iv.data(), iv.size());
  seal_with(iv, plain, out);
}

void Cipher::seal_with(const Iv& iv, View plain, Bytes& out) {
  append(out, iv);
  const std::size_t start = out.size();
  out.resize(start + plain.size());
  contexts_->crypt(iv, plain, out.data() + start);
  append(out, contexts_->tag_of(iv, View(out).subspan(start)));
}

Outcome<Bytes> Cipher::open(View sealed) {
  if (sealed.size() < kSealOverhead) {
    return fail(FailureKind::Damaged, "encrypted data is too short to be any");
  }
  Iv iv{};
  std::copy_n(sealed.begin(), kIvBytes, iv.begin());
  const View ciphertext = sealed.subspan(kIvBytes, sealed.size() - kSealOverhead);
  const Tag tag = contexts_->tag_of(iv, ciphertext);
  const bool zero = std::all_of(iv.begin(), iv.end(), [](std::uint8_t b) { return b == 0; });
  if (zero || CRYPTO_memcmp(tag.data(), sealed.last(kTagBytes).data(), kTagBytes) != 0) {
    return fail(FailureKind::Damaged, "the authentication tag does not fit the bytes");
  }
  Bytes plain(ciphertext.size());
  contexts_->crypt(iv, ciphertext, plain.data());
  return plain;
}

}  // namespace recover::backup
