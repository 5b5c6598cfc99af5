#include "clients/redis_reply.h"

#include <gtest/gtest.h>

namespace recover::clients {
namespace {

TEST(RedisReply, TakesWholeRepliesOnly) {
  std::string input = "+PONG\r\n:12\r\n$5\r\nab\r\nc\r\n$-1\r\n-ERR no\r\n$3\r\nab";
  EXPECT_EQ(take_reply(input)->text, "PONG");
  EXPECT_EQ(take_reply(input)->integer, 12);
  EXPECT_EQ(take_reply(input)->text, "ab\r\nc");
  EXPECT_EQ(take_reply(input)->kind, RedisReply::Kind::Null);
  EXPECT_EQ(take_reply(input)->kind, RedisReply::Kind::Error);
  EXPECT_FALSE(take_reply(input));
  std::string html = "HTTP/1.1 400 Bad Request\r\n";
  EXPECT_EQ(take_reply(html)->kind, RedisReply::Kind::Malformed);
  std::string huge = "$99999999999\r\n";
  EXPECT_EQ(take_reply(huge)->kind, RedisReply::Kind::Malformed);
}

TEST(RedisReply, ListsAreOneItemALine) {
  std::string input = "*3\r\n$1\r\na\r\n:7\r\n*2\r\n+b\r\n$-1\r\n*0\r\n*-1\r\n*2\r\n:1\r\n";
  const auto list = take_reply(input);
  EXPECT_EQ(list->kind, RedisReply::Kind::List);
  EXPECT_EQ(list->text, "a\n7\nb\n");
  EXPECT_EQ(take_reply(input)->text, "");
  EXPECT_EQ(take_reply(input)->kind, RedisReply::Kind::Null);
  EXPECT_FALSE(take_reply(input));
  std::string deep;
  for (int depth = 0; depth < 20; ++depth) deep += "*1\r\n";
  EXPECT_EQ(take_reply(deep)->kind, RedisReply::Kind::Malformed);
  std::string empty_line = "\r\n";
  EXPECT_EQ(take_reply(empty_line)->kind, RedisReply::Kind::Malformed);
}

}  // namespace
}  // namespace recover::clients
