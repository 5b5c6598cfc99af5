// Encryption of bodies and signing of the head file, with keys derived from the one configured.
//
// A sealed body is nonce (12 random bytes) || AES-256-GCM ciphertext || tag (16 bytes). The row's
// sequence and kind are authenticated with it, so a sealed body cannot be moved to another row.
// Random 96-bit nonces are safe for 2^32 rows a key (NIST SP 800-38D, 8.3).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include <recover/result.h>

#include "base/secret.h"
#include "journal/chain.h"
#include "ports/journal.h"

namespace recover::journal {

inline constexpr std::size_t kKeyBytes = 32;

class Cipher {
 public:
  // Fault WrongKey unless the key has kKeyBytes bytes.
  static Result<Cipher, ports::JournalError> from(const base::Secret& key);

  Result<std::string, ports::JournalError> seal(std::uint64_t sequence, ports::EntryKind kind,
                                                std::string_view body) const;
  // Fault WrongKey when the key is another or any byte was changed: GCM cannot tell which.
  Result<std::string, ports::JournalError> open(std::uint64_t sequence, ports::EntryKind kind,
                                                std::string_view sealed) const;
  // HMAC-SHA-256.
  Digest sign(std::string_view text) const;

 private:
  Cipher() = default;
  Digest body_key_{};
  Digest sign_key_{};
};

}  // namespace recover::journal
