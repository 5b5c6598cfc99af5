// SHA-256 (FIPS 180-4) of OpenSSL: the name of every object in a repository.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "backup/crypto/bytes.h"

namespace recover::backup {

inline constexpr std::size_t kDigestBytes = 32;

struct Digest {
  std::array<std::uint8_t, kDigestBytes> bytes{};

  friend auto operator<=>(const Digest&, const Digest&) = default;
};

// 64 lower-case hex digits.
std::string hex(const Digest& digest);
// None unless the text is exactly 64 hex digits, upper or lower case.
std::optional<Digest> parse_digest(std::string_view text);

Digest sha256(View bytes);

// The same over bytes that come in pieces. One thread at a time.
class Sha256 {
 public:
  Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  ~Sha256();

  void add(View bytes);
  // The digest of all that was added; begins anew.
  Digest finish();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

}  // namespace recover::backup

// A digest is as good as random: its first bytes are its hash.
template <>
struct std::hash<recover::backup::Digest> {
  std::size_t operator()(const recover::backup::Digest& digest) const noexcept {
    std::size_t value = 0;
    std::memcpy(&value, digest.bytes.data(), sizeof value);
    return value;
  }
};
