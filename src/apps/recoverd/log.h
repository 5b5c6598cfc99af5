// The daemon's log on stderr: for people on a terminal, one JSON object a line otherwise.
//
// Never throws and never blocks on a full pipe for long: a line that cannot be written is dropped.
// One thread.
#pragma once

#include <string_view>

#include "core/command.h"
#include "runtime/record.h"

namespace recover::apps {

enum class Level : std::uint8_t { Info, Warning, Error };

// Colour only on a terminal and without NO_COLOR.
void log(Level level, std::string_view message);

// A notice of the engine: its type, service, message; reasons only in the JSON.
void log(const core::Notice& notice, runtime::Stamp stamp, const core::Policy& policy);

}  // namespace recover::apps
