// What one keeper leaves to the next when it executes its program anew, and its word to whoever
// started it.
//
// Text in a nameless file, so that another version can read it: "fd <number> <label>" and
// "exit <pid> <start time> <code> <signal>" lines; what it does not know it skips. Descriptors stay
// open over the exec under their numbers. Does not allocate.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>

#include "adapters/process/descriptor.h"
#include "adapters/process/keeper_message.h"

namespace recover::adapters::process {

// Names the descriptor of that file.
inline constexpr const char* kHandoverVariable = "RECOVERD_KEEPER_HANDOVER";

struct KeptExit {
  pid_t pid = 0;
  std::uint64_t start_time = 0;
  std::int32_t code = -1;
  std::int32_t signal = 0;
};

// Empty: no memory for it.
Descriptor begin_handover() noexcept;
void add_kept(const Descriptor& handover, const Label& label, int fd) noexcept;
void add_exit(const Descriptor& handover, const KeptExit& exit) noexcept;
// Executes; comes back only when that fails.
void finish_handover(const Descriptor& handover, const char* program,
                     char* const* arguments) noexcept;

// Of the keeper before us; -1: there was none. Forgets the variable.
int handover_fd() noexcept;
// Closes the file; the descriptors it names close on exec again.
void read_handover(int fd, const std::function<void(const Label&, int)>& kept,
                   const std::function<void(const KeptExit&)>& ended);

inline constexpr const char* kManagerVariable = "NOTIFY_SOCKET";
// Where that points; empty: nowhere.
Descriptor open_manager() noexcept;
void announce(const Descriptor& manager, const char* state) noexcept;

}  // namespace recover::adapters::process
