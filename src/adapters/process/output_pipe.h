// The pipe behind a service's stdout and stderr.
//
// The service's end can read, too: so there always is a reader, and a service that prints while
// neither engine nor keeper lives is not ended by SIGPIPE. It blocks when the pipe is full.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include <recover/result.h>

#include "adapters/process/descriptor.h"

namespace recover::adapters::process {

struct OutputPipe {
  Descriptor reader;  // Does not block, and never sees the end: it could write as well.
  Descriptor writer;  // For the service.
  std::uint64_t inode = 0;
};

// Error: the system's reason.
Result<OutputPipe, std::string> open_output_pipe();

// One is kept ready, so that whoever starts again does not wait for it. One thread.
class OutputPipes {
 public:
  Result<OutputPipe, std::string> take();
  // For the next take().
  void prepare();

 private:
  std::optional<OutputPipe> ready_;
};

// The reading end again, by way of the running process' own descriptors, as long as its stdout or
// stderr still is the pipe of that inode. Empty when not.
Descriptor reopen_output_pipe(pid_t pid, std::uint64_t inode);

}  // namespace recover::adapters::process
