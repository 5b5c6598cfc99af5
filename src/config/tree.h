// YAML as a tree of plain nodes that know where they stand.
//
// The only place that knows the YAML library. Refuses keys given twice, keys that are not plain
// words, and files beyond its bounds; anchors are copied within those bounds.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/place.h"

namespace recover::config {

struct Entry;

// Trees copy themselves by recursion, as deep as the YAML library lets them be.
struct Node {  // NOLINT(misc-no-recursion)
  enum class Kind : std::uint8_t { Null, Scalar, List, Map };
  Kind kind = Kind::Null;
  Place place;
  bool plain = true;  // Of a scalar: without quotes, so `5` may be a number.
  std::string text;
  std::vector<Node> items;
  std::vector<Entry> entries;  // No key twice.

  const Entry* find(std::string_view key) const noexcept;
  bool has(std::string_view key) const noexcept { return find(key) != nullptr; }
};

struct Entry {  // NOLINT(misc-no-recursion)
  std::string key;
  Place place;  // Of the key.
  Node value;
};

struct TreeMistake {
  Place place;
  std::string message;
};

struct Documents {
  std::vector<Node> roots;  // One a YAML document; those before a syntax error are kept.
  std::vector<TreeMistake> mistakes;
  bool complete = true;  // False: a syntax error ended the reading.
};

inline constexpr std::size_t kTextMax = 4U << 20U;  // Bytes of a file.
inline constexpr std::size_t kNodesMax = 200'000;   // Of a file, with anchors copied.
inline constexpr std::size_t kKeysMax = 10'000;     // Of a map.
inline constexpr std::size_t kDocumentsMax = 1'000;

// Any bytes. `file` goes into every Place.
Documents parse_documents(const std::string& text, std::uint32_t file);

// "a list", "a map", "nothing", "`text`"
std::string describe(const Node& node);

}  // namespace recover::config
