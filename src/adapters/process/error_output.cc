#include "adapters/process/error_output.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

namespace recover::adapters::process {
namespace {

constexpr std::size_t kErrorBlock = 16U << 10U;
constexpr int kErrorReadsPerTurn = 16;

core::OutputPolicy own_policy(const core::OutputPolicy& policy) {
  core::OutputPolicy own = policy;
  own.path = policy.errors.value_or("");
  return own;
}

}  // namespace

ErrorOutput::ErrorOutput(const core::OutputPolicy& policy,
                         std::function<void(std::string_view)> on_line)
    : log_(own_policy(policy), std::move(on_line)) {}

Result<void, std::string> ErrorOutput::open() {
  auto pipe = open_output_pipe();
  if (!pipe) return Unexpected(std::move(pipe).error());
  watch_ = {};
  reader_ = std::move(pipe->reader);
  writer_ = std::move(pipe->writer);
  inode_ = pipe->inode;
  return {};
}

void ErrorOutput::watch(Loop& loop) {
  watch_ = {};  // A descriptor is watched once.
  if (reader_) watch_ = Watch(loop, reader_.get(), [this] { read(); });
}

void ErrorOutput::read() {
  // Of the loop's thread alone.
  static std::array<char, kErrorBlock> block;
  for (int reads = 0; reads < kErrorReadsPerTurn && reader_; ++reads) {
    const ssize_t size = ::read(reader_.get(), block.data(), block.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return;
    if (size == 0) {
      watch_ = {};
      reader_.reset();
      return;
    }
    log_.feed({block.data(), static_cast<std::size_t>(size)}, std::chrono::steady_clock::now());
  }
}

void ErrorOutput::close() {
  watch_ = {};
  reader_.reset();
  writer_.reset();
}

}  // namespace recover::adapters::process
