// recovery_actions: a condition and the actions against it, as a playbook of that name.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/codec.h"
#include "config/draft.h"

namespace recover::config {

// The published classes, and `minor_corruption`: damage that a copy of the data repairs.
const Codec<core::FailureClass>& condition_codec();

// Adds a playbook to draft.short_forms for each condition.
void read_short_forms(Reader& reader, const Entry& entry, Draft& draft);
std::string short_form_shape();

// The step that an action's name alone stands for, in a minute; notes what is no such name.
std::optional<StepDraft> short_step(Reader& reader, const Node& node);
// It runs, and its probes pass.
std::vector<core::Expression> default_criteria();

}  // namespace recover::config
