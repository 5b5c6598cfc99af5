#include "config/tree_memory.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <utility>

namespace recover::config {
namespace {

constexpr std::string_view kFormat = "recoverd-trees 2\n";
constexpr int kDepthMax = 1'000;

template <class Int>
void put(std::string& out, Int value) {
  std::array<char, sizeof value> bytes{};
  std::memcpy(bytes.data(), &value, sizeof value);
  out.append(bytes.data(), bytes.size());
}

void put_text(std::string& out, std::string_view text) {
  put(out, static_cast<std::uint32_t>(text.size()));
  out.append(text);
}

void put_place(std::string& out, const Place& place) {
  put(out, place.line);
  put(out, place.column);
}

// As deep as the YAML library lets a document be.
void put_node(std::string& out, const Node& node) {  // NOLINT(misc-no-recursion)
  put(out, static_cast<std::uint8_t>(node.kind));
  put(out, static_cast<std::uint8_t>(node.plain ? 1 : 0));
  put_place(out, node.place);
  put_text(out, node.text);
  put(out, static_cast<std::uint32_t>(node.items.size()));
  for (const Node& item : node.items) put_node(out, item);
  put(out, static_cast<std::uint32_t>(node.entries.size()));
  for (const Entry& entry : node.entries) {
    put_text(out, entry.key);
    put_place(out, entry.place);
    put_node(out, entry.value);
  }
}

// Reads what put() wrote; after anything that does not fit, failed() and nothing but zeros.
class Packed {
 public:
  Packed(std::string_view bytes, std::uint32_t file) : bytes_(bytes), file_(file) {}

  bool failed() const noexcept { return failed_; }
  bool at_end() const noexcept { return bytes_.empty(); }

  template <class Int>
  Int number() {
    Int value{};
    if (bytes_.size() < sizeof value) return fail(), value;
    std::memcpy(&value, bytes_.data(), sizeof value);
    bytes_.remove_prefix(sizeof value);
    return value;
  }
  std::string_view text() {
    const auto size = number<std::uint32_t>();
    if (size > bytes_.size()) return fail(), std::string_view();
    const std::string_view found = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return found;
  }
  // Of things that take at least a byte each.
  std::uint32_t count() {
    const auto size = number<std::uint32_t>();
    if (size > bytes_.size()) return fail(), 0;
    return size;
  }
  Place place() {
    const int line = number<int>();
    return {.file = file_, .line = line, .column = number<int>()};
  }
  void node(Node& node, int depth) {  // NOLINT(misc-no-recursion)
    const auto kind = number<std::uint8_t>();
    if (kind > static_cast<std::uint8_t>(Node::Kind::Map) || depth > kDepthMax) return fail();
    node.kind = static_cast<Node::Kind>(kind);
    node.plain = number<std::uint8_t>() != 0;
    node.place = place();
    node.text = text();
    node.items.resize(count());
    for (Node& item : node.items) {
      if (!failed_) this->node(item, depth + 1);
    }
    node.entries.resize(count());
    for (Entry& entry : node.entries) {
      if (failed_) return;
      entry.key = text();
      entry.place = place();
      this->node(entry.value, depth + 1);
    }
  }

 private:
  void fail() {
    failed_ = true;
    bytes_ = {};
  }

  std::string_view bytes_;
  std::uint32_t file_;
  bool failed_ = false;
};

}  // namespace

TreeMemory::TreeMemory(std::string bytes, std::string program)
    : bytes_(std::move(bytes)), program_(std::move(program)) {
  if (!bytes_.starts_with(kFormat) || bytes_.size() > kBytesMax) return;
  Packed source(std::string_view(bytes_).substr(kFormat.size()), 0);
  if (source.text() != program_) return;
  while (!source.failed() && !source.at_end()) {
    const std::string_view text = source.text();
    files_.push_back({.text = text, .tree = source.text(), .used = false, .own = nullptr});
  }
  if (source.failed()) files_.clear();
}

std::optional<std::vector<Node>> TreeMemory::find(std::string_view text, std::uint32_t file) {
  const auto found = std::ranges::find(files_, text, &File::text);
  if (found == files_.end()) return std::nullopt;
  Packed source(found->tree, file);
  std::vector<Node> documents(source.count());
  for (Node& document : documents) source.node(document, 0);
  if (source.failed() || !source.at_end()) return std::nullopt;
  found->used = true;
  return documents;
}

void TreeMemory::add(std::string_view text, const std::vector<Node>& documents) {
  auto own = std::make_unique<std::string>(text);
  put(*own, static_cast<std::uint32_t>(documents.size()));
  for (const Node& document : documents) put_node(*own, document);
  const std::string_view both(*own);
  files_.push_back({.text = both.substr(0, text.size()),
                    .tree = both.substr(text.size()),
                    .used = true,
                    .own = std::move(own)});
  added_ = true;
}

bool TreeMemory::changed() const noexcept {
  return added_ || !std::ranges::all_of(files_, &File::used);
}

std::string TreeMemory::bytes() const {
  std::string out(kFormat);
  put_text(out, program_);
  for (const File& file : files_) {
    if (!file.used) continue;
    put_text(out, file.text);
    put_text(out, file.tree);
  }
  return out;
}

}  // namespace recover::config
