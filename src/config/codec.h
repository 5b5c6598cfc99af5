// How one kind of value is read, described in the JSON Schema and shown as a default.
//
// Reading notes what is wrong in the Reader and then gives nothing; it never throws.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <recover/time.h>

#include "base/secret.h"
#include "config/json_text.h"
#include "config/near_miss.h"
#include "config/reader.h"
#include "core/expression.h"
#include "core/vocabulary.h"

namespace recover::config {

template <class V>
struct Codec {
  // From the value so far (the default) to the value read.
  std::function<std::optional<V>(Reader&, const Node&, V)> read;
  std::string shape;                          // A JSON Schema object.
  std::function<std::string(const V&)> show;  // As JSON; none: no default is shown.
};

inline constexpr Duration kDurationMax = std::chrono::hours{24 * 366};
inline constexpr Duration kTick = std::chrono::milliseconds{1};

Codec<bool> flag();
// A whole number; Int is int or one of the unsigned types.
template <class Int>
Codec<Int> whole(std::int64_t min, std::int64_t max);
Codec<double> number(double min, double max);
// "85%" or 0.85.
Codec<double> ratio(double max = 1.0);
Codec<Duration> duration(Duration min = Duration::zero(), Duration max = kDurationMax);
Codec<std::uint64_t> size(std::uint64_t min = 0);
Codec<std::string> text();
// Up to 64 letters, digits, `-`, `_` and `.`, not beginning with `-` or `.`.
bool is_identifier(std::string_view text) noexcept;
Codec<std::string> identifier();
Codec<std::string> absolute_path();
// Must compile as RE2.
Codec<std::string> regex();
Codec<base::Secret> secret();
// 32 bytes as they are, or 64 hex digits.
Codec<base::Secret> key();
Codec<Named> name();
// TERM, SIGTERM or 15.
Codec<int> signal_number();
Codec<std::uint32_t> octal();
// Its facts must be known.
Codec<core::Expression> expression();

// The same without showing its default.
template <class V>
Codec<V> silent(Codec<V> codec) {
  codec.show = nullptr;
  return codec;
}

// The word of a scalar among `choices`, as its position; notes anything else.
std::optional<std::size_t> read_choice(Reader& reader, const Node& node,
                                       const std::vector<std::string_view>& choices);
// {"enum":[…]}
std::string choice_shape(const std::vector<std::string_view>& choices);

template <class E>
Codec<E> choice(std::vector<std::pair<std::string_view, E>> choices) {
  std::vector<std::string_view> names;
  for (const auto& each : choices) names.push_back(each.first);
  Codec<E> codec;
  codec.shape = choice_shape(names);
  codec.read = [choices, names](Reader& reader, const Node& node, E) -> std::optional<E> {
    const auto index = read_choice(reader, node, names);
    return index ? std::optional(choices[*index].second) : std::nullopt;
  };
  codec.show = [choices](const E& value) {
    for (const auto& each : choices) {
      if (each.second == value) return json_string(each.first);
    }
    return std::string("null");
  };
  return codec;
}

// The closed sets of core/vocabulary.h, by their published names.
template <class E>
std::vector<std::string_view> names_of() {
  std::vector<std::string_view> names;
  for (std::size_t i = 0; i < core::count_of<E>(); ++i) {
    names.push_back(core::to_string(static_cast<E>(i)));
  }
  return names;
}

template <class E>
Codec<E> one_of() {
  std::vector<std::pair<std::string_view, E>> choices;
  for (std::size_t i = 0; i < core::count_of<E>(); ++i) {
    const auto value = static_cast<E>(i);
    choices.emplace_back(core::to_string(value), value);
  }
  return choice<E>(std::move(choices));
}

inline constexpr std::size_t kListMax = 1'000;

// A list of `min` to kListMax items; what is wrong is said.
inline bool expect_list(Reader& reader, const Node& node, std::size_t min) {
  if (node.kind != Node::Kind::List) {
    reader.unexpected(node, "a list");
  } else if (node.items.size() < min) {
    reader.mistake(node.place, "the list must not be empty");
  } else if (node.items.size() > kListMax) {
    reader.mistake(node.place, "the list has more than " + std::to_string(kListMax) + " items");
  } else {
    return true;
  }
  return false;
}

template <class V>
std::string show_list(const Codec<V>& item, const std::vector<V>& values) {
  std::string out = "[";
  for (const V& value : values) out += (out.size() > 1 ? "," : "") + item.show(value);
  return out + "]";
}

template <class V>
Codec<std::vector<V>> list_of(Codec<V> item, std::size_t min = 0) {
  Codec<std::vector<V>> codec;
  codec.shape = R"({"type":"array","items":)" + item.shape +
                (min > 0 ? ",\"minItems\":" + std::to_string(min) : std::string()) + "}";
  codec.read = [item, min](Reader& reader, const Node& node,
                           std::vector<V>) -> std::optional<std::vector<V>> {
    if (!expect_list(reader, node, min)) return std::nullopt;
    std::vector<V> values;
    for (const Node& each : node.items) {
      if (auto value = item.read(reader, each, V{})) values.push_back(std::move(*value));
    }
    return values;
  };
  if (item.show) {
    codec.show = [item](const std::vector<V>& values) { return show_list(item, values); };
  }
  return codec;
}

// A map whose keys the user chooses, in the order of the file.
template <class V>
Codec<std::vector<std::pair<std::string, V>>> map_of(Codec<V> item) {
  using Pairs = std::vector<std::pair<std::string, V>>;
  Codec<Pairs> codec;
  codec.shape = R"({"type":"object","additionalProperties":)" + item.shape + "}";
  codec.read = [item](Reader& reader, const Node& node, Pairs) -> std::optional<Pairs> {
    if (node.kind != Node::Kind::Map) {
      reader.unexpected(node, "a map");
      return std::nullopt;
    }
    Pairs pairs;
    for (const Entry& entry : node.entries) {
      auto value = item.read(reader, entry.value, V{});
      if (value) pairs.emplace_back(entry.key, std::move(*value));
    }
    return pairs;
  };
  return codec;
}

}  // namespace recover::config
