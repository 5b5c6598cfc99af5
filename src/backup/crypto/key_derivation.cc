#include "backup/crypto/key_derivation.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <bit>
#include <thread>

#include "backup/crypto/scrypt_mix.h"

namespace recover::backup {
namespace {

constexpr std::uint32_t kParallelMax = 64;
constexpr std::size_t kLaneBytesPerR = 128;
constexpr std::size_t kLanesBytesMax = std::size_t{64} << 20U;
constexpr std::size_t kDerivedBytes = 64;

bool is_sane(const ScryptCost& cost) {
  return cost.n > 1 && std::has_single_bit(cost.n) && cost.r > 0 && cost.p > 0 &&
         cost.p <= kParallelMax && cost.r <= kLanesBytesMax / kLaneBytesPerR / cost.p &&
         cost.n <= kScryptMemoryMax / kLaneBytesPerR / cost.r;
}

bool stretch(const base::Secret& password, View salt, std::span<std::uint8_t> to) {
  const std::string& text = password.reveal();
  return PKCS5_PBKDF2_HMAC(text.data(), static_cast<int>(text.size()), salt.data(),
                           static_cast<int>(salt.size()), 1, EVP_sha256(),
                           static_cast<int>(to.size()), to.data()) == 1;
}

// The lanes do not know of each other: two at once, in the memory of one.
void mix_lanes(Bytes& lanes, const ScryptCost& cost) {
  const std::size_t size = kLaneBytesPerR * cost.r;
  const auto every_second = [&](std::size_t first) {
    for (std::size_t lane = first; lane < cost.p; lane += 2) {
      scrypt_mix(std::span(lanes).subspan(lane * size, size), cost.n, cost.r);
    }
  };
  if (cost.p == 1) return every_second(0);
  std::thread other(every_second, 1);
  every_second(0);
  other.join();
}

}  // namespace

Outcome<MasterKey> derive_key(const base::Secret& password, View salt, const ScryptCost& cost) {
  if (!is_sane(cost)) return fail(FailureKind::Unsupported, "key file: impossible scrypt cost");
  Bytes lanes(kLaneBytesPerR * cost.r * cost.p);
  std::array<std::uint8_t, kDerivedBytes> derived{};
  bool done = stretch(password, salt, lanes);
  if (done) mix_lanes(lanes, cost);
  done = done && stretch(password, lanes, derived);
  OPENSSL_cleanse(lanes.data(), lanes.size());
  if (!done) return fail(FailureKind::Unsupported, "key file: the crypto library refuses it");
  MasterKey key;
  const auto part = [&](std::size_t at, auto& to) {
    std::copy_n(derived.begin() + static_cast<std::ptrdiff_t>(at), to.size(), to.begin());
  };
  part(0, key.encrypt);
  part(32, key.mac_k);
  part(48, key.mac_r);
  OPENSSL_cleanse(derived.data(), derived.size());
  return key;
}

}  // namespace recover::backup
