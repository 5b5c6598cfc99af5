// Rules about playbooks and services that no single value breaks.
#pragma once

#include "config/draft.h"
#include "config/reader.h"

namespace recover::config {

// A step without timeout, a destructive step without undo, a validation that cannot hold.
void lint_playbook(Reader& reader, const PlaybookDraft& playbook);
// Playbooks without validation that may run unattended. REQUIRES: `policy` is resolved from
// `draft`, playbooks in the same order.
void lint_validation(Reader& reader, const Draft& draft, const core::Policy& policy);
// Services that depend on themselves, directly or not; names each cycle once.
// Limits for a group that no service is in.
void lint_groups(Reader& reader, const Draft& draft);
void lint_dependencies(Reader& reader, const Draft& draft);

}  // namespace recover::config
