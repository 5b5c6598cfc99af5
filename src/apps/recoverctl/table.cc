#include "apps/recoverctl/table.h"

#include <algorithm>
#include <iterator>
#include <numeric>
#include <utility>

#include <recover/check.h>

namespace recover::apps {

namespace {

std::string line_of(const Terminal& terminal, const std::vector<Cell>& cells,
                    const std::vector<std::size_t>& widths, std::size_t gap) {
  std::string line;
  std::size_t owed = 0;  // Spaces before the next text; none at the end of a line.
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const std::string text = cut(cells[i].text, widths[i]);
    if (!text.empty()) {
      line.append(owed, ' ').append(painted(terminal, cells[i].tone, text));
      owed = 0;
    }
    owed += widths[i] - columns_of(text) + gap;
  }
  return line + "\n";
}

}  // namespace

std::string dash(std::string text) {
  return text.empty() ? "-" : std::move(text);
}

std::string size_text(double bytes) {
  constexpr double kStep = 1024.0;
  const char* const kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  while (bytes >= kStep && unit + 1 < std::size(kUnits)) {
    bytes /= kStep;
    ++unit;
  }
  const auto tenths = static_cast<long long>(bytes * 10.0 + 0.5);
  std::string text = std::to_string(tenths / 10);
  if (unit > 0) text += "." + std::to_string(tenths % 10);
  return text + kUnits[unit];
}

Cell state_cell(std::string state) {
  const Tone tone = tone_of(state);
  return {std::move(state), tone};
}

void Table::add(std::vector<Cell> row) {
  RECOVER_CHECK(row.size() == header_.size());
  for (Cell& cell : row) cell.text = printable(cell.text);
  rows_.push_back(std::move(row));
}

std::vector<std::size_t> Table::widths(std::size_t total) const {
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < header_.size(); ++i) {
    std::size_t width = columns_of(header_[i]);
    for (const auto& row : rows_) width = std::max(width, columns_of(row[i].text));
    widths.push_back(width);
  }
  const std::size_t gaps = kGap * (header_.size() - 1);
  std::size_t used = std::accumulate(widths.begin(), widths.end(), gaps);
  const std::size_t page = total == Terminal::kUnlimited ? kPageWidth : total;
  if (prose_ && used > page && widths.back() > kProseMin) {
    const std::size_t less = std::min(used - page, widths.back() - kProseMin);
    widths.back() -= less;
    used -= less;
  }
  while (used > total) {
    const auto widest = std::max_element(widths.begin(), widths.end());
    if (*widest <= kColumnMin) break;
    --*widest;
    --used;
  }
  return widths;
}

std::string Table::text(const Terminal& terminal) const {
  const std::vector<std::size_t> columns = widths(terminal.width);
  std::vector<Cell> header;
  for (const std::string& name : header_) header.push_back({name, Tone::Dim});
  std::string text = line_of(terminal, header, columns, kGap);
  for (const auto& row : rows_) text += line_of(terminal, row, columns, kGap);
  return text;
}

}  // namespace recover::apps
