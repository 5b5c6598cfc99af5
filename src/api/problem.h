// Refusals as RFC 9457 problem documents with a stable `code` for programs.
//
// Refuses to leak internals: `detail` is a sentence for the caller that says what to do next.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/request.h"
#include "core/command.h"

namespace recover::api {

// `code` is upper case, e.g. "SERVICE_NOT_FOUND"; `type` and `title` follow from it.
Response problem(unsigned status, std::string_view code, std::string_view detail);

// 409 by a safety rule; `rule` names it.
Response refusal(const core::Reason& reason);

// 422 with every mistake found in a configuration.
Response configuration_problem(const std::vector<std::string>& mistakes);

// 501: this daemon was put together without that part.
Response not_available(std::string_view what);

}  // namespace recover::api
