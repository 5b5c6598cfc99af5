// Events as the journal's JSON, and back, without loss. Pure.
#pragma once

#include <string>
#include <string_view>

#include <recover/result.h>

#include "core/event.h"

namespace recover::runtime {

// One JSON object without the event's name, which is the entry's type.
std::string encode(const core::Event& event);

// Error: what is wrong with the text, e.g. an unknown type or a field of the wrong kind.
Result<core::Event, std::string> decode(std::string_view type, std::string_view json);

}  // namespace recover::runtime
