// Numbers that cannot be mistaken for one another.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>

namespace recover::base {

// An identifier of the kind `Tag` names. 0 is "none". Ids count up from 1 and are never reused.
template <class Tag>
struct Id {
  std::uint64_t value = 0;

  explicit constexpr operator bool() const noexcept { return value != 0; }
  // The check takes the 0 of a defaulted <=> for a null pointer.
  friend constexpr auto operator<=>(Id, Id) = default;  // NOLINT(modernize-use-nullptr)
};

// A position in a policy's list. Stable for the life of that policy.
template <class Tag>
struct Index {
  std::uint32_t value = 0;

  friend constexpr auto operator<=>(Index, Index) = default;  // NOLINT(modernize-use-nullptr)
};

}  // namespace recover::base

template <class Tag>
struct std::hash<recover::base::Id<Tag>> {
  std::size_t operator()(recover::base::Id<Tag> id) const noexcept {
    return std::hash<std::uint64_t>()(id.value);
  }
};
template <class Tag>
struct std::hash<recover::base::Index<Tag>> {
  std::size_t operator()(recover::base::Index<Tag> index) const noexcept {
    return std::hash<std::uint32_t>()(index.value);
  }
};
