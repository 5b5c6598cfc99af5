// Where and when a backup is made, and by whom; and what the program calls what can go wrong.
#pragma once

#include <string>
#include <string_view>

#include "backup/failure.h"
#include "backup/format/go_text.h"
#include "backup/memory_budget.h"

namespace recover::apps {

std::string this_host();
std::string this_user();
// As many as there are processors, and as the memory allows.
unsigned threads_within(const backup::MemoryBudget& memory);
backup::Timestamp wall_time();
// "NOT_FOUND", …: part of what the program promises.
std::string_view code_of(backup::FailureKind kind);

}  // namespace recover::apps
