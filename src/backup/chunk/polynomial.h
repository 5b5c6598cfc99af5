// Polynomials over GF(2), bit i the coefficient of x^i: what restic's rolling hash divides by.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace recover::backup {

inline constexpr int kPolynomialDegree = 53;

// A polynomial of degree kPolynomialDegree that has no divisor but itself and 1.
class Polynomial {
 public:
  // None: of another degree, or it can be divided.
  static std::optional<Polynomial> from(std::uint64_t bits);
  // Lower or upper hex without prefix, as a repository's config has it.
  static std::optional<Polynomial> parse(std::string_view hex);
  // Drawn until irreducible: about one candidate in 24 is.
  static Polynomial random();

  std::uint64_t bits() const noexcept { return bits_; }
  std::string hex() const;

 private:
  explicit Polynomial(std::uint64_t bits) : bits_(bits) {}
  std::uint64_t bits_;
};

// value mod divisor. REQUIRES: divisor != 0.
std::uint64_t remainder(std::uint64_t value, std::uint64_t divisor) noexcept;

}  // namespace recover::backup
