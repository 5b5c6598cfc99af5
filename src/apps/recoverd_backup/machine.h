// Where and when a backup is made, and by whom; and what the program calls what can go wrong.
#pragma once

#include <string>
#include <string_view>

#include "backup/failure.h"
#include "backup/format/go_text.h"

namespace recover::apps {

std::string this_host();
std::string this_user();
unsigned processors();  // At least one.
backup::Timestamp wall_time();
// "NOT_FOUND", …: part of what the program promises.
std::string_view code_of(backup::FailureKind kind);

}  // namespace recover::apps
