// One line of the screen while it is being put together: knows its width in columns.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace flaky {

enum class Style : std::uint8_t {
  Plain,
  Dim,
  Bold,
  Green,
  Yellow,
  Red,
  Blue,
  Magenta,
  Cyan,
};

class Line {
 public:
  Line(std::size_t width, bool colour) : width_(width), colour_(colour) {}

  // UTF-8 in which every character takes one column. What does not fit is cut off.
  Line& put(std::string_view text, Style style = Style::Plain);
  // Blanks up to the column, counted from 0; none if the line is there already.
  Line& to(std::size_t column);

  std::string take() && { return std::move(text_); }

 private:
  std::size_t width_;
  bool colour_;
  std::size_t used_ = 0;
  std::string text_;
};

}  // namespace flaky
