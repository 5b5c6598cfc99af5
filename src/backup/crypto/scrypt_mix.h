// The memory-hard part of scrypt (RFC 7914, section 5), in half of its memory.
//
// Every second block of the table is kept and the others are made again when they are asked for: a
// quarter more work, and two lanes at once need what one needs otherwise.
#pragma once

#include <cstdint>
#include <span>

namespace recover::backup {

// scryptROMix of one lane in place. REQUIRES: `lane` has 128 * r bytes; n is a power of two above 1
// and fits 32 bits. Its table has 64 * r * n bytes and is wiped.
void scrypt_mix(std::span<std::uint8_t> lane, std::uint64_t n, std::uint32_t r);

}  // namespace recover::backup
