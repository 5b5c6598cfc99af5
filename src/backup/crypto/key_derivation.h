// scrypt (RFC 7914): the key that a password stands for.
#pragma once

#include <cstdint>

#include "backup/crypto/cipher.h"
#include "base/secret.h"

namespace recover::backup {

// Memory is 128 * n * r bytes, time grows with p.
struct ScryptCost {
  std::uint64_t n = 32768;
  std::uint32_t r = 8;
  std::uint32_t p = 4;
};

inline constexpr std::size_t kSaltBytes = 64;
// A key file that asks for more was not made by a friend: it would only stop us.
inline constexpr std::uint64_t kScryptMemoryMax = std::uint64_t{1} << 30U;

// Unsupported: a cost that is not one, or needs more than kScryptMemoryMax.
Outcome<MasterKey> derive_key(const base::Secret& password, View salt, const ScryptCost& cost);

}  // namespace recover::backup
