// Reads a tree's text of exactly the form that restic and we write, several times as fast as a
// general JSON parser and without its checks of what cannot be otherwise. What deviates by a byte
// is refused: then the general parser decides (tree.cc).
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "backup/format/node.h"

namespace recover::backup {

// Refers to the text, which must outlive it.
class NodeScanner {
 public:
  explicit NodeScanner(std::string_view text);

  // The next node in the text's order; none at its end, and where it deviates.
  std::optional<Node> next();
  // Of the last node: its text, from { to }.
  std::string_view text() const noexcept { return node_text_; }
  // Whether next() found the whole text read.
  bool is_complete() const noexcept { return complete_; }

 private:
  bool take(std::string_view wanted);
  bool take_string(std::string& to);
  bool take_name(Node& node);
  bool take_type(Node& node);
  bool take_number(std::uint64_t& to);
  bool take_time(std::string_view key, Timestamp& to);
  bool take_owner(Node& node);
  bool take_numbers(Node& node);
  bool take_link(Node& node);
  bool take_attributes(Node& node);
  bool take_digest(Digest& to);
  bool take_content(Node& node);
  bool take_subtree(Node& node);

  std::string_view rest_;
  std::string_view node_text_;
  bool first_ = true;
  bool broken_ = false;
  bool complete_ = false;
};

}  // namespace recover::backup
