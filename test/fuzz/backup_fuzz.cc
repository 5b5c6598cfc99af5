// Bytes are what lies in a repository or comes from a store, by whomever it was written: pack
// headers, index files, trees, snapshots, configs, locks, keys, frames, names, times, answers of an
// object store. Reading ends, and what was read is the same after it was written and read again.
//
// The first byte says what the rest is.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "backup/format/base64.h"
#include "backup/format/compression.h"
#include "backup/format/documents.h"
#include "backup/format/go_text.h"
#include "backup/format/pack.h"
#include "backup/format/tree.h"
#include "backup/store/s3/answer.h"
#include "script.h"

namespace recover::backup {
namespace {

using test::require;

void check_header(View bytes) {
  const auto entries = parse_header(bytes);
  if (!entries) return;
  const Bytes written = header_of(*entries);
  require(std::equal(written.begin(), written.end(), bytes.begin(), bytes.end()),
          "a header is what its entries say");
  require(entries->empty() || pack_bytes(*entries) > bytes.size(), "a pack holds its header");
}

std::vector<IndexedPack> packs_in(std::string_view text, bool& whole) {
  std::vector<IndexedPack> packs;
  whole = read_index(text, [&](IndexedPack&& pack) -> Outcome<void> {
            packs.push_back(std::move(pack));
            return {};
          }).has_value();
  return packs;
}

void check_index(std::string_view text) {
  bool whole = false;
  const auto packs = packs_in(text, whole);
  if (!whole) return;
  IndexText again;
  for (const IndexedPack& pack : packs) again.add(pack);
  const auto same = packs_in(again.finish(), whole);
  require(whole && same.size() == packs.size(), "an index comes back");
  for (std::size_t i = 0; i < packs.size(); ++i) {
    require(same[i].id == packs[i].id && same[i].blobs == packs[i].blobs, "with all its packs");
  }
}

void check_tree(std::string_view text) {
  std::vector<Node> nodes;
  const auto read = read_tree(text, [&](Node&& node) -> Outcome<void> {
    nodes.push_back(std::move(node));
    return {};
  });
  if (!read) return;
  const auto sorted = std::is_sorted(nodes.begin(), nodes.end(),
                                     [](const Node& a, const Node& b) { return a.name <= b.name; });
  const auto safe = std::all_of(nodes.begin(), nodes.end(),
                                [](const Node& node) { return is_safe_name(node.name); });
  if (!sorted || !safe) return;
  const auto text_again = [](const std::vector<Node>& all) {
    TreeText tree;
    for (const Node& node : all) tree.add(node);
    return tree.finish();
  };
  const std::string first = text_again(nodes);
  std::vector<Node> back;
  const auto reread = read_tree(first, [&](Node&& node) -> Outcome<void> {
    back.push_back(std::move(node));
    return {};
  });
  require(reread && back.size() == nodes.size(), "what we write of a tree is one");
  require(text_again(back) == first, "and says the same");
}

template <class Parse>
void check_document(std::string_view text, Parse&& parse) {
  const auto document = parse(text);
  if (!document) return;
  const std::string first = text_of(*document);
  const auto back = parse(first);
  require(back.has_value(), "what we write of a document is one");
  require(text_of(*back) == first, "and says the same");
}

void check_frame(View bytes) {
  constexpr std::size_t kMost = std::size_t{1} << 20U;
  Decompressor decompressor;
  const auto plain = decompressor.decompress_up_to(bytes, kMost);
  require(!plain || plain->size() <= kMost, "no more than was allowed");
  Bytes room(100);
  static_cast<void>(decompressor.decompress_into(bytes, room));
}

void check_texts(std::string_view text) {
  require(unquote_name(quote_name(text)) == std::string(text), "every name comes back");
  static_cast<void>(unquote_name(text));
  if (const auto time = parse_time(text)) {
    std::string written;
    append_json_time(written, *time);
    require(parse_time(written.substr(1, written.size() - 2)).has_value(), "a time is one");
  }
  if (const auto bytes = parse_base64(text)) {
    require(parse_base64(base64(*bytes)) == bytes, "base64 comes back");
  }
  static_cast<void>(s3::parse_list(text));
  static_cast<void>(s3::parse_uploads(text));
  static_cast<void>(s3::parse_error(text));
}

void check(unsigned kind, View bytes) {
  const std::string_view text = text_of(bytes);
  switch (kind) {
    case 0: return check_header(bytes);
    case 1: return check_index(text);
    case 2: return check_tree(text);
    case 3: return check_document(text, parse_snapshot);
    case 4: return check_document(text, parse_config);
    case 5: return check_document(text, parse_lock);
    case 6: return check_document(text, parse_key_file);
    case 7: return check_document(text, parse_master_key);
    case 8: return check_frame(bytes);
    default: return check_texts(text);
  }
}

}  // namespace
}  // namespace recover::backup

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr unsigned kKinds = 10;
  if (size == 0) return 0;
  recover::backup::check(data[0] % kKinds, recover::backup::View(data + 1, size - 1));
  return 0;
}
