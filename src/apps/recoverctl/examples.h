// One example of each command, for --help and the manual.
#pragma once

#include <string>
#include <string_view>

namespace recover::apps {

// Of the command's whole name, "checkpoint create"; empty: there is none.
std::string_view example_of(std::string_view command) noexcept;
// As --help prints it after everything else.
std::string example_text(std::string_view command);

}  // namespace recover::apps
