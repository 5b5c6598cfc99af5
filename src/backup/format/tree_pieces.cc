#include "backup/format/tree_pieces.h"

#include <boost/json/parse.hpp>
#include <string.h>

#include <utility>

#include "backup/format/go_text.h"

namespace recover::backup {
namespace {

constexpr std::string_view kTreeBegin = "{\"nodes\":[";
constexpr std::string_view kTreeEnd = "]}\n";
// No string of JSON has it: a quotation mark in one is escaped.
constexpr std::string_view kNodeBegin = "{\"name\":\"";
constexpr std::string_view kNodeGoesOn = ",\"type\":";
constexpr std::size_t kNone = std::string_view::npos;

// Behind the closing quotation mark of the string that begins at `from`.
std::size_t end_of_string(std::string_view text, std::size_t from) {
  while (from < text.size() && text[from] != '"') from += text[from] == '\\' ? 2 : 1;
  return from < text.size() ? from + 1 : kNone;
}

std::optional<std::string> raw_name(std::string_view json) {
  if (json.find('\\') == kNone) return std::string(json);
  boost::json::error_code error;
  const auto value = boost::json::parse("\"" + std::string(json) + "\"", error);
  if (error || !value.is_string()) return std::nullopt;
  return unquote_name(std::string_view(value.get_string().data(), value.get_string().size()));
}

}  // namespace

TreePieces::TreePieces(std::string_view text) : text_(text) {
  if (!text_.starts_with(kTreeBegin) || !text_.ends_with(kTreeEnd)) {
    at_ = text_.size();
    return;
  }
  text_.remove_suffix(kTreeEnd.size());
  at_ = kTreeBegin.size();
  complete_ = at_ == text_.size();
}

std::size_t TreePieces::find_node(std::size_t from) const {
  while (from < text_.size()) {
    const void* const found =
        ::memmem(text_.data() + from, text_.size() - from, kNodeBegin.data(), kNodeBegin.size());
    if (found == nullptr) return kNone;
    const auto begin = static_cast<std::size_t>(static_cast<const char*>(found) - text_.data());
    const std::size_t end = end_of_string(text_, begin + kNodeBegin.size());
    if (end == kNone) return kNone;
    // An extended attribute begins like a node and goes on otherwise.
    if (text_.substr(end).starts_with(kNodeGoesOn)) return begin;
    from = end;
  }
  return kNone;
}

std::optional<TreePieces::Piece> TreePieces::next() {
  if (at_ >= text_.size() || !text_.substr(at_).starts_with(kNodeBegin)) return std::nullopt;
  const std::size_t name = at_ + kNodeBegin.size();
  const std::size_t name_end = end_of_string(text_, name);
  if (name_end == kNone) return std::nullopt;
  const std::size_t after = find_node(name_end);
  const std::size_t end = after == kNone ? text_.size() : after - 1;
  const std::string_view node = text_.substr(at_, end - at_);
  auto raw = raw_name(text_.substr(name, name_end - 1 - name));
  if (!raw || !node.ends_with('}') || (after != kNone && text_[end] != ',')) return std::nullopt;
  at_ = after == kNone ? text_.size() : after;
  complete_ = after == kNone;
  return Piece{.name = std::move(*raw), .text = node};
}

}  // namespace recover::backup
