// Texts byte for byte as restic writes them, and readers that take everything restic takes.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "backup/format/base64.h"
#include "backup/format/compression.h"
#include "backup/format/documents.h"
#include "backup/format/go_text.h"
#include "backup/format/pack.h"
#include "backup/format/tree.h"

namespace recover::backup {
namespace {

std::string json_of(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}
std::string time_of(Timestamp time) {
  std::string out;
  append_json_time(out, time);
  return out;
}

TEST(GoText, JsonStrings) {
  EXPECT_EQ(json_of("a\"b\\c"), R"("a\"b\\c")");
  EXPECT_EQ(json_of("\n\r\t\x01\x08\x0c"), R"("\n\r\t\u0001\u0008\u000c")");
  EXPECT_EQ(json_of("<>&"), R"("\u003c\u003e\u0026")");
  EXPECT_EQ(json_of("\xe2\x80\xa8\xe2\x80\xa9"), R"("\u2028\u2029")");
  EXPECT_EQ(json_of("\xff\xc0\x80"), R"("\ufffd\ufffd\ufffd")");
  EXPECT_EQ(json_of("\xc3\xa9\x7f\xf0\x9f\x98\x80"), "\"\xc3\xa9\x7f\xf0\x9f\x98\x80\"");
}

TEST(GoText, QuotedNames) {
  EXPECT_EQ(quote_name("a\"b\\c"), R"(a\"b\\c)");
  EXPECT_EQ(quote_name("\a\b\f\n\r\t\v\x01\x7f"), R"(\a\b\f\n\r\t\v\x01\x7f)");
  EXPECT_EQ(quote_name("\xff\xed\xa0\x80"), R"(\xff\xed\xa0\x80)") << "no UTF-8, no surrogates";
  EXPECT_EQ(quote_name("\xc2\xa0\xe2\x80\xa8\xef\xbb\xbf"), R"(\u00a0\u2028\ufeff)");
  EXPECT_EQ(quote_name("\xf3\xa0\x80\x81"), R"(\U000e0001)");
  EXPECT_EQ(quote_name("\xc3\xa9 \xf0\x9f\x98\x80"), "\xc3\xa9 \xf0\x9f\x98\x80");
}

TEST(GoText, UnquotesEveryForm) {
  EXPECT_EQ(unquote_name(R"(\101\x42\u0043\U00000044)"), "ABCD");
  for (const std::string_view bad :
       {"\"", "\n", "\\", "\\'", "\\q", "\\x4", "\\400", "\\ud800", "\\U00110000"}) {
    EXPECT_FALSE(unquote_name(bad)) << bad;
  }
}

RC_GTEST_PROP(GoText, EveryNameComesBack, (const std::string& raw)) {
  RC_ASSERT(unquote_name(quote_name(raw)) == raw);
}
RC_GTEST_PROP(GoText, AnyBytesAreReadWithoutHarm, (const std::string& raw)) {
  (void)unquote_name(raw);
  (void)parse_time(raw);
  (void)read_tree(raw, [](Node&&) { return Outcome<void>(); });
  (void)read_index(raw, [](IndexedPack&&) { return Outcome<void>(); });
}

TEST(GoText, Times) {
  EXPECT_EQ(time_of({.seconds = 0}), "\"1970-01-01T00:00:00Z\"");
  EXPECT_EQ(time_of({.seconds = 1, .nanoseconds = 732963910}), "\"1970-01-01T00:00:01.73296391Z\"");
  EXPECT_EQ(time_of({.seconds = -1, .nanoseconds = 1}), "\"1969-12-31T23:59:59.000000001Z\"");
  EXPECT_EQ(time_of({.seconds = 1LL << 40U}), "\"9999-12-31T23:59:59Z\"");
  EXPECT_EQ(time_of({.seconds = -(1LL << 40U)}), "\"0000-01-01T00:00:00Z\"");
  EXPECT_EQ(parse_time("2026-11-22T04:24:06.5+05:30"),
            (Timestamp{.seconds = 1795301646, .nanoseconds = 500'000'000}));
  for (const std::string_view bad :
       {"", "2026-11-22 04:24:06Z", "2026-02-30T00:00:00Z", "2026-11-22T04:24:06",
        "2026-11-22T04:24:06.Z", "2026-11-22T24:00:00Z"}) {
    EXPECT_FALSE(parse_time(bad)) << bad;
  }
}

RC_GTEST_PROP(GoText, EveryTimeComesBack, ()) {
  const Timestamp time{.seconds = *rc::gen::inRange<std::int64_t>(-62167219200, 253402300800),
                       .nanoseconds = *rc::gen::inRange<std::uint32_t>(0, 1'000'000'000)};
  const std::string text = time_of(time);
  RC_ASSERT(parse_time(std::string_view(text).substr(1, text.size() - 2)) == time);
}

TEST(Node, IsWrittenAsResticWrites) {
  Node node{.name = "hard1", .type = NodeType::File, .mode = 0644};
  node.mtime = node.atime = {.seconds = 1795301646, .nanoseconds = 730384241};
  node.ctime = {.seconds = 1795301646, .nanoseconds = 732963910};
  node.user = node.group = "root";
  node.inode = 11108573;
  node.device_id = 65024;
  node.size = 5;
  node.links = 3;
  node.content = {sha256(view_of("hello"))};
  std::string text;
  append_node(text, node);
  EXPECT_EQ(text,
            R"({"name":"hard1","type":"file","mode":420,"mtime":"2026-11-21T22:54:06.730384241Z",)"
            R"("atime":"2026-11-21T22:54:06.730384241Z","ctime":"2026-11-21T22:54:06.73296391Z",)"
            R"("uid":0,"gid":0,"user":"root","group":"root","inode":11108573,"device_id":65024,)"
            R"("size":5,"links":3,"content":[)"
            R"("2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"]})");
  EXPECT_EQ(go_mode(NodeType::Folder, 0755), 2147484141U);
  EXPECT_EQ(go_mode(NodeType::Symlink, 0777), 134218239U);
  EXPECT_EQ(unix_mode(go_mode(NodeType::File, 07777)), 07777U);
}

Node sample(std::string name, NodeType type) {
  Node node{.name = std::move(name), .type = type, .mode = 0751};
  if (type == NodeType::Symlink) node.link_target = "broken \xff target";
  if (type == NodeType::CharDevice) node.device = ~std::uint64_t{0};
  if (type == NodeType::Folder) node.subtree = sha256({});
  node.attributes = {{.name = "user.b", .value = std::string("\0\x01", 2)},
                     {.name = "user.a", .value = ""}};
  node.inode = ~std::uint64_t{0};
  return node;
}

TEST(Tree, ComesBack) {
  std::vector<Node> nodes;
  for (const NodeType type : {NodeType::File, NodeType::Folder, NodeType::Symlink,
                              NodeType::BlockDevice, NodeType::CharDevice, NodeType::Fifo}) {
    nodes.push_back(sample("name " + std::string(to_string(type)), type));
  }
  std::sort(nodes.begin(), nodes.end(),
            [](const Node& a, const Node& b) { return a.name < b.name; });
  TreeText tree;
  for (const Node& node : nodes) tree.add(node);
  std::vector<Node> back;
  ASSERT_TRUE(read_tree(tree.finish(), [&](Node&& node) -> Outcome<void> {
    back.push_back(std::move(node));
    return {};
  }));
  EXPECT_EQ(back, nodes);
  EXPECT_EQ(hex(sha256(view_of(TreeText().finish()))),
            "ac08ce34ba4f8123618661bef2425f7028ffb9ac740578a3ee88684d2523fee8");
}

TEST(Tree, SkipsWhatItDoesNotKnow) {
  std::vector<std::string> names;
  const auto take = [&](Node&& node) -> Outcome<void> {
    names.push_back(node.name);
    return {};
  };
  EXPECT_TRUE(
      read_tree(R"({"x":[{"name":"no"}],"nodes":[{"name":"a","more":{"name":"no","content":["z"]},)"
                R"("y":[1,2.5,-3],"content":null}],"z":null})",
                take));
  EXPECT_EQ(names, std::vector<std::string>{"a"});
  for (const std::string_view bad :
       {"", "[]", "{}", "{\"nodes\":[{\"name\":\"\\\"\"}]}", "{\"nodes\":[{\"mtime\":\"soon\"}]}",
        "{\"nodes\":[{\"content\":[\"12\"]}]}", "{\"nodes\":[{\"uid\":4294967296}]}",
        "{\"nodes\":["}) {
    EXPECT_EQ(read_tree(bad, take).error().kind, FailureKind::Damaged) << bad;
  }
}

TEST(Documents, ComeBack) {
  const std::string text = R"({"time":"2026-11-21T22:54:06.5Z","parent":")" + std::string(64, 'a') +
                           R"(","tree":")" + std::string(64, 'b') +
                           R"(","paths":["/srv","/etc"],"hostname":"h","username":"u","uid":5,)"
                           R"("tags":["t"],"program_version":"x"})";
  const auto snapshot = parse_snapshot(text);
  ASSERT_TRUE(snapshot);
  EXPECT_EQ(text_of(*snapshot), text);
  EXPECT_EQ(parse_snapshot("{}").error().kind, FailureKind::Damaged);
  EXPECT_EQ(parse_snapshot("[").error().kind, FailureKind::Damaged);
  EXPECT_EQ(
      parse_config(R"({"version":3,"id":"x","chunker_polynomial":"25b468838dcb75"})").error().kind,
      FailureKind::Unsupported);
  EXPECT_EQ(
      parse_config(R"({"version":2,"id":"x","chunker_polynomial":"25b468838dcb74"})").error().kind,
      FailureKind::Damaged);
  const MasterKey key = MasterKey::random();
  EXPECT_EQ(text_of(parse_master_key(text_of(key)).value()), text_of(key));
}

TEST(Pack, HeaderComesBack) {
  std::vector<BlobEntry> entries = {
      {.id = sha256({}), .type = BlobType::Data, .offset = 0, .length = 40},
      {.id = sha256(view_of("a")),
       .type = BlobType::Tree,
       .offset = 40,
       .length = 50,
       .uncompressed_length = 99}};
  const Bytes header = header_of(entries);
  EXPECT_EQ(header.size(), 37U + 41U);
  EXPECT_EQ(parse_header(header).value(), entries);
  EXPECT_EQ(pack_bytes(entries), 40U + 50U + 37U + 41U + 36U);
  for (std::size_t cut = 1; cut < header.size(); ++cut) {
    EXPECT_EQ(parse_header(View(header).first(cut)).has_value(), cut == 37);
  }
}

TEST(Index, ComesBack) {
  const IndexedPack pack{.id = sha256(view_of("p")),
                         .blobs = {{.id = sha256({}),
                                    .type = BlobType::Tree,
                                    .offset = 7,
                                    .length = 40,
                                    .uncompressed_length = 99}}};
  IndexText text;
  text.add(pack);
  text.add(pack);
  std::size_t packs = 0;
  ASSERT_TRUE(read_index(text.finish(), [&](IndexedPack&& read) -> Outcome<void> {
    ++packs;
    EXPECT_EQ(read.id, pack.id);
    EXPECT_EQ(read.blobs, pack.blobs);
    return {};
  }));
  EXPECT_EQ(packs, 2U);
}

// Found by the fuzzer: what followed it could not be read.
TEST(Index, APackWithoutBlobsSpoilsNothing) {
  const Digest id = sha256(view_of("pack"));
  IndexText text;
  text.add({.id = id, .blobs = {}});
  text.add({.id = id, .blobs = {{.id = id, .length = 40}}});
  std::size_t packs = 0;
  EXPECT_TRUE(read_index(text.finish(), [&](IndexedPack&&) -> Outcome<void> {
    ++packs;
    return {};
  }));
  EXPECT_EQ(packs, 2U);
}

TEST(Compression, ComesBackOrSaysDamaged) {
  Compressor compressor;
  Decompressor decompressor;
  const std::string plain(100'000, 'z');
  const View frame = compressor.compress(view_of(plain));
  EXPECT_LT(frame.size(), 1000U);
  EXPECT_EQ(text_of(decompressor.decompress(frame, plain.size()).value()), plain);
  EXPECT_EQ(text_of(decompressor.decompress_up_to(frame, plain.size()).value()), plain);
  for (const std::size_t wrong : {plain.size() - 1, plain.size() + 1}) {
    EXPECT_EQ(decompressor.decompress(frame, wrong).error().kind, FailureKind::Damaged);
  }
  EXPECT_FALSE(decompressor.decompress_up_to(frame, plain.size() - 1));
  EXPECT_FALSE(decompressor.decompress_up_to(frame.first(frame.size() - 1), plain.size()));
}

TEST(Base64, KnownAnswers) {
  EXPECT_EQ(base64(view_of("foob")), "Zm9vYg==");
  EXPECT_EQ(base64({}), "");
  EXPECT_EQ(text_of(parse_base64("Zm9vYg==").value()), "foob");
  EXPECT_FALSE(parse_base64("Zm9vYg="));
  EXPECT_FALSE(parse_base64("Zm9%Yg=="));
}

}  // namespace
}  // namespace recover::backup
