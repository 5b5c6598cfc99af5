// How find() asks: SQL that some index answers for every filter over notices, so that a question
// about one service, type or hour does not read a journal of millions.
#pragma once

#include <string>

#include "ports/journal.h"

namespace recover::journal {

inline constexpr std::size_t kTypesMax = 1'000;  // That begin alike.

// Columns as SqliteJournal reads them. Parameters: 1 after, 2 since, 3 kind, 4 type, 5 service,
// 6 recovery, 7 incident, 8 limit, each only where the filter has it.
// `exact`: the type is a whole one instead of how it begins.
std::string search_query(const ports::Filter& filter, bool exact);

// Whether the search is one per type that begins so, merged: notices alone know their types.
bool searches_by_type(const ports::Filter& filter);
// The types of notices that begin with ?1, at most kTypesMax.
std::string types_query();

}  // namespace recover::journal
