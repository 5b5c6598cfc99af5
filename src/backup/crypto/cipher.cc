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

bool is_zero_iv(View iv) {
  return std::all_of(iv.begin(), iv.end(), [](std::uint8_t b) { return b == 0; });
}

Iv iv_of(View bytes) {
  RECOVER_CHECK(bytes.size() == kIvBytes);
  Iv iv{};
  std::copy(bytes.begin(), bytes.end(), iv.begin());
  return iv;
}

// What opens_to() decrypts at a time: fits the processor's nearest cache.
constexpr std::size_t kComparedBytes = std::size_t{16} << 10U;

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

  void begin_tag(const Iv& iv) {
    transform(block.get(), iv, one_time.data() + 16);
    RECOVER_CHECK(EVP_MAC_init(mac.get(), one_time.data(), one_time.size(), nullptr) == 1);
  }
  void tag(View ciphertext) const {
    RECOVER_CHECK(EVP_MAC_update(mac.get(), ciphertext.data(), ciphertext.size()) == 1);
  }
  Tag end_tag() const {
    Tag tag;
    std::size_t length = 0;
    RECOVER_CHECK(EVP_MAC_final(mac.get(), tag.data(), &length, tag.size()) == 1);
    return tag;
  }
  Tag tag_of(const Iv& iv, View ciphertext) {
    begin_tag(iv);
    tag(ciphertext);
    return end_tag();
  }

  // CTR is its own inverse.
  void begin(const Iv& iv) const {
    RECOVER_CHECK(EVP_CipherInit_ex(stream.get(), nullptr, nullptr, nullptr, iv.data(), 1) == 1);
  }
  void crypt(const Iv& iv, View in, std::uint8_t* out) const {
    begin(iv);
    transform(stream.get(), in, out);
  }

  std::unique_ptr<EVP_CIPHER_CTX, Free> stream{EVP_CIPHER_CTX_new()};
  std::unique_ptr<EVP_CIPHER_CTX, Free> block{EVP_CIPHER_CTX_new()};
  std::unique_ptr<EVP_MAC_CTX, Free> mac;
  // Random bytes drawn for many IVs at once: the generator's call costs as much as a small blob.
  std::array<std::uint8_t, 64 * kIvBytes> drawn{};
  std::size_t drawn_left = 0;
  std::array<std::uint8_t, kComparedBytes> compared{};

  Iv fresh_iv() {
    if (drawn_left == 0) {
      fill_random(drawn.data(), drawn.size());
      drawn_left = drawn.size();
    }
    Iv iv{};
    drawn_left -= iv.size();
    std::copy_n(drawn.begin() + static_cast<std::ptrdiff_t>(drawn_left), iv.size(), iv.begin());
    return iv;
  }
  std::array<std::uint8_t, 32> one_time{};  // r || AES(k, IV).
  bool zero_iv = false;                     // Of the text that is checked in pieces.
};

Cipher::Cipher(const MasterKey& key) : contexts_(std::make_unique<Contexts>(key)) {}
Cipher::Cipher(Cipher&&) noexcept = default;
Cipher& Cipher::operator=(Cipher&&) noexcept = default;
Cipher::~Cipher() = default;

void Cipher::seal(View plain, Bytes& out) {
  seal_with(contexts_->fresh_iv(), plain, out);
}

void Cipher::seal_into(View plain, std::span<std::uint8_t> sealed) {
  RECOVER_CHECK(sealed.size() == plain.size() + kSealOverhead);
  const Iv iv = contexts_->fresh_iv();
  std::copy(iv.begin(), iv.end(), sealed.begin());
  contexts_->crypt(iv, plain, sealed.data() + kIvBytes);
  const Tag tag = contexts_->tag_of(iv, sealed.subspan(kIvBytes, plain.size()));
  std::copy(tag.begin(), tag.end(), sealed.end() - kTagBytes);
}

void Cipher::seal_in_place(std::span<std::uint8_t> sealed) {
  RECOVER_CHECK(sealed.size() >= kSealOverhead);
  seal_into(sealed.subspan(kIvBytes, sealed.size() - kSealOverhead), sealed);
}

void Cipher::seal_with(const Iv& iv, View plain, Bytes& out) {
  append(out, iv);
  const std::size_t start = out.size();
  out.resize(start + plain.size());
  contexts_->crypt(iv, plain, out.data() + start);
  append(out, contexts_->tag_of(iv, View(out).subspan(start)));
}

Outcome<Iv> Cipher::verified_iv(View sealed) {
  if (sealed.size() < kSealOverhead) {
    return fail(FailureKind::Damaged, "encrypted data is too short to be any");
  }
  Iv iv{};
  std::copy_n(sealed.begin(), kIvBytes, iv.begin());
  const View ciphertext = sealed.subspan(kIvBytes, sealed.size() - kSealOverhead);
  const Tag tag = contexts_->tag_of(iv, ciphertext);
  if (is_zero_iv(iv) || CRYPTO_memcmp(tag.data(), sealed.last(kTagBytes).data(), kTagBytes) != 0) {
    return fail(FailureKind::Damaged, "the authentication tag does not fit the bytes");
  }
  return iv;
}

Outcome<void> Cipher::open_into(View sealed, std::span<std::uint8_t> plain) {
  const auto iv = verified_iv(sealed);
  if (!iv) return Unexpected(iv.error());
  RECOVER_CHECK(plain.size() + kSealOverhead == sealed.size());
  contexts_->crypt(*iv, sealed.subspan(kIvBytes, plain.size()), plain.data());
  return {};
}

Outcome<View> Cipher::open_in_place(std::span<std::uint8_t> sealed) {
  const auto iv = verified_iv(sealed);
  if (!iv) return Unexpected(iv.error());
  const auto text = sealed.subspan(kIvBytes, sealed.size() - kSealOverhead);
  contexts_->crypt(*iv, text, text.data());
  return View(text);
}

Outcome<Bytes> Cipher::open(View sealed) {
  Bytes plain(std::max(sealed.size(), kSealOverhead) - kSealOverhead);
  if (auto opened = open_into(sealed, plain); !opened) return Unexpected(opened.error());
  return plain;
}

bool Cipher::opens_to(View sealed, View plain) {
  const auto iv = verified_iv(sealed);
  if (!iv || plain.size() + kSealOverhead != sealed.size()) return false;
  View rest = sealed.subspan(kIvBytes, plain.size());
  contexts_->begin(*iv);
  while (!rest.empty()) {
    const std::size_t piece = std::min(rest.size(), kComparedBytes);
    transform(contexts_->stream.get(), rest.first(piece), contexts_->compared.data());
    if (!std::equal(plain.begin(), plain.begin() + static_cast<std::ptrdiff_t>(piece),
                    contexts_->compared.begin())) {
      return false;
    }
    rest = rest.subspan(piece);
    plain = plain.subspan(piece);
  }
  return true;
}

std::array<std::uint8_t, kIvBytes> Cipher::begin_seal() {
  const Iv iv = contexts_->fresh_iv();
  contexts_->begin(iv);
  contexts_->begin_tag(iv);
  return iv;
}

void Cipher::seal_piece(std::span<std::uint8_t> piece) {
  transform(contexts_->stream.get(), piece, piece.data());
  contexts_->tag(piece);
}

std::array<std::uint8_t, kTagBytes> Cipher::end_seal() {
  return contexts_->end_tag();
}

void Cipher::begin_check(View iv) {
  contexts_->zero_iv = is_zero_iv(iv);
  contexts_->begin_tag(iv_of(iv));
}

void Cipher::check_piece(View piece) {
  contexts_->tag(piece);
}

bool Cipher::end_check(View tag) {
  const Tag wanted = contexts_->end_tag();
  return !contexts_->zero_iv && tag.size() == kTagBytes &&
         CRYPTO_memcmp(wanted.data(), tag.data(), kTagBytes) == 0;
}

void Cipher::begin_open(View iv) {
  contexts_->begin(iv_of(iv));
}

void Cipher::open_piece(std::span<std::uint8_t> piece) {
  transform(contexts_->stream.get(), piece, piece.data());
}

}  // namespace recover::backup
