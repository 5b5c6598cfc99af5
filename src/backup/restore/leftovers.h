// What a restore that was killed leaves behind: half a file under a temporary name. For restorer.cc
// only.
#pragma once

#include <string>

namespace recover::backup {

// Not a name that a backup would hold by accident; at most 64 bytes. Each call another.
std::string temporary_name();

// Removes from the folder what processes that are gone left there under such names. What cannot be
// removed stays: it harms nobody.
void remove_leftovers(int folder);

}  // namespace recover::backup
