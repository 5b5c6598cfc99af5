// journal.head: a note beside the journal of how far its chain had come, so that a journal whose
// tail was cut off, or that was rewritten as a whole, no longer fits it.
//
// Written after the entries it names are on the disk, never before: it can lag behind the journal
// but not run ahead of it. Four lines: a title, `seq`, `hash`, `mac` (HMAC, or "-" without a key).
#pragma once

#include <optional>
#include <string>

#include <recover/result.h>

#include "journal/chain.h"
#include "journal/cipher.h"
#include "ports/journal.h"

namespace recover::journal {

struct HeadNote {
  Link link;
  bool genuine = true;  // False: not in our format, or signed with another key.
};

// Replaces the note atomically: temporary file, fsync, rename, fsync of the folder.
Result<void, ports::JournalError> write_head(const std::string& path, const Link& link,
                                             const Cipher* cipher);
// None: there is no note. Without a cipher the signature is not looked at.
Result<std::optional<HeadNote>, ports::JournalError> read_head(const std::string& path,
                                                               const Cipher* cipher);

}  // namespace recover::journal
