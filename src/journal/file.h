// The few system calls the journal makes beside SQLite's own.
#pragma once

#include <string>
#include <string_view>

#include <recover/result.h>

#include "ports/journal.h"
#include "posix/descriptor.h"

namespace recover::journal {

using posix::Descriptor;

// From errno.
ports::JournalError system_error(std::string_view doing, const std::string& path);
// "dir/journal.db", "head" -> "dir/journal.head"
std::string beside(const std::string& path, std::string_view extension);
// Makes names in the folder of `path` durable.
Result<void, ports::JournalError> sync_folder(const std::string& path);
// An exclusive lock that ends with this process and is not inherited by its children. It does not
// keep the same process from locking twice.
Result<Descriptor, ports::JournalError> lock_file(const std::string& path);

}  // namespace recover::journal
