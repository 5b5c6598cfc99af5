// Effectors on files. The table: one line an action, one file an action.
#pragma once

#include <memory>

#include "effects/effects.h"

namespace recover::adapters::files {

using effects::Tools;

std::unique_ptr<ports::Effector> make_clean_files(const Tools& tools);
std::unique_ptr<ports::Effector> make_rotate_logs(const Tools& tools);

inline effects::Effectors make_effectors(const Tools& tools) {
  effects::Effectors all;
  all.emplace(core::ActionKind::CleanFiles, make_clean_files(tools));
  all.emplace(core::ActionKind::RotateLogs, make_rotate_logs(tools));
  return all;
}

}  // namespace recover::adapters::files
