// The tables of the journal, and how an older file becomes one of today.
//
//   entries  one row an entry; `hash` chains it to the row before (chain.h)
//   head     one row: the newest link, written in the same transaction as its entries
//   anchor   one row: the link before the oldest entry kept; sequence 0 until something was pruned
//   facts    key_check: a known text sealed with the key, to tell a wrong key at once
#pragma once

#include <recover/result.h>

#include "journal/database.h"
#include "ports/journal.h"

namespace recover::journal {

inline constexpr std::int64_t kSchemaVersion = 2;

// Step by step from the file's version to kSchemaVersion, each step in its own transaction.
// Faults: Version when the file is newer; Corrupt when it is no journal at all.
Result<void, ports::JournalError> migrate(Database& database);
// The same judgement without writing: fault Version unless the file is of today.
Result<void, ports::JournalError> check_version(Database& database);

}  // namespace recover::journal
