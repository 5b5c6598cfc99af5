// The configuration as the daemon has it: loaded from files now, or from a journal's memory.
#pragma once

#include <string>
#include <vector>

#include <recover/result.h>

#include "config/load.h"
#include "core/policy.h"
#include "runtime/replay.h"

namespace recover::apps {

// `trees`: of texts read before; borrowed, may be null. `state_dir`: beats the file's when not
// empty. Error: every mistake, "FILE:LINE:COL: message".
Result<config::Loaded, std::vector<std::string>> load_configuration(
    const std::string& path, const std::string& state_dir, config::TreeMemory* trees = nullptr);

// The policy that a journal's text stood for. Error: the first mistake.
Result<core::Policy, std::string> load_remembered(const runtime::PolicyText& text);

// Writes the file beside and renames it over the old one, with the old one's mode.
Result<void, std::string> write_configuration(const std::string& path, std::string_view text);

}  // namespace recover::apps
