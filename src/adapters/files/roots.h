// Which folders files may be cleaned from. The system's own never, whatever a playbook says.
#pragma once

#include <string>

#include <recover/result.h>

namespace recover::adapters::files {

// The root with every link in it resolved, or why it is refused. A root that does not exist is
// "" (nothing to do there).
Result<std::string, std::string> resolve_root(const std::string& root);

// Whether a folder, given without links, is one of the system's own. Pure.
bool is_protected(const std::string& path);

}  // namespace recover::adapters::files
