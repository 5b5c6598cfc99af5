// Replies of the Redis protocol (RESP 2). Pure.
// Source: https://redis.io/docs/reference/protocol-spec/
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace recover::clients {

struct RedisReply {
  enum class Kind : std::uint8_t { Text, Error, Integer, Null, List, Malformed };
  Kind kind = Kind::Malformed;
  std::string text = {};  // Of a List: its items, one a line.
  std::int64_t integer = 0;
};

// Takes the first reply off `input`; none: more bytes are needed. After Malformed nothing more can
// be read.
std::optional<RedisReply> take_reply(std::string& input);

// A request of several words.
std::string redis_request(const std::vector<std::string>& words);

// The value of "name:value" in an INFO text; empty: not there.
std::string_view info_field(std::string_view info, std::string_view name);

}  // namespace recover::clients
