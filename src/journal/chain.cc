#include "journal/chain.h"

#include <openssl/sha.h>

namespace recover::journal {
namespace {

// What a snapshot of a thousand services needed is given back.
constexpr std::size_t kRoomKept = 64U << 10U;

void put_big_endian(std::string& out, std::uint64_t value, int bytes) {
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) {
    out.push_back(static_cast<char>((value >> static_cast<unsigned>(shift)) & 0xffU));
  }
}

void put_field(std::string& out, std::string_view bytes) {
  put_big_endian(out, bytes.size(), 4);
  out.append(bytes);
}

void put_field(std::string& out, std::uint64_t value) {
  put_big_endian(out, 8, 4);
  put_big_endian(out, value, 8);
}

void put_byte_field(std::string& out, std::uint8_t value) {
  put_big_endian(out, 1, 4);
  put_big_endian(out, value, 1);
}

void put_row(std::string& out, const Row& row) {
  put_field(out, row.sequence);
  put_byte_field(out, row.sealed ? 1 : 0);
  put_byte_field(out, static_cast<std::uint8_t>(row.kind));
  put_field(out, static_cast<std::uint64_t>(row.wall_ns));
  put_field(out, static_cast<std::uint64_t>(row.at_ns));
  put_field(out, row.type);
  put_field(out, row.service);
  put_field(out, row.incident);
  put_field(out, row.recovery);
  put_field(out, row.body);
}

// SHA-256 by OpenSSL's plain functions: its providers would cost a tenth of a MiB, and milliseconds
// of every start.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
Digest sha256(std::string_view bytes) {
  Digest digest{};
  SHA256_CTX context;
  SHA256_Init(&context);
  SHA256_Update(&context, bytes.data(), bytes.size());
  SHA256_Final(digest.data(), &context);
  return digest;
}
#pragma GCC diagnostic pop

}  // namespace

Digest Hasher::next(const Digest& previous, const Row& row) {
  canonical_.assign(previous.begin(), previous.end());
  put_row(canonical_, row);
  return of_canonical();
}

Digest Hasher::next(const Digest& previous, std::string_view bytes) {
  canonical_.assign(previous.begin(), previous.end());
  canonical_.append(bytes);
  return of_canonical();
}

Digest Hasher::of_canonical() {
  const Digest digest = sha256(canonical_);
  if (canonical_.capacity() > kRoomKept) std::string().swap(canonical_);
  return digest;
}

std::string to_hex(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(2 * bytes.size());
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    text.push_back(kDigits[byte >> 4U]);
    text.push_back(kDigits[byte & 0xfU]);
  }
  return text;
}

std::optional<Digest> from_hex(std::string_view text) {
  Digest digest{};
  if (text.size() != 2 * digest.size()) return std::nullopt;
  static constexpr std::string_view kDigits = "0123456789abcdef";
  for (std::size_t i = 0; i < digest.size(); ++i) {
    const std::size_t high = kDigits.find(text[2 * i]);
    const std::size_t low = kDigits.find(text[2 * i + 1]);
    if (high == std::string_view::npos || low == std::string_view::npos) return std::nullopt;
    digest[i] = static_cast<std::uint8_t>(16 * high + low);
  }
  return digest;
}

}  // namespace recover::journal
