// Which paths a backup leaves out, in restic's pattern language.
//
// A pattern is split at '/'; each part is a shell pattern (fnmatch(3)), "**" any number of parts.
// With a leading '/' it must fit from the root, otherwise from any folder on. What lies below a
// path that fits is left out with it. A leading '!' takes a path back in, as long as its folder is
// not left out.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace recover::backup {

class ExcludeList {
 public:
  explicit ExcludeList(const std::vector<std::string>& patterns);

  // `path` is absolute; its folders are known not to be excluded.
  bool matches(std::string_view path) const;
  bool empty() const noexcept { return patterns_.empty(); }

 private:
  struct Pattern {
    std::vector<std::string> parts;
    bool from_root = false;
    bool takes_back = false;
  };
  std::vector<Pattern> patterns_;
};

}  // namespace recover::backup
