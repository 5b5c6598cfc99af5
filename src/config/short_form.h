// recovery_actions: a condition and the actions against it, as a playbook of that name.
#pragma once

#include <string>

#include "config/codec.h"
#include "config/draft.h"

namespace recover::config {

// The published classes, and `minor_corruption`: damage that a copy of the data repairs.
const Codec<core::FailureClass>& condition_codec();

// Adds a playbook to draft.short_forms for each condition.
void read_short_forms(Reader& reader, const Entry& entry, Draft& draft);
std::string short_form_shape();

}  // namespace recover::config
