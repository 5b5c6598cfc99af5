// What can go wrong with a backup, as a value: a closed set of kinds and a sentence that says what
// was being done, to what, and why it failed.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include <recover/result.h>

namespace recover::backup {

enum class FailureKind : std::uint8_t {
  NotFound,       // No such repository, file, snapshot or blob.
  Exists,         // Something is where nothing may be.
  WrongPassword,  // No key file opens with it.
  Damaged,        // Bytes that are not what was written.
  Unsupported,    // A repository version or feature we do not know.
  Locked,         // Somebody else holds a lock that conflicts.
  Full,           // No space left.
  NotPermitted,   // The file system or the store refuses.
  Invalid,        // The caller's input makes no sense.
  Unreachable,    // The store does not answer, or broke off: another try may help.
  Io,             // Everything else a system call can say.
};

struct Failure {
  FailureKind kind = FailureKind::Io;
  std::string message;
  int code = 0;  // The errno of a system call here; 0: it was none.
};

template <class T>
using Outcome = Result<T, Failure>;

inline Unexpected<Failure> fail(FailureKind kind, std::string message) {
  return Unexpected(Failure{.kind = kind, .message = std::move(message)});
}

}  // namespace recover::backup
