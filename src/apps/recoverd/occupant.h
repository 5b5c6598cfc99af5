// Who works in a state_dir: a note there that names the keeper, so that a second recoverd can
// refuse at once and say whom it met.
//
// The lock itself is the journal's; this only tells a live recoverd from what a dead engine left
// behind, which lets go of the lock by itself within moments. Refuses to trust a bare pid.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

namespace recover::apps {

// The pid of another recoverd's keeper that works in this folder, if its note is that of a process
// that is alive now. `own` is our keeper.
std::optional<pid_t> other_occupant(const std::string& state_dir, pid_t own);

// Leaves our note. Best effort: without one a second recoverd only waits for the lock before it
// refuses.
void note_occupant(const std::string& state_dir, pid_t own);

}  // namespace recover::apps
