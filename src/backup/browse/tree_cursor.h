// The nodes of one folder in the order of their names, one at a time: of a giant folder no more is
// in memory than a few thousand.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "backup/format/node.h"
#include "backup/format/node_scanner.h"
#include "backup/repo/repository.h"

namespace recover::backup {

class TreeCursor {
 public:
  static Outcome<TreeCursor> open(const Repository& repository, const BlobIndex& index,
                                  const Digest& tree, BlobCodec& codec);

  // None: there are no more.
  const Node* node() const { return node_ ? &*node_ : nullptr; }
  // REQUIRES: node().
  void next();

 private:
  TreeCursor() = default;

  std::vector<Node> nodes_;  // Of a folder that is not giant, or not in order.
  std::size_t next_ = 0;     // Of these, or of the scanner's.
  std::optional<LoadedTree> giant_;
  std::optional<NodeScanner> scanner_;  // Refers to giant_.
  std::optional<Node> node_;
};

}  // namespace recover::backup
