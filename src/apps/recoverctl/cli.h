// The command line: what can be typed, described once, and running what was typed.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "apps/recoverctl/command_doc.h"

namespace recover::apps {

// Parses and runs; returns the exit code of the contract. Prints to `out` and `err` only.
int run(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err);

// Everything run() understands.
CommandDoc command_line();

}  // namespace recover::apps
