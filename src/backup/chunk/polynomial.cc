#include "backup/chunk/polynomial.h"

#include <openssl/rand.h>

#include <array>
#include <bit>
#include <charconv>

#include <recover/check.h>

namespace recover::backup {
namespace {

int degree(std::uint64_t polynomial) noexcept {
  return 63 - std::countl_zero(polynomial);  // -1 of zero.
}

// a * b mod f, reduced bit by bit: the product itself would not fit.
std::uint64_t multiply(std::uint64_t a, std::uint64_t b, std::uint64_t f) noexcept {
  std::uint64_t product = 0;
  for (int bit = degree(b); bit >= 0; --bit) {
    product <<= 1U;
    if (degree(product) == degree(f)) product ^= f;
    if (((b >> static_cast<unsigned>(bit)) & 1U) != 0) product ^= a;
  }
  return product;
}

std::uint64_t common_divisor(std::uint64_t a, std::uint64_t b) noexcept {
  while (b != 0) {
    const std::uint64_t rest = remainder(a, b);
    a = b;
    b = rest;
  }
  return a;
}

// Of prime degree n, f is irreducible exactly when x^(2^n) = x mod f and f has no linear divisor
// (Lidl and Niederreiter, "Finite Fields", theorem 3.20: x^(2^n) - x is the product of all
// irreducible polynomials whose degree divides n).
bool is_irreducible(std::uint64_t f) noexcept {
  constexpr std::uint64_t kX = 2;
  std::uint64_t power = kX;
  for (int i = 0; i < kPolynomialDegree; ++i) power = multiply(power, power, f);
  return power == kX && common_divisor(f, 0b110) == 1;
}

}  // namespace

std::uint64_t remainder(std::uint64_t value, std::uint64_t divisor) noexcept {
  const int bound = degree(divisor);
  while (degree(value) >= bound) {
    value ^= divisor << static_cast<unsigned>(degree(value) - bound);
  }
  return value;
}

std::optional<Polynomial> Polynomial::from(std::uint64_t bits) {
  if (degree(bits) != kPolynomialDegree || !is_irreducible(bits)) return std::nullopt;
  return Polynomial(bits);
}

std::optional<Polynomial> Polynomial::parse(std::string_view hex) {
  std::uint64_t bits = 0;
  const auto [end, error] = std::from_chars(hex.data(), hex.data() + hex.size(), bits, 16);
  if (error != std::errc() || end != hex.data() + hex.size()) return std::nullopt;
  return from(bits);
}

Polynomial Polynomial::random() {
  constexpr std::uint64_t kTop = std::uint64_t{1} << static_cast<unsigned>(kPolynomialDegree);
  while (true) {  // Ends: of ten thousand draws one fails with a probability below 1e-180.
    std::uint64_t drawn = 0;
    RECOVER_CHECK(RAND_bytes(reinterpret_cast<unsigned char*>(&drawn), sizeof drawn) == 1);
    if (const auto found = from((drawn & (kTop - 1)) | kTop | 1U)) return *found;
  }
}

std::string Polynomial::hex() const {
  std::array<char, 16> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), bits_, 16).ptr;
  return {text.data(), end};
}

}  // namespace recover::backup
