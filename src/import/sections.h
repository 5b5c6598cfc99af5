// Files of [sections] with `key = value` lines, as supervisord and systemd write them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace recover::import {

struct Setting {
  std::string key;
  std::string value;
  std::size_t line = 0;
};
struct Section {
  std::string name;  // Without the brackets.
  std::size_t line = 0;
  std::vector<Setting> settings;

  // The last value of the key; none: a null pointer.
  const Setting* find(std::string_view key) const;
};

enum class Dialect {
  Supervisor,  // `;` and `#` after a blank begin a comment; indented lines go on.
  Unit,        // Only whole lines are comments; a `\` at the end goes on.
};
std::vector<Section> read_sections(std::string_view text, Dialect dialect);

}  // namespace recover::import
