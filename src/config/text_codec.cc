// The codecs of words, patterns, secrets and expressions.
#include <re2/re2.h>

#include <algorithm>
#include <charconv>
#include <system_error>

#include "config/codec.h"

namespace recover::config {
namespace {

constexpr std::string_view kTextShape = R"({"type":["string","number","boolean"]})";
constexpr std::size_t kIdentifierMax = 64;
constexpr std::int64_t kRegexMemory = 8 << 20;  // Bytes of a compiled expression.

std::optional<std::string> unhex(std::string_view text) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
    unsigned char byte = 0;
    const auto [end, error] = std::from_chars(text.data() + i, text.data() + i + 2, byte, 16);
    if (error != std::errc{} || end != text.data() + i + 2) return std::nullopt;
    bytes += static_cast<char>(byte);
  }
  return bytes;
}

// The offset of a name in an expression, as a whole word.
std::size_t find_word(std::string_view text, std::string_view word) {
  const auto part = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.';
  };
  for (std::size_t at = text.find(word); at != std::string_view::npos;
       at = text.find(word, at + 1)) {
    const std::size_t end = at + word.size();
    if ((at == 0 || !part(text[at - 1])) && (end == text.size() || !part(text[end]))) return at;
  }
  return 0;
}

void check_facts(Reader& reader, const Node& node, const core::Expression& expression) {
  const auto& known = core::fact_names();
  for (const std::string& fact : expression.names()) {
    if (std::ranges::find(known, fact) != known.end()) continue;
    reader.mistake(reader.inside(node, find_word(node.text, fact)),
                   "unknown fact `" + fact + "`" + did_you_mean(fact, known));
  }
}

}  // namespace

Codec<std::string> text() {
  Codec<std::string> codec;
  codec.shape = kTextShape;
  codec.read = [](Reader& reader, const Node& node, const std::string&) {
    return reader.plain_text(node);
  };
  codec.show = [](const std::string& value) { return json_string(value); };
  return codec;
}

bool is_identifier(std::string_view text) noexcept {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  };
  return !text.empty() && text.size() <= kIdentifierMax && text.front() != '.' &&
         text.front() != '-' && std::ranges::all_of(text, allowed);
}

Codec<std::string> identifier() {
  Codec<std::string> codec;
  codec.shape = R"({"type":["string","number"],"pattern":"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$"})";
  codec.read = [](Reader& reader, const Node& node,
                  const std::string&) -> std::optional<std::string> {
    auto text = reader.plain_text(node);
    if (!text || is_identifier(*text)) return text;
    reader.unexpected(node, "a name: up to 64 letters, digits, `-`, `_` and `.`");
    return std::nullopt;
  };
  return codec;
}

Codec<std::string> absolute_path() {
  Codec<std::string> codec;
  codec.shape = R"({"type":"string","pattern":"^/"})";
  codec.read = [](Reader& reader, const Node& node,
                  const std::string&) -> std::optional<std::string> {
    auto path = reader.plain_text(node);
    if (!path || path->starts_with('/')) return path;
    reader.mistake(node.place, "expected an absolute path, found " + describe(node));
    return std::nullopt;
  };
  codec.show = [](const std::string& value) {
    return value.empty() ? std::string() : json_string(value);
  };
  return codec;
}

Codec<std::string> regex() {
  Codec<std::string> codec;
  codec.shape = R"({"type":["string","number","boolean"],"format":"regex"})";
  codec.read = [](Reader& reader, const Node& node,
                  const std::string&) -> std::optional<std::string> {
    auto pattern = reader.plain_text(node);
    if (!pattern) return std::nullopt;
    RE2::Options options(RE2::Quiet);
    options.set_max_mem(kRegexMemory);
    const RE2 compiled(*pattern, options);
    if (compiled.ok()) return pattern;
    reader.mistake(node.place, "not a regular expression: " + compiled.error());
    return std::nullopt;
  };
  return codec;
}

Codec<base::Secret> secret() {
  Codec<base::Secret> codec;
  codec.shape = kTextShape;
  codec.read = [](Reader& reader, const Node& node,
                  const base::Secret&) -> std::optional<base::Secret> {
    auto text = reader.secret_text(node);
    return text ? std::optional(base::Secret(std::move(*text))) : std::nullopt;
  };
  return codec;
}

Codec<base::Secret> key() {
  constexpr std::size_t kKeySize = 32;
  Codec<base::Secret> codec;
  codec.shape = R"({"type":"string"})";
  codec.read = [](Reader& reader, const Node& node,
                  const base::Secret&) -> std::optional<base::Secret> {
    auto bytes = reader.secret_text(node, true);
    if (!bytes) return std::nullopt;
    if (bytes->size() == kKeySize) return base::Secret(std::move(*bytes));
    while (bytes->ends_with('\n') || bytes->ends_with('\r')) bytes->pop_back();
    if (bytes->size() == kKeySize) return base::Secret(std::move(*bytes));
    auto key = bytes->size() == 2 * kKeySize ? unhex(*bytes) : std::nullopt;
    if (key) return base::Secret(std::move(*key));
    reader.mistake(node.place, "a key must be 32 bytes, or 64 hexadecimal digits");
    return std::nullopt;
  };
  return codec;
}

Codec<Named> name() {
  Codec<Named> codec;
  codec.shape = kTextShape;
  codec.read = [](Reader& reader, const Node& node, const Named&) -> std::optional<Named> {
    auto text = reader.plain_text(node);
    return text ? std::optional(Named{std::move(*text), node.place}) : std::nullopt;
  };
  return codec;
}

Codec<core::Expression> expression() {
  Codec<core::Expression> codec;
  codec.shape = R"({"type":["string","boolean"]})";
  codec.read = [](Reader& reader, const Node& node,
                  const core::Expression&) -> std::optional<core::Expression> {
    const auto text = reader.plain_text(node);
    if (!text) return std::nullopt;
    auto parsed = core::Expression::parse(*text);
    if (!parsed) {
      reader.mistake(reader.inside(node, parsed.error().at), parsed.error().message);
      return std::nullopt;
    }
    check_facts(reader, node, *parsed);
    return std::move(parsed).value();
  };
  return codec;
}

}  // namespace recover::config
