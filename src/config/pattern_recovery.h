// patterns: what a failure pattern means and what is done about it. An action named in place of a
// playbook becomes a playbook of one step, called "<pattern>:<action>".
#pragma once

#include "config/draft.h"
#include "config/reader.h"

namespace recover::config {

// Adds the playbooks it makes to the end of `policy.playbooks`: no service has them of its own.
// REQUIRES: the policy's services and playbooks are resolved.
core::PatternPolicy resolve_pattern(Reader& reader, const PatternDraft& draft,
                                    core::Policy& policy);

}  // namespace recover::config
