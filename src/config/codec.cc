#include "config/codec.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <system_error>

#include "base/duration_text.h"
#include "base/size_text.h"

namespace recover::config {
namespace {

template <class Number>
std::optional<Number> parse_whole_text(std::string_view text, int base = 10) {
  Number value = 0;
  const char* last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, value, base);
  if (error != std::errc{} || end != last) return std::nullopt;
  return value;
}

std::optional<double> parse_number_text(std::string_view text) {
  double value = 0.0;
  const char* last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, value, std::chars_format::general);
  const bool finite = value > -1e300 && value < 1e300;  // Not so for nan.
  if (error != std::errc{} || end != last || !finite) return std::nullopt;
  return value;
}

bool is_plain_scalar(const Node& node) {
  return node.kind == Node::Kind::Scalar && node.plain;
}

void out_of_range(Reader& reader, const Node& node, const std::string& min,
                  const std::string& max) {
  reader.mistake(node.place, "`" + node.text + "` is out of range: from " + min + " to " + max);
}

std::string range_shape(std::string_view type, double min, double max) {
  if (!schema_wanted) return kNoShape;
  return R"({"type":")" + std::string(type) + R"(","minimum":)" + json_number(min) +
         ",\"maximum\":" + json_number(max) + "}";
}

struct SignalName {
  std::string_view name;
  int number;
};
// Numbers of Linux on x86-64 and arm64 (signal(7)).
constexpr std::array<SignalName, 14> kSignals = {{{"HUP", 1},
                                                  {"INT", 2},
                                                  {"QUIT", 3},
                                                  {"ABRT", 6},
                                                  {"KILL", 9},
                                                  {"USR1", 10},
                                                  {"USR2", 12},
                                                  {"PIPE", 13},
                                                  {"ALRM", 14},
                                                  {"TERM", 15},
                                                  {"CHLD", 17},
                                                  {"CONT", 18},
                                                  {"STOP", 19},
                                                  {"WINCH", 28}}};
constexpr int kSignalMax = 64;

std::optional<int> parse_signal(std::string_view text) {
  if (text.starts_with("SIG")) text.remove_prefix(3);
  for (const SignalName& signal : kSignals) {
    if (signal.name == text) return signal.number;
  }
  const auto number = parse_whole_text<int>(text);
  if (!number || *number < 1 || *number > kSignalMax) return std::nullopt;
  return number;
}

}  // namespace

Codec<bool> flag() {
  Codec<bool> codec;
  codec.shape = R"({"type":"boolean"})";
  codec.read = [](Reader& reader, const Node& node, bool) -> std::optional<bool> {
    if (is_plain_scalar(node) && node.text == "true") return true;
    if (is_plain_scalar(node) && node.text == "false") return false;
    reader.unexpected(node, "true or false");
    return std::nullopt;
  };
  codec.show = [](const bool& value) { return std::string(value ? "true" : "false"); };
  return codec;
}

template <class Int>
Codec<Int> whole(std::int64_t min, std::int64_t max) {
  Codec<Int> codec;
  codec.shape = range_shape("integer", static_cast<double>(min), static_cast<double>(max));
  codec.read = [min, max](Reader& reader, const Node& node, Int) -> std::optional<Int> {
    const auto value =
        is_plain_scalar(node) ? parse_whole_text<std::int64_t>(node.text) : std::nullopt;
    if (!value) {
      reader.unexpected(node, "a whole number");
      return std::nullopt;
    }
    if (*value < min || *value > max) {
      out_of_range(reader, node, std::to_string(min), std::to_string(max));
      return std::nullopt;
    }
    return static_cast<Int>(*value);
  };
  codec.show = [](const Int& value) { return std::to_string(value); };
  return codec;
}
template Codec<int> whole(std::int64_t, std::int64_t);
template Codec<std::uint16_t> whole(std::int64_t, std::int64_t);
template Codec<std::uint32_t> whole(std::int64_t, std::int64_t);
template Codec<std::uint64_t> whole(std::int64_t, std::int64_t);

Codec<double> number(double min, double max) {
  Codec<double> codec;
  codec.shape = range_shape("number", min, max);
  codec.read = [min, max](Reader& reader, const Node& node, double) -> std::optional<double> {
    const auto value = is_plain_scalar(node) ? parse_number_text(node.text) : std::nullopt;
    if (!value) {
      reader.unexpected(node, "a number");
      return std::nullopt;
    }
    if (*value < min || *value > max) {
      out_of_range(reader, node, json_number(min), json_number(max));
      return std::nullopt;
    }
    return value;
  };
  codec.show = [](const double& value) { return json_number(value); };
  return codec;
}

Codec<double> ratio(double max) {
  Codec<double> codec;
  codec.shape = R"({"anyOf":[{"type":"string","pattern":"^[0-9]+([.][0-9]+)?%$"},)" +
                range_shape("number", 0, max) + "]}";
  codec.read = [max](Reader& reader, const Node& node, double) -> std::optional<double> {
    std::optional<double> value;
    if (node.kind == Node::Kind::Scalar) value = base::parse_percentage(node.text);
    if (!value && is_plain_scalar(node)) value = parse_number_text(node.text);
    if (!value) {
      reader.unexpected(node, "a percentage such as `85%`");
      return std::nullopt;
    }
    if (*value < 0 || *value > max) {
      out_of_range(reader, node, "0%", base::format_percentage(max));
      return std::nullopt;
    }
    return value;
  };
  codec.show = [](const double& value) { return json_string(base::format_percentage(value)); };
  return codec;
}

Codec<Duration> duration(Duration min, Duration max) {
  Codec<Duration> codec;
  codec.shape = R"({"type":"string","pattern":"^([0-9]+(ns|us|ms|s|m|h|d))+$"})";
  codec.read = [min, max](Reader& reader, const Node& node, Duration) -> std::optional<Duration> {
    const auto value =
        node.kind == Node::Kind::Scalar ? base::parse_duration(node.text) : std::nullopt;
    if (!value) {
      reader.unexpected(node, "a duration such as `250ms`, `5s` or `1h30m`");
      return std::nullopt;
    }
    if (*value < min || *value > max) {
      out_of_range(reader, node, base::format_duration(min), base::format_duration(max));
      return std::nullopt;
    }
    return value;
  };
  codec.show = [](const Duration& value) { return json_string(base::format_duration(value)); };
  return codec;
}

Codec<std::uint64_t> size(std::uint64_t min) {
  Codec<std::uint64_t> codec;
  codec.shape = R"({"anyOf":[{"type":"string","pattern":"^[0-9]+([KMGTP]i?B|B)?$"},)"
                R"({"type":"integer","minimum":0}]})";
  codec.read = [min](Reader& reader, const Node& node,
                     std::uint64_t) -> std::optional<std::uint64_t> {
    const auto value = node.kind == Node::Kind::Scalar ? base::parse_size(node.text) : std::nullopt;
    if (!value) {
      reader.unexpected(node, "a size such as `512KB`, `10MiB` or `2GiB`");
      return std::nullopt;
    }
    if (*value < min) {
      reader.mistake(node.place,
                     "`" + node.text + "` is out of range: at least " + base::format_size(min));
      return std::nullopt;
    }
    return value;
  };
  codec.show = [](const std::uint64_t& value) { return json_string(base::format_size(value)); };
  return codec;
}

Codec<int> signal_number() {
  Codec<int> codec;
  codec.shape = R"({"type":["string","integer"]})";
  codec.read = [](Reader& reader, const Node& node, int) -> std::optional<int> {
    const auto number = node.kind == Node::Kind::Scalar ? parse_signal(node.text) : std::nullopt;
    if (!number) reader.unexpected(node, "a signal such as `TERM`, `HUP` or `10`");
    return number;
  };
  codec.show = [](const int& value) {
    for (const SignalName& signal : kSignals) {
      if (signal.number == value) return json_string(signal.name);
    }
    return std::to_string(value);
  };
  return codec;
}

Codec<std::uint32_t> octal() {
  Codec<std::uint32_t> codec;
  codec.shape = R"({"type":["string","integer"],"pattern":"^[0-7]{1,4}$"})";
  codec.read = [](Reader& reader, const Node& node, std::uint32_t) -> std::optional<std::uint32_t> {
    const auto value = node.kind == Node::Kind::Scalar
                           ? parse_whole_text<std::uint32_t>(node.text, 8)
                           : std::nullopt;
    if (value && *value <= 0777) return value;
    reader.unexpected(node, "octal digits such as `022`");
    return std::nullopt;
  };
  return codec;
}

std::optional<std::size_t> read_choice(Reader& reader, const Node& node,
                                       const std::vector<std::string_view>& choices) {
  if (node.kind == Node::Kind::Scalar) {
    const auto found = std::ranges::find(choices, node.text);
    if (found != choices.end()) return static_cast<std::size_t>(found - choices.begin());
  }
  std::string wanted = "one of";
  for (const std::string_view choice : choices) {
    wanted += (choice == choices.front() ? " `" : ", `") + std::string(choice) + "`";
  }
  std::string near;
  if (node.kind == Node::Kind::Scalar) near = did_you_mean(node.text, choices);
  reader.mistake(node.place, "expected " + wanted + ", found " + describe(node) + near);
  return std::nullopt;
}

std::string choice_shape(const std::vector<std::string_view>& choices) {
  if (!schema_wanted) return kNoShape;
  std::string out;
  for (const std::string_view choice : choices)
    out += (out.empty() ? "" : ",") + json_string(choice);
  return R"({"enum":[)" + out + "]}";
}

}  // namespace recover::config
