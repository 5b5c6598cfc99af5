#include "adapters/probe/redis_reply.h"

#include <charconv>

namespace recover::adapters::probe {
namespace {

constexpr std::int64_t kBulkMax = 1 << 20;

std::optional<std::int64_t> number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

std::optional<RedisReply> take_reply(std::string& input) {
  using Kind = RedisReply::Kind;
  const auto line_end = input.find("\r\n");
  if (line_end == std::string::npos) return std::nullopt;
  const char mark = input.front();
  std::string line = input.substr(1, line_end - 1);
  const auto rest = line_end + 2;
  if (mark == '$') {
    const std::optional<std::int64_t> size = number(line);
    if (!size || *size < -1 || *size > kBulkMax) return RedisReply{};
    if (*size == -1) {
      input.erase(0, rest);
      return RedisReply{.kind = Kind::Null, .text = {}};
    }
    const auto length = static_cast<std::size_t>(*size);
    if (input.size() < rest + length + 2) return std::nullopt;
    RedisReply reply{.kind = Kind::Text, .text = input.substr(rest, length)};
    input.erase(0, rest + length + 2);
    return reply;
  }
  input.erase(0, rest);
  if (mark == '+') return RedisReply{.kind = Kind::Text, .text = std::move(line)};
  if (mark == '-') return RedisReply{.kind = Kind::Error, .text = std::move(line)};
  if (mark != ':') return RedisReply{};
  const std::optional<std::int64_t> value = number(line);
  if (!value) return RedisReply{};
  return RedisReply{.kind = Kind::Integer, .text = {}, .integer = *value};
}

std::string redis_request(const std::vector<std::string>& words) {
  std::string out = "*" + std::to_string(words.size()) + "\r\n";
  for (const std::string& word : words) {
    out += "$" + std::to_string(word.size()) + "\r\n" + word + "\r\n";
  }
  return out;
}

std::string_view info_field(std::string_view info, std::string_view name) {
  while (!info.empty()) {
    const auto end = info.find("\r\n");
    const std::string_view line = info.substr(0, end);
    if (line.size() > name.size() && line.starts_with(name) && line[name.size()] == ':') {
      return line.substr(name.size() + 1);
    }
    if (end == std::string_view::npos) break;
    info.remove_prefix(end + 2);
  }
  return {};
}

}  // namespace recover::adapters::probe
