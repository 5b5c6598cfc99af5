#include "apps/recoverd_backup/text_diff.h"

#include <algorithm>
#include <vector>

namespace recover::apps {
namespace {

using Lines = std::vector<std::string_view>;
constexpr std::size_t kContext = 3;

// Each with its end of line.
Lines lines_of(std::string_view text) {
  Lines lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
    lines.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return lines;
}

// One line of the result: ' ' of both, '-' only before, '+' only after.
struct Edit {
  char sign = ' ';
  std::string_view line;
};
using Edits = std::vector<Edit>;

// E. W. Myers, "An O(ND) Difference Algorithm and Its Variations", 1986: the furthest that each
// diagonal gets with d edits, for d = 0, 1, …; then the way back.
class Myers {
 public:
  Myers(const Lines& a, const Lines& b) : a_(a), b_(b) {}

  // Empty where the texts are not: too many edits.
  Edits run() {
    const std::size_t most = std::min(kEditsMax, a_.size() + b_.size());
    std::vector<long> furthest(2 * most + 3, 0);
    const long middle = static_cast<long>(most) + 1;
    for (long d = 0; d <= static_cast<long>(most); ++d) {
      trace_.emplace_back(furthest.begin() + (middle - d - 1), furthest.begin() + (middle + d + 2));
      for (long k = -d; k <= d; k += 2) {
        const auto at = [&](long diagonal) -> long& {
          return furthest[static_cast<std::size_t>(middle + diagonal)];
        };
        long x = k == -d || (k != d && at(k - 1) < at(k + 1)) ? at(k + 1) : at(k - 1) + 1;
        while (x < size(a_) && x - k < size(b_) && line(a_, x) == line(b_, x - k)) ++x;
        at(k) = x;
        if (x >= size(a_) && x - k >= size(b_)) return way_back(d);
      }
    }
    return {};
  }

 private:
  static long size(const Lines& lines) { return static_cast<long>(lines.size()); }
  static std::string_view line(const Lines& lines, long at) {
    return lines[static_cast<std::size_t>(at)];
  }

  Edits way_back(long edits) const {
    Edits result;
    long x = size(a_);
    long y = size(b_);
    for (long d = edits; d > 0; --d) {
      const std::vector<long>& before = trace_[static_cast<std::size_t>(d)];
      const auto at = [&](long diagonal) {
        return before[static_cast<std::size_t>(diagonal + d + 1)];
      };
      const long k = x - y;
      const bool down = k == -d || (k != d && at(k - 1) < at(k + 1));
      const long from = down ? k + 1 : k - 1;
      const long x_from = at(from);
      for (; x > x_from && y > x_from - from; --x, --y) result.push_back({' ', line(a_, x - 1)});
      if (down) {
        result.push_back({'+', line(b_, --y)});
      } else {
        result.push_back({'-', line(a_, --x)});
      }
    }
    for (; x > 0; --x) result.push_back({' ', line(a_, x - 1)});
    std::reverse(result.begin(), result.end());
    return result;
  }

  const Lines& a_;
  const Lines& b_;
  std::vector<std::vector<long>> trace_;  // Before each d.
};

std::string range_text(std::size_t begin, std::size_t count) {
  const std::string first = std::to_string(count == 0 ? begin : begin + 1);
  return count == 1 ? first : first + "," + std::to_string(count);
}

void append_line(std::string& out, const Edit& edit) {
  out.push_back(edit.sign);
  out += edit.line;
  if (!edit.line.ends_with('\n')) out += "\n\\ No newline at end of file\n";
}

// A stretch of edits that is told: changes and the lines around them.
struct Hunk {
  std::size_t begin = 0;
  std::size_t end = 0;
};

// Changes so close that their contexts meet are told together.
std::vector<Hunk> hunks_in(const Edits& edits) {
  std::vector<Hunk> hunks;
  for (std::size_t i = 0; i < edits.size(); ++i) {
    if (edits[i].sign == ' ') continue;
    const Hunk around{.begin = i - std::min(i, kContext),
                      .end = std::min(i + kContext + 1, edits.size())};
    if (!hunks.empty() && hunks.back().end >= around.begin) {
      hunks.back().end = around.end;
    } else {
      hunks.push_back(around);
    }
  }
  return hunks;
}

std::size_t lines_without(char sign, const Edits& edits, std::size_t begin, std::size_t end) {
  return static_cast<std::size_t>(std::count_if(
      edits.begin() + static_cast<long>(begin), edits.begin() + static_cast<long>(end),
      [sign](const Edit& edit) { return edit.sign != sign; }));
}

std::string text_of(const Edits& edits) {
  std::string out;
  for (const Hunk& hunk : hunks_in(edits)) {
    out += "@@ -" +
           range_text(lines_without('+', edits, 0, hunk.begin),
                      lines_without('+', edits, hunk.begin, hunk.end)) +
           " +" +
           range_text(lines_without('-', edits, 0, hunk.begin),
                      lines_without('-', edits, hunk.begin, hunk.end)) +
           " @@\n";
    for (std::size_t i = hunk.begin; i < hunk.end; ++i) append_line(out, edits[i]);
  }
  return out;
}

}  // namespace

std::string unified_diff(std::string_view before, std::string_view before_name,
                         std::string_view after, std::string_view after_name) {
  if (before == after) return {};
  const Lines a = lines_of(before);
  const Lines b = lines_of(after);
  Edits edits = Myers(a, b).run();
  if (edits.empty()) {
    for (const std::string_view line : a) edits.push_back({'-', line});
    for (const std::string_view line : b) edits.push_back({'+', line});
  }
  return "--- " + std::string(before_name) + "\n+++ " + std::string(after_name) + "\n" +
         text_of(edits);
}

}  // namespace recover::apps
