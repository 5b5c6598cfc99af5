#include "backup/crypto/scrypt_mix.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include <recover/check.h>

namespace recover::backup {
namespace {

// What is inlined is compiled for the processor of the function that it is inlined into.
#define RECOVER_INLINED [[gnu::always_inline]] inline

constexpr std::size_t kCellBytes = 64;
constexpr std::size_t kWordBytes = 4;

// Four words at once.
using Row = std::uint32_t __attribute__((vector_size(16)));

// 64 bytes as the rounds want them: a row of these is a diagonal of Salsa20's square, so that all
// four of its quarter-rounds are one.
struct Cell {
  std::array<Row, 4> rows;
};

// Where word k of a row lies in the 64 bytes.
constexpr std::size_t word_at(std::size_t row, std::size_t k) {
  return (4 * row + 5 * k) % 16;
}

Cell load(const std::uint8_t* bytes) {
  Cell cell{};
  for (std::size_t row = 0; row < 4; ++row) {
    for (std::size_t k = 0; k < 4; ++k) {
      const std::uint8_t* const word = bytes + kWordBytes * word_at(row, k);
      cell.rows[row][k] = std::uint32_t{word[0]} | std::uint32_t{word[1]} << 8U |
                          std::uint32_t{word[2]} << 16U | std::uint32_t{word[3]} << 24U;
    }
  }
  return cell;
}

void store(const Cell& cell, std::uint8_t* bytes) {
  for (std::size_t row = 0; row < 4; ++row) {
    for (std::size_t k = 0; k < 4; ++k) {
      const std::uint32_t value = cell.rows[row][k];
      std::uint8_t* const word = bytes + kWordBytes * word_at(row, k);
      for (std::size_t i = 0; i < kWordBytes; ++i) {
        word[i] = static_cast<std::uint8_t>(value >> (8U * i));
      }
    }
  }
}

template <unsigned kBits>
RECOVER_INLINED Row turned(Row row) {
  return row << kBits | row >> (32U - kBits);
}

RECOVER_INLINED void add_in(Cell& to, const Cell& other) {
  for (std::size_t row = 0; row < 4; ++row) to.rows[row] ^= other.rows[row];
}

RECOVER_INLINED void quarter(Row& w, Row& x, Row& y, Row& z) {
  x ^= turned<7>(w + z);
  y ^= turned<9>(x + w);
  z ^= turned<13>(y + x);
  w ^= turned<18>(z + y);
}

// Salsa20/8: a column round, the square turned so that rows are columns, a row round, turned back.
RECOVER_INLINED void salsa(Cell& cell) {
  Row a = cell.rows[0];
  Row b = cell.rows[1];
  Row c = cell.rows[2];
  Row d = cell.rows[3];
  for (unsigned round = 0; round < 4; ++round) {
    quarter(a, b, c, d);
    b = __builtin_shufflevector(b, b, 3, 0, 1, 2);
    c = __builtin_shufflevector(c, c, 2, 3, 0, 1);
    d = __builtin_shufflevector(d, d, 1, 2, 3, 0);
    quarter(a, d, c, b);
    b = __builtin_shufflevector(b, b, 1, 2, 3, 0);
    c = __builtin_shufflevector(c, c, 2, 3, 0, 1);
    d = __builtin_shufflevector(d, d, 3, 0, 1, 2);
  }
  cell.rows[0] += a;
  cell.rows[1] += b;
  cell.rows[2] += c;
  cell.rows[3] += d;
}

// scryptBlockMix of `in` (added to `plus`, where given) into `out`.
RECOVER_INLINED void mix_block(const Cell* in, const Cell* plus, Cell* out, std::size_t r) {
  Cell x = in[2 * r - 1];
  if (plus != nullptr) add_in(x, plus[2 * r - 1]);
  for (std::size_t i = 0; i < 2 * r; ++i) {
    add_in(x, in[i]);
    if (plus != nullptr) add_in(x, plus[i]);
    salsa(x);
    out[(i % 2) * r + i / 2] = x;
  }
}

RECOVER_INLINED void mix_lane(std::span<std::uint8_t> lane, std::uint64_t n, std::uint32_t r) {
  const std::size_t cells = 2 * std::size_t{r};
  RECOVER_CHECK(lane.size() == cells * kCellBytes);
  const auto table = std::make_unique_for_overwrite<Cell[]>(cells * (n / 2));
  std::vector<Cell> x(cells);
  std::vector<Cell> y(cells);
  std::vector<Cell> odd(cells);
  for (std::size_t i = 0; i < cells; ++i) x[i] = load(lane.data() + i * kCellBytes);
  for (std::uint64_t i = 0; i < n / 2; ++i) {
    Cell* const kept = table.get() + i * cells;
    std::copy(x.begin(), x.end(), kept);
    mix_block(kept, nullptr, y.data(), r);
    mix_block(y.data(), nullptr, x.data(), r);
  }
  for (std::uint64_t i = 0; i < n; ++i) {
    const std::uint64_t wanted = x[cells - 1].rows[0][0] & (n - 1);
    const Cell* other = table.get() + wanted / 2 * cells;
    if (wanted % 2 != 0) {
      mix_block(other, nullptr, odd.data(), r);
      other = odd.data();
    }
    mix_block(x.data(), other, y.data(), r);
    x.swap(y);
  }
  for (std::size_t i = 0; i < cells; ++i) store(x[i], lane.data() + i * kCellBytes);
  OPENSSL_cleanse(table.get(), cells * (n / 2) * sizeof(Cell));
  for (std::vector<Cell>* const used : {&x, &y, &odd}) {
    OPENSSL_cleanse(used->data(), used->size() * sizeof(Cell));
  }
}

#if defined(__x86_64__)
// It turns words in one instruction instead of three: a quarter of the time.
__attribute__((target("avx512vl"))) void mix_lane_wide(std::span<std::uint8_t> lane,
                                                       std::uint64_t n, std::uint32_t r) {
  mix_lane(lane, n, r);
}
#endif

}  // namespace

void scrypt_mix(std::span<std::uint8_t> lane, std::uint64_t n, std::uint32_t r) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512vl") != 0) return mix_lane_wide(lane, n, r);
#endif
  mix_lane(lane, n, r);
}

}  // namespace recover::backup
