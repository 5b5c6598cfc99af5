#include "adapters/process/output_pipe.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

namespace recover::adapters::process {
namespace {

constexpr int kPipeBytes = 256 << 10;  // Room while no engine reads.

std::uint64_t inode_of(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 ? status.st_ino : 0;
}

}  // namespace

Result<OutputPipe, std::string> open_output_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    return Unexpected(std::string("pipe: ") + std::generic_category().message(errno));
  }
  const Descriptor reader(ends[0]);
  const Descriptor writer(ends[1]);
  ::fcntl(reader.get(), F_SETPIPE_SZ, kPipeBytes);
  // Both ways: a service never gets SIGPIPE, and that its end was closed wakes nobody, just when
  // the kernel is about to say that it has ended.
  const std::string path = "/proc/self/fd/" + std::to_string(reader.get());
  OutputPipe pipe{.reader = Descriptor(::open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC)),
                  .writer = Descriptor(::open(path.c_str(), O_RDWR | O_CLOEXEC)),
                  .inode = inode_of(reader.get())};
  if (pipe.reader && pipe.writer) return pipe;
  return Unexpected("pipe: " + std::generic_category().message(errno));
}

Result<OutputPipe, std::string> OutputPipes::take() {
  if (!ready_) return open_output_pipe();
  OutputPipe pipe = std::move(*ready_);
  ready_.reset();
  return pipe;
}

void OutputPipes::prepare() {
  if (ready_) return;
  auto opened = open_output_pipe();
  if (opened) ready_ = std::move(*opened);
}

Descriptor reopen_output_pipe(pid_t pid, std::uint64_t inode) {
  for (const char* fd : {"/fd/1", "/fd/2"}) {
    const std::string path = "/proc/" + std::to_string(pid) + fd;
    struct stat status {};
    if (inode == 0 || ::stat(path.c_str(), &status) != 0 || status.st_ino != inode) continue;
    return Descriptor(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  }
  return Descriptor();
}

}  // namespace recover::adapters::process
