// Configurations of other supervisors, read and written down again as one recoverd.yaml.
//
// Text in, text out: reads no file, asks no machine. Refuses to guess: what has no equivalent is
// named in a remark with its place and left out. Invariant: the yaml passes `recoverd check`.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace recover::import {

enum class Format { Supervisor, Monit, Unit };

struct Source {
  std::string path;
  std::string text;
};

struct Imported {
  std::string yaml;
  std::vector<std::string> remarks;  // "FILE:LINE: what was not carried over".
  std::size_t services = 0;
};

// By the file's name, else by what it holds. None: it is none of them.
std::optional<Format> format_of(const Source& source);

// All sources become one configuration; a source of no known format becomes a remark.
Imported import_files(const std::vector<Source>& sources);

}  // namespace recover::import
