#include "backup/crypto/key_derivation.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <bit>

namespace recover::backup {
namespace {

constexpr std::uint32_t kParallelMax = 64;

bool is_sane(const ScryptCost& cost) {
  return cost.n > 1 && std::has_single_bit(cost.n) && cost.r > 0 && cost.p > 0 &&
         cost.p <= kParallelMax && cost.n <= kScryptMemoryMax / 128 / cost.r;
}

}  // namespace

Outcome<MasterKey> derive_key(const base::Secret& password, View salt, const ScryptCost& cost) {
  if (!is_sane(cost)) return fail(FailureKind::Unsupported, "key file: impossible scrypt cost");
  std::array<std::uint8_t, 64> derived{};
  const std::string& text = password.reveal();
  // The library counts its own working space too, so the bound is twice what scrypt needs.
  const std::uint64_t memory = 2 * 128 * cost.r * (cost.n + cost.p + 2);
  if (EVP_PBE_scrypt(text.data(), text.size(), salt.data(), salt.size(), cost.n, cost.r, cost.p,
                     memory, derived.data(), derived.size()) != 1) {
    return fail(FailureKind::Unsupported, "key file: the crypto library refuses its scrypt cost");
  }
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
