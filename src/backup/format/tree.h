// A tree: the nodes of one folder, in the order of their raw names.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "backup/failure.h"
#include "backup/format/node.h"

namespace recover::backup {

// The text of a tree, node after node. Its SHA-256 is the tree's ID.
class TreeText {
 public:
  // REQUIRES: names strictly increasing as bytes; no empty name, ".", ".." or '/'.
  void add(const Node& node);
  // The same of a node that is text already.
  void add_text(std::string_view node);
  // The whole text; begins anew.
  std::string finish();
  std::size_t size() const noexcept { return text_.size(); }

 private:
  std::string text_ = "{\"nodes\":[";
  std::string last_;
  bool empty_ = true;
};

// Calls `use` for each node of a tree's text, in its order, without holding them all. Unknown
// fields are skipped. A failure of `use` ends the reading and is returned. Damaged: no tree. Names
// may be anything a hostile writer chose: is_safe_name() before a file system sees them.
Outcome<void> read_tree(std::string_view text, const std::function<Outcome<void>(Node&&)>& use);

// The same, and the text of each node; none where it is not exactly as we would write it.
Outcome<void> read_tree_texts(
    std::string_view text,
    const std::function<Outcome<void>(Node&& node, std::string_view node_text)>& use);

// Not empty, not "." or "..", no '/' and no zero byte.
bool is_safe_name(std::string_view name);

}  // namespace recover::backup
