// free_resources: one step of a playbook that becomes several: files removed, sessions ended,
// caches dropped, as it says. Each goes on when another finds nothing to free; validation has the
// last word.
#pragma once

#include <string>
#include <vector>

#include "config/draft.h"
#include "config/reader.h"

namespace recover::config {

// Its arguments; null: none given, which stands for old files called recoverd-* in /tmp and
// /var/tmp.
FreeResources read_free_resources(Reader& reader, const Node* with);

// The steps with each free_resources replaced by what it stands for.
std::vector<StepDraft> expanded(std::vector<StepDraft> steps);

// JSON Schema of its arguments.
std::string free_resources_shape();

}  // namespace recover::config
