// One job of the checkpoint store, done in this process: adapters/checkpoint/protocol.h says what
// there is, and what is answered.
#pragma once

#include <ostream>
#include <string_view>

namespace recover::apps {

// Whether it was done. Ends with whoever asked for it: a restore that nobody knows of must not go
// on beside the next one.
bool do_checkpoint_job(std::string_view text, std::ostream& out);

}  // namespace recover::apps
