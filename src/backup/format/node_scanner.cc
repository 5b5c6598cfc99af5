#include "backup/format/node_scanner.h"

#include <boost/json/parse.hpp>

#include <charconv>
#include <limits>

#include "backup/format/base64.h"

namespace recover::backup {
namespace {

bool is_plain(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x20 && byte < 0x80 && c != '"' && c != '\\';  // UTF-8 has to be looked at.
}

// The length of a JSON string's text up to its closing quotation mark.
std::size_t string_length(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size() && text[at] != '"') at += text[at] == '\\' ? 2 : 1;
  return at;
}

}  // namespace

NodeScanner::NodeScanner(std::string_view text) : rest_(text) {
  broken_ = !take("{\"nodes\":[");
}

bool NodeScanner::take(std::string_view wanted) {
  if (!rest_.starts_with(wanted)) return false;
  rest_.remove_prefix(wanted.size());
  return true;
}

// What follows the opening quotation mark, and the closing one.
bool NodeScanner::take_string(std::string& to) {
  std::size_t length = 0;
  while (length < rest_.size() && is_plain(rest_[length])) ++length;
  if (length < rest_.size() && rest_[length] == '"') {
    to.assign(rest_.substr(0, length));
    rest_.remove_prefix(length + 1);
    return true;
  }
  length += string_length(rest_.substr(length));
  if (length >= rest_.size()) return false;
  boost::json::error_code error;
  const auto value = boost::json::parse("\"" + std::string(rest_.substr(0, length)) + "\"", error);
  if (error || !value.is_string()) return false;
  to.assign(value.get_string().data(), value.get_string().size());
  rest_.remove_prefix(length + 1);
  return true;
}

bool NodeScanner::take_number(std::uint64_t& to) {
  const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), to);
  if (error != std::errc()) return false;
  rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
  return !rest_.empty() && (rest_.front() == ',' || rest_.front() == '}');
}

bool NodeScanner::take_time(std::string_view key, Timestamp& to) {
  if (!take(key)) return false;
  const std::size_t end = rest_.find('"');
  if (end == std::string_view::npos) return false;
  const auto time = parse_time(rest_.substr(0, end));
  if (!time) return false;
  to = *time;
  rest_.remove_prefix(end + 1);
  return true;
}

bool NodeScanner::take_name(Node& node) {
  if (!take("{\"name\":\"") || !take_string(node.name)) return false;
  if (node.name.find_first_of("\\\"") == std::string::npos) return true;
  auto name = unquote_name(node.name);
  if (!name) return false;
  node.name = std::move(*name);
  return true;
}

bool NodeScanner::take_type(Node& node) {
  const std::size_t end = take(",\"type\":\"") ? rest_.find('"') : std::string_view::npos;
  if (end == std::string_view::npos) return false;
  node.type = parse_node_type(rest_.substr(0, end));
  rest_.remove_prefix(end + 1);
  std::uint64_t mode = 0;
  if (take(",\"mode\":") && !take_number(mode)) return false;
  node.mode = unix_mode(mode);
  return true;
}

bool NodeScanner::take_owner(Node& node) {
  std::uint64_t uid = 0;
  std::uint64_t gid = 0;
  constexpr std::uint64_t kMax = std::numeric_limits<std::uint32_t>::max();
  if (!take(",\"uid\":") || !take_number(uid) || uid > kMax) return false;
  if (!take(",\"gid\":") || !take_number(gid) || gid > kMax) return false;
  node.uid = static_cast<std::uint32_t>(uid);
  node.gid = static_cast<std::uint32_t>(gid);
  if (take(",\"user\":\"") && !take_string(node.user)) return false;
  return !take(",\"group\":\"") || take_string(node.group);
}

bool NodeScanner::take_numbers(Node& node) {
  return (!take(",\"inode\":") || take_number(node.inode)) &&
         (!take(",\"device_id\":") || take_number(node.device_id)) &&
         (!take(",\"size\":") || take_number(node.size)) &&
         (!take(",\"links\":") || take_number(node.links));
}

// A target that is no UTF-8 is left to the general parser.
bool NodeScanner::take_link(Node& node) {
  return !take(",\"linktarget\":\"") || take_string(node.link_target);
}

bool NodeScanner::take_attributes(Node& node) {
  if (take(",\"extended_attributes\":[")) {
    do {
      ExtendedAttribute& attribute = node.attributes.emplace_back();
      if (!take("{\"name\":\"") || !take_string(attribute.name)) return false;
      if (!take(",\"value\":\"") || !take_string(attribute.value) || !take("}")) return false;
      const auto value = parse_base64(attribute.value);
      if (!value) return false;
      attribute.value = text_of(*value);
    } while (take(","));
    if (!take("]")) return false;
  }
  return !take(",\"device\":") || take_number(node.device);
}

bool NodeScanner::take_digest(Digest& to) {
  constexpr std::size_t kHexDigits = 2 * kDigestBytes;
  if (rest_.size() < kHexDigits + 2 || rest_[0] != '"' || rest_[kHexDigits + 1] != '"')
    return false;
  const auto digest = parse_digest(rest_.substr(1, kHexDigits));
  if (!digest) return false;
  to = *digest;
  rest_.remove_prefix(kHexDigits + 2);
  return true;
}

bool NodeScanner::take_content(Node& node) {
  if (!take(",\"content\":")) return false;
  if (take("null") || take("[]")) return true;
  if (!take("[")) return false;
  do {
    if (!take_digest(node.content.emplace_back())) return false;
  } while (take(","));
  return take("]");
}

bool NodeScanner::take_subtree(Node& node) {
  if (!take(",\"subtree\":")) return true;
  return take_digest(node.subtree.emplace());
}

std::optional<Node> NodeScanner::next() {
  if (broken_ || complete_) return std::nullopt;
  if (take("]}")) {
    complete_ = rest_.empty() || rest_ == "\n";
    broken_ = !complete_;
    return std::nullopt;
  }
  Node node;
  if (!first_ && !take(",")) broken_ = true;
  first_ = false;
  const std::string_view begin = rest_;
  const bool good =
      !broken_ && take_name(node) && take_type(node) && take_time(",\"mtime\":\"", node.mtime) &&
      take_time(",\"atime\":\"", node.atime) && take_time(",\"ctime\":\"", node.ctime) &&
      take_owner(node) && take_numbers(node) && take_link(node) && take_attributes(node) &&
      take_content(node) && take_subtree(node) && take("}");
  broken_ = !good;
  if (!good) return std::nullopt;
  node_text_ = begin.substr(0, begin.size() - rest_.size());
  return node;
}

}  // namespace recover::backup
