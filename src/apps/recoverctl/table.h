// Rows in columns that fit the terminal: prose gives way first, then the widest column. Without a
// terminal only prose gives way, so that whoever reads the output finds every name whole.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "apps/recoverctl/terminal.h"

namespace recover::apps {

struct Cell {
  std::string text;
  Tone tone = Tone::Plain;
};

// A cell whose colour is that of the state it names.
Cell state_cell(std::string state);
// "-" for nothing.
std::string dash(std::string text);
// "1.5KiB"
std::string size_text(double bytes);

class Table {
 public:
  explicit Table(std::vector<std::string> header) : header_(std::move(header)) {}

  // The last column is text for people, as long as it may be.
  Table& ends_in_prose() {
    prose_ = true;
    return *this;
  }

  // REQUIRES: as many cells as the header has.
  void add(std::vector<Cell> row);
  bool empty() const noexcept { return rows_.empty(); }

  // No trailing spaces; control characters in cells are made harmless.
  std::string text(const Terminal& terminal) const;

 private:
  static constexpr std::size_t kGap = 2;  // Between columns.
  static constexpr std::size_t kColumnMin = 4;
  static constexpr std::size_t kProseMin = 24;
  static constexpr std::size_t kPageWidth = 80;  // What prose fits into without a terminal.

  std::vector<std::size_t> widths(std::size_t total) const;

  bool prose_ = false;
  std::vector<std::string> header_;
  std::vector<std::vector<Cell>> rows_;
};

}  // namespace recover::apps
