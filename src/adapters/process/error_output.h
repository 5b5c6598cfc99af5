// The stderr of an instance that keeps it apart from its stdout: the pipe, and the log behind it.
//
// As careful as what is kept of stdout: the writer is never held up, the file rotates, the rate is
// its own. Loop thread; does not move, since its watch knows where it is.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include <recover/result.h>

#include "adapters/process/event_loop.h"
#include "adapters/process/output_log.h"
#include "adapters/process/output_pipe.h"
#include "core/policy.h"

namespace recover::adapters::process {

class ErrorOutput {
 public:
  // REQUIRES: policy.errors. `on_line` as of OutputLog.
  ErrorOutput(const core::OutputPolicy& policy, std::function<void(std::string_view)> on_line);
  ErrorOutput(const ErrorOutput&) = delete;
  ErrorOutput& operator=(const ErrorOutput&) = delete;

  // A fresh pipe for what starts next. Error: the system's reason.
  Result<void, std::string> open();
  // The reading end that an engine before had; may be empty.
  void adopt(Descriptor reader) { reader_ = std::move(reader); }
  void watch(Loop& loop);
  void read();
  void close();

  OutputLog& log() noexcept { return log_; }
  const OutputLog& log() const noexcept { return log_; }
  int reader() const noexcept { return reader_.get(); }
  int writer() const noexcept { return writer_.get(); }  // For the service; -1: given away.
  void drop_writer() { writer_.reset(); }
  std::uint64_t inode() const noexcept { return inode_; }

 private:
  OutputLog log_;
  Descriptor reader_;
  Descriptor writer_;
  Watch watch_;
  std::uint64_t inode_ = 0;
};

}  // namespace recover::adapters::process
