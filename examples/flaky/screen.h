// Draws a View as lines of text with ANSI colours. Pure: writes nothing itself.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "view.h"

namespace flaky {

inline constexpr std::size_t kEventLinesMax = 8;

struct Canvas {
  std::size_t width = 80;   // Longer lines are cut off.
  std::size_t height = 24;  // The oldest events are left out first.
  bool colour = true;       // False: no escape sequence at all.
};

std::vector<std::string> draw(const View& view, const Canvas& canvas);

// The same in one line, for a log.
std::string summary_line(const View& view);

}  // namespace flaky
