// The hash chain over the rows of the journal: what is hashed, and how.
//
// hash_n = SHA-256(hash_(n-1) || canonical(row_n)); hash_0 is 32 zero bytes.
// canonical = the row's fields in the order of Row, each preceded by its length in bytes as 32 bits
// big-endian; integers are 8 bytes big-endian (two's complement), `sealed` and `kind` 1 byte. The
// body is hashed as it is stored, so the chain can be verified without the key.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "ports/journal.h"

namespace recover::journal {

inline constexpr std::size_t kDigestBytes = 32;
using Digest = std::array<std::uint8_t, kDigestBytes>;

// One row as it is stored; the views live as long as what they were taken from.
struct Row {
  std::uint64_t sequence = 0;
  bool sealed = false;  // The body is encrypted.
  ports::EntryKind kind = ports::EntryKind::Event;
  std::int64_t wall_ns = 0;
  std::int64_t at_ns = 0;
  std::string_view type;
  std::string_view service;
  std::uint64_t incident = 0;
  std::uint64_t recovery = 0;
  std::string_view body;
};

// A point of the chain: the last row that it covers, and the hash there.
struct Link {
  std::uint64_t sequence = 0;
  Digest hash{};
  friend bool operator==(const Link&, const Link&) = default;
};

// Computes links. Keeps its buffers, so a row of usual size costs no allocation once they have
// grown. One thread.
class Hasher {
 public:
  Digest next(const Digest& previous, const Row& row);
  // SHA-256(previous || bytes).
  Digest next(const Digest& previous, std::string_view bytes);

 private:
  Digest of_canonical();

  std::string canonical_;
};

// The digest as SQLite and text functions take bytes; lives as long as the digest.
inline std::string_view view_of(const Digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}
std::string to_hex(std::string_view bytes);
// 64 digits, lower case; nothing for anything else.
std::optional<Digest> from_hex(std::string_view text);

}  // namespace recover::journal
