// Cuts a tree's text into its nodes and reads nothing of them but their names: several times as
// fast as reading them. For texts that we wrote; what deviates from their form is refused.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace recover::backup {

// Refers to the text, which must outlive it.
class TreePieces {
 public:
  explicit TreePieces(std::string_view text);

  struct Piece {
    std::string name;  // Raw bytes.
    std::string_view text;
  };
  // The next node in the text's order; none at its end, and where it deviates.
  std::optional<Piece> next();
  // Whether next() found the whole text read.
  bool is_complete() const noexcept { return complete_; }

 private:
  // Where a node begins at or behind `from`; npos: nowhere.
  std::size_t find_node(std::size_t from) const;

  std::string_view text_;
  std::size_t at_ = 0;  // Of the next node.
  bool complete_ = false;
};

}  // namespace recover::backup
