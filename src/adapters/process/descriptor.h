// Every descriptor of this room is opened close-on-exec.
#pragma once

#include "posix/descriptor.h"

namespace recover::adapters::process {

using posix::Descriptor;

}  // namespace recover::adapters::process
