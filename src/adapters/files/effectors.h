// Effectors on files. The table: one line an action, one file an action.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include <recover/time.h>

#include "core/command.h"
#include "core/vocabulary.h"
#include "ports/effector.h"

namespace boost::asio {
class io_context;
class thread_pool;
}  // namespace boost::asio

namespace recover::adapters::files {

// What effectors work with; loop and pool outlive them.
struct Tools {
  boost::asio::io_context& loop;
  boost::asio::thread_pool& pool;
  std::function<Instant()> now;  // The engine's clock: deadlines are on it.
};

std::unique_ptr<ports::Effector> make_clean_files(const Tools& tools);

// All of them, by what they perform.
std::map<core::ActionKind, std::unique_ptr<ports::Effector>> make_effectors(const Tools& tools);

}  // namespace recover::adapters::files
