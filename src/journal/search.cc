#include "journal/search.h"

namespace recover::journal {

namespace {

constexpr const char* kSearchColumns =
    "SELECT seq, sealed, kind, wall_ns, at_ns, type, service, incident, recovery, body, hash "
    "FROM entries ";

bool of_notices(const ports::Filter& filter) {
  return filter.kind == ports::EntryKind::Notice;
}

}  // namespace

// The literals are what lets SQLite use the partial indexes (schema.cc).
std::string search_query(const ports::Filter& filter, bool exact) {
  // One bound, or SQLite would take the wrong one of two. The first notice of that time or later
  // bounds the rows; after the clock was set back this means "since it last was that time", which
  // is what people ask for.
  std::string where =
      filter.since_wall_ns && of_notices(filter)
          ? "WHERE seq > max(?1, (SELECT ifnull((SELECT seq FROM entries WHERE kind = 1 AND "
            "wall_ns >= ?2 ORDER BY wall_ns, seq LIMIT 1), 9223372036854775807)) - 1)"
          : "WHERE seq > ?1";
  if (filter.since_wall_ns) where += " AND wall_ns >= ?2";
  if (filter.kind) where += of_notices(filter) ? " AND kind = 1" : " AND kind = ?3";
  if (!filter.type.empty()) {
    where += exact ? " AND type = ?4" : " AND substr(type, 1, length(?4)) = ?4";
  }
  if (!filter.service.empty()) {
    // Beside a recovery, incident or type, which are rarer, not the way to look.
    const bool rarer = filter.recovery != 0 || filter.incident != 0;
    where += rarer ? " AND +service = ?5" : " AND service = ?5";
    if (!rarer && of_notices(filter)) where += " AND service != ''";
  }
  if (filter.recovery != 0) where += " AND recovery != 0 AND recovery = ?6";
  if (filter.incident != 0) where += " AND incident != 0 AND incident = ?7";
  return kSearchColumns + where + (filter.oldest ? " ORDER BY seq" : " ORDER BY seq DESC") +
         " LIMIT ?8";
}

bool searches_by_type(const ports::Filter& filter) {
  return of_notices(filter) && !filter.type.empty() && filter.service.empty() &&
         filter.recovery == 0 && filter.incident == 0;
}

std::string types_query() {
  return "WITH RECURSIVE found(type) AS ("
         "SELECT (SELECT min(type) FROM entries WHERE kind = 1 AND type >= ?1) "
         "UNION ALL "
         "SELECT (SELECT min(type) FROM entries WHERE kind = 1 AND type > found.type) FROM found "
         "WHERE substr(found.type, 1, length(?1)) = ?1 LIMIT " +
         std::to_string(kTypesMax) +
         ") SELECT type FROM found WHERE substr(type, 1, length(?1)) = ?1";
}

}  // namespace recover::journal
