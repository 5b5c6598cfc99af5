// The command line described once: --help, completions and the manual page are made from it.
#pragma once

#include <string>
#include <vector>

namespace recover::apps {

struct OptionDoc {
  std::vector<std::string> names;  // "--json"; of a positional its one name, "SERVICE".
  std::string value;               // What it takes, "TEXT"; empty: a flag.
  std::string description;
  bool positional = false;
  std::vector<std::string> choices;  // Empty: anything.
};

struct CommandDoc {
  std::string name;
  std::string description;
  std::vector<OptionDoc> options;
  std::vector<CommandDoc> commands;
  std::string example = {};  // A whole command line; empty: none.
};

// A script for `shell`: bash, zsh or fish; empty for any other.
std::string completion_script(const CommandDoc& root, const std::string& shell);

// The manual page in troff (man macros), section 8.
std::string manual_page(const CommandDoc& root);

}  // namespace recover::apps
