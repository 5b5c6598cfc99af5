// The trace hash: a canonical encoding of values, taken in 64 bits at a time, the same on every
// machine and with every compiler. Not for secrets.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <recover/random.h>
#include <recover/time.h>

#include "base/id.h"
#include "core/event.h"
#include "runtime/fields.h"

namespace recover::sim {

class Digest {
 public:
  explicit Digest(std::uint64_t basis = 0) : hash_(basis) {}
  std::uint64_t value() const noexcept { return hash_; }

  void add(std::uint64_t word) noexcept {
    hash_ = (hash_ ^ word) * 0x9e3779b97f4a7c15U;
    hash_ ^= hash_ >> 29U;
  }
  // The length first, then little-endian words, the last one filled with zeros.
  void add(std::string_view text) noexcept {
    add(text.size());
    while (!text.empty()) {
      const std::size_t taken = text.size() < 8 ? text.size() : 8;
      add(taken == 8 ? whole_word(text) : part_of_word(text));
      text.remove_prefix(taken);
    }
  }
  void add(const std::string& text) noexcept { add(std::string_view(text)); }
  void add(bool value) noexcept { add(std::uint64_t{value}); }
  void add(double value) noexcept { add(std::bit_cast<std::uint64_t>(value)); }
  void add(Duration value) noexcept { add(static_cast<std::uint64_t>(value.count())); }
  void add(Instant value) noexcept { add(value.time_since_epoch()); }
  template <class Tag>
  void add(base::Id<Tag> id) noexcept {
    add(std::uint64_t{id.value});
  }
  template <class Tag>
  void add(base::Index<Tag> index) noexcept {
    add(std::uint64_t{index.value});
  }
  template <class T>
  requires(std::is_enum_v<T> || (std::is_integral_v<T> && !std::is_same_v<T, bool> &&
                                 !std::is_same_v<T, std::uint64_t>)) void add(T value) noexcept {
    add(static_cast<std::uint64_t>(value));
  }
  void add(core::Incarnation& value) { runtime::fields(*this, value); }
  template <class T>
  void add(const std::optional<T>& value) {
    add(value.has_value());
    if (value) add(*value);
  }

  // As runtime::fields() calls it.
  template <class T>
  void operator()(std::string_view /*name*/, T& value) {
    add(value);
  }

 private:
  // REQUIRES of both: not empty; of whole_word(): eight characters or more.
  static std::uint64_t part_of_word(std::string_view text) noexcept {
    std::uint64_t word = 0;
    for (std::size_t at = std::min<std::size_t>(text.size(), 8); at > 0; --at) {
      word = word << 8U | static_cast<unsigned char>(text[at - 1]);
    }
    return word;
  }
  static std::uint64_t whole_word(std::string_view text) noexcept {
    if constexpr (std::endian::native != std::endian::little) return part_of_word(text);
    std::uint64_t word = 0;
    std::memcpy(&word, text.data(), sizeof word);
    return word;
  }

  std::uint64_t hash_;
};

}  // namespace recover::sim
