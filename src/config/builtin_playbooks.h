// The playbooks of the repository's playbooks/ folder, put into the program when it is built.
#pragma once

#include <span>
#include <string_view>

namespace recover::config {

struct BuiltinPlaybook {
  std::string_view id;  // The file's name.
  std::string_view text;
};

std::span<const BuiltinPlaybook> builtin_playbooks() noexcept;

}  // namespace recover::config
