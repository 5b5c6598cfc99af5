// restic's authenticated encryption: AES-256-CTR, then Poly1305-AES over the ciphertext.
//
// sealed = IV (16 random bytes) || ciphertext || tag (16 bytes); the tag's one-time key is
// r || AES-128(k, IV), Bernstein's "The Poly1305-AES message-authentication code" (2005). The tag
// is verified before anything is decrypted. Every IV is fresh from the operating system's
// generator.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "backup/crypto/bytes.h"
#include "backup/failure.h"

namespace recover::backup {

struct MasterKey {
  std::array<std::uint8_t, 32> encrypt{};
  std::array<std::uint8_t, 16> mac_k{};
  std::array<std::uint8_t, 16> mac_r{};  // Clamped by Poly1305 itself; stored either way.

  static MasterKey random();
};

inline constexpr std::size_t kIvBytes = 16;
inline constexpr std::size_t kTagBytes = 16;
inline constexpr std::size_t kSealOverhead = kIvBytes + kTagBytes;

// Owns the contexts of the crypto library, so one thread at a time; cheap to make another. Random
// bytes are drawn ahead: REQUIRES that no fork() leaves one in use on both sides.
class Cipher {
 public:
  explicit Cipher(const MasterKey& key);
  Cipher(Cipher&&) noexcept;
  Cipher& operator=(Cipher&&) noexcept;
  ~Cipher();

  // Appends sealed(plain), kSealOverhead bytes more than it.
  void seal(View plain, Bytes& out);
  // Fills `sealed` whole. REQUIRES: sealed is kSealOverhead larger than plain; they do not overlap,
  // or plain lies where it goes to.
  void seal_into(View plain, std::span<std::uint8_t> sealed);
  // The same of what lies in `sealed` already, kIvBytes from its begin.
  void seal_in_place(std::span<std::uint8_t> sealed);
  // With an IV that is given: for known-answer tests only, an IV used twice gives the key away.
  void seal_with(const std::array<std::uint8_t, kIvBytes>& iv, View plain, Bytes& out);
  // Damaged: too short, or the tag does not fit (other key, or changed bytes).
  Outcome<Bytes> open(View sealed);
  // Fills `plain` whole. REQUIRES: plain is kSealOverhead smaller than sealed.
  Outcome<void> open_into(View sealed, std::span<std::uint8_t> plain);
  // What is opened in the room of what is sealed, which is lost. Damaged as open().
  Outcome<View> open_in_place(std::span<std::uint8_t> sealed);
  // Whether `sealed` opens to exactly these bytes; needs no room for them.
  bool opens_to(View sealed, View plain);

  // What is too long to be held, in pieces: one text at a time, and no other call before its end.
  // The IV, which comes first; each piece in place; the tag, which comes last.
  std::array<std::uint8_t, kIvBytes> begin_seal();
  void seal_piece(std::span<std::uint8_t> piece);
  std::array<std::uint8_t, kTagBytes> end_seal();
  // The tag of all pieces is verified before any is opened. REQUIRES: an IV of kIvBytes.
  void begin_check(View iv);
  void check_piece(View piece);
  bool end_check(View tag);
  void begin_open(View iv);
  void open_piece(std::span<std::uint8_t> piece);

 private:
  Outcome<std::array<std::uint8_t, kIvBytes>> verified_iv(View sealed);

  struct Contexts;
  std::unique_ptr<Contexts> contexts_;
};

}  // namespace recover::backup
