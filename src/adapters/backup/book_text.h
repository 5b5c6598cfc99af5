// The book of backups as JSON: what the state directory keeps from one run of recoverd to the next.
#pragma once

#include <string>
#include <string_view>

#include <recover/result.h>

#include "core/backup_plan.h"

namespace recover::adapters::backup {

std::string book_text(const core::BackupBook& book);
// Error: what is wrong with it.
Result<core::BackupBook, std::string> parse_book(std::string_view text);

}  // namespace recover::adapters::backup
