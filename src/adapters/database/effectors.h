// Effectors on PostgreSQL: run a statement, end sessions.
// The table: one line an action, one file an action.
#pragma once

#include <memory>

#include "effects/effects.h"

namespace recover::adapters::database {

using effects::Tools;

std::unique_ptr<ports::Effector> make_sql(const Tools& tools);
std::unique_ptr<ports::Effector> make_kill_long_queries(const Tools& tools);

inline effects::Effectors make_effectors(const Tools& tools) {
  effects::Effectors all;
  all.emplace(core::ActionKind::Sql, make_sql(tools));
  all.emplace(core::ActionKind::KillLongQueries, make_kill_long_queries(tools));
  return all;
}

}  // namespace recover::adapters::database
