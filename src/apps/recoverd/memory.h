// Gives back what only a start needed: heap that is free again, and pages of programs and
// libraries.
//
// Nothing that was written is touched; a page of a file that is needed again comes from the page
// cache. Refuses nothing; what cannot be read is left as it is.
#pragma once

namespace recover::apps {

// Takes about a millisecond. Any thread.
void give_back_memory() noexcept;

}  // namespace recover::apps
