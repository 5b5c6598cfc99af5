#include "backup/browse/tree_cursor.h"

#include <algorithm>
#include <string>
#include <utility>

#include "backup/format/tree.h"

namespace recover::backup {
namespace {

// Of a tree's text so many nodes are in memory.
constexpr std::size_t kCursorNodes = 4096;

// Whether a scanner gets through it, and the names are in order: of all that we or restic write.
bool is_as_written(const LoadedTree& tree) {
  NodeScanner scanner(tree.text());
  std::string last;
  std::size_t seen = 0;
  while (auto node = scanner.next()) {
    if (node->name < last) return false;
    last = std::move(node->name);
    if (++seen % kCursorNodes == 0) tree.give_back();
  }
  return scanner.is_complete();
}

}  // namespace

Outcome<TreeCursor> TreeCursor::open(const Repository& repository, const BlobIndex& index,
                                     const Digest& tree, BlobCodec& codec) {
  auto loaded = repository.load_tree(index, tree, codec);
  if (!loaded) return Unexpected(std::move(loaded.error()));
  TreeCursor cursor;
  if (loaded->is_long() && is_as_written(*loaded)) {
    cursor.giant_ = std::move(*loaded);
    cursor.scanner_.emplace(cursor.giant_->text());
    cursor.next();
    return cursor;
  }
  auto read = read_tree(loaded->text(), [&](Node&& node) -> Outcome<void> {
    cursor.nodes_.push_back(std::move(node));
    return {};
  });
  if (!read) return Unexpected(std::move(read.error()));
  std::stable_sort(cursor.nodes_.begin(), cursor.nodes_.end(),
                   [](const Node& a, const Node& b) { return a.name < b.name; });
  cursor.next();
  return cursor;
}

void TreeCursor::next() {
  const std::size_t at = next_++;
  if (scanner_) {
    node_ = scanner_->next();
    if (next_ % kCursorNodes == 0) giant_->give_back();
    return;
  }
  node_ = at < nodes_.size() ? std::optional(std::move(nodes_[at])) : std::nullopt;
}

}  // namespace recover::backup
