#include "clients/redis_reply.h"

#include <charconv>

namespace recover::clients {
namespace {

constexpr std::int64_t kBulkMax = 1 << 20;

std::optional<std::int64_t> number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

constexpr std::int64_t kListMax = 100'000;
constexpr int kListDepthMax = 8;

using Kind = RedisReply::Kind;

// Reads on from `at`, which is moved behind the reply.
std::optional<RedisReply> read_reply(std::string_view input, std::size_t& at, int depth);

std::optional<RedisReply> read_bulk(std::string_view input, std::size_t& at, std::int64_t size) {
  if (size < -1 || size > kBulkMax) return RedisReply{};
  if (size == -1) return RedisReply{.kind = Kind::Null};
  const auto length = static_cast<std::size_t>(size);
  if (input.size() < at + length + 2) return std::nullopt;
  RedisReply reply{.kind = Kind::Text, .text = std::string(input.substr(at, length))};
  at += length + 2;
  return reply;
}

// As deep as kListDepthMax.  NOLINTNEXTLINE(misc-no-recursion)
std::optional<RedisReply> read_list(std::string_view input, std::size_t& at, std::int64_t count,
                                    int depth) {
  if (count < -1 || count > kListMax || depth >= kListDepthMax) return RedisReply{};
  if (count == -1) return RedisReply{.kind = Kind::Null};
  RedisReply list{.kind = Kind::List};
  for (std::int64_t index = 0; index < count; ++index) {
    const auto item = read_reply(input, at, depth + 1);
    if (!item || item->kind == Kind::Malformed) return item;
    if (index > 0) list.text += '\n';
    list.text += item->kind == Kind::Integer ? std::to_string(item->integer) : item->text;
  }
  return list;
}

// NOLINTNEXTLINE(misc-no-recursion)
std::optional<RedisReply> read_reply(std::string_view input, std::size_t& at, int depth) {
  const auto line_end = input.find("\r\n", at);
  if (line_end == std::string_view::npos) return std::nullopt;
  if (line_end == at) return RedisReply{};
  const char mark = input[at];
  const std::string line(input.substr(at + 1, line_end - at - 1));
  at = line_end + 2;
  if (mark == '+') return RedisReply{.kind = Kind::Text, .text = line};
  if (mark == '-') return RedisReply{.kind = Kind::Error, .text = line};
  const std::optional<std::int64_t> value = number(line);
  if (!value) return RedisReply{};
  if (mark == '$') return read_bulk(input, at, *value);
  if (mark == '*') return read_list(input, at, *value, depth);
  if (mark != ':') return RedisReply{};
  return RedisReply{.kind = Kind::Integer, .integer = *value};
}

}  // namespace

std::optional<RedisReply> take_reply(std::string& input) {
  std::size_t at = 0;
  auto reply = read_reply(input, at, 0);
  if (reply) input.erase(0, at);
  return reply;
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

}  // namespace recover::clients
