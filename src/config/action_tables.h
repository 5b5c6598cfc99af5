// What each action of a playbook takes.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/reader.h"
#include "core/policy.h"

namespace recover::config {

// Whether this version performs the action.
bool is_supported(core::ActionKind action) noexcept;
// Whether it can make things worse in a way that only its author can take back.
bool is_destructive(core::ActionKind action) noexcept;
// Whether it may simply run again when its outcome is unknown.
bool is_idempotent(core::ActionKind action) noexcept;
// Whether it waits for people or time, so that it needs no timeout of its own.
bool is_waiting(core::ActionKind action) noexcept;

// The published name of an action among those supported; notes anything else.
std::optional<core::ActionKind> read_action(Reader& reader, const Node& node);
// The arguments under `with:`; null: none given. `at`: where the action stands.
core::ActionSpec read_arguments(Reader& reader, core::ActionKind action, const Node* with,
                                Place at);

// The published names of the actions supported.
std::vector<std::string_view> supported_actions();

// JSON Schema of an action's name, and of `with:` for any action.
std::string action_shape();
std::string arguments_shape();

// Of the actions that free_resources is made of.
core::CleanFilesAction read_clean_files(Reader& reader, const Node& node);
std::string clean_files_shape();
core::KillLongQueriesAction read_kill_long_queries(Reader& reader, const Node& node);
std::string kill_long_queries_shape();

}  // namespace recover::config
