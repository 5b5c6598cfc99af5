#include "backup/crypto/digest.h"

#include <openssl/evp.h>

#include <recover/check.h>

namespace recover::backup {
namespace {

// Fetched once: the lookup by name costs as much as hashing 2 KiB.
const EVP_MD* algorithm() {
  static const EVP_MD* const kAlgorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  return kAlgorithm;
}

// The value of each hex digit; kNoDigit for what is none. A table: indexes are mostly digests.
constexpr std::uint8_t kNoDigit = 0x80;
constexpr std::array<std::uint8_t, 256> kNibbles = [] {
  std::array<std::uint8_t, 256> values{};
  values.fill(kNoDigit);
  for (std::uint8_t i = 0; i < 10; ++i) values[static_cast<std::size_t>('0' + i)] = i;
  for (std::uint8_t i = 10; i < 16; ++i) {
    values[static_cast<std::size_t>('a' + i - 10)] = i;
    values[static_cast<std::size_t>('A' + i - 10)] = i;
  }
  return values;
}();

}  // namespace

struct Sha256::Context {
  struct Free {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  std::unique_ptr<EVP_MD_CTX, Free> evp{EVP_MD_CTX_new()};

  void begin() const { RECOVER_CHECK(EVP_DigestInit_ex(evp.get(), algorithm(), nullptr) == 1); }
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {
  context_->begin();
}
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;
Sha256::~Sha256() = default;

void Sha256::add(View bytes) {
  RECOVER_CHECK(EVP_DigestUpdate(context_->evp.get(), bytes.data(), bytes.size()) == 1);
}

Digest Sha256::finish() {
  Digest digest;
  RECOVER_CHECK(EVP_DigestFinal_ex(context_->evp.get(), digest.bytes.data(), nullptr) == 1);
  context_->begin();
  return digest;
}

Digest sha256(View bytes) {
  thread_local Sha256 hasher;
  hasher.add(bytes);
  return hasher.finish();
}

std::string hex(const Digest& digest) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  text.reserve(2 * kDigestBytes);
  for (const std::uint8_t byte : digest.bytes) {
    text += kDigits[byte >> 4U];
    text += kDigits[byte & 15U];
  }
  return text;
}

std::optional<Digest> parse_digest(std::string_view text) {
  if (text.size() != 2 * kDigestBytes) return std::nullopt;
  Digest digest;
  unsigned bad = 0;
  for (std::size_t i = 0; i < kDigestBytes; ++i) {
    const unsigned high = kNibbles[static_cast<std::uint8_t>(text[2 * i])];
    const unsigned low = kNibbles[static_cast<std::uint8_t>(text[2 * i + 1])];
    bad |= high | low;
    digest.bytes[i] = static_cast<std::uint8_t>(high << 4U | low);
  }
  if ((bad & kNoDigit) != 0) return std::nullopt;
  return digest;
}

}  // namespace recover::backup
