// Effectors that run something outside: a program, a request, a notification, git, rsync.
// The table: one line an action, one file an action.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "effects/effects.h"

namespace recover::adapters::command {

using effects::Tools;

std::unique_ptr<ports::Effector> make_exec(const Tools& tools);
std::unique_ptr<ports::Effector> make_http(const Tools& tools);
std::unique_ptr<ports::Effector> make_notify(const Tools& tools);
std::unique_ptr<ports::Effector> make_redis(const Tools& tools);
std::unique_ptr<ports::Effector> make_git_restore(const Tools& tools);
// Two of one folder, of an engine that was killed and of the next, wait for each other by a file in
// `locks`; empty: they do not.
std::unique_ptr<ports::Effector> make_sync(const Tools& tools, std::string locks);

inline effects::Effectors make_effectors(const Tools& tools, std::string locks = {}) {
  effects::Effectors all;
  all.emplace(core::ActionKind::Exec, make_exec(tools));
  all.emplace(core::ActionKind::Http, make_http(tools));
  all.emplace(core::ActionKind::Notify, make_notify(tools));
  all.emplace(core::ActionKind::Redis, make_redis(tools));
  all.emplace(core::ActionKind::GitRestore, make_git_restore(tools));
  all.emplace(core::ActionKind::Sync, make_sync(tools, std::move(locks)));
  return all;
}

}  // namespace recover::adapters::command
