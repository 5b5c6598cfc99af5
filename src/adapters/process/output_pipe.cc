#include "adapters/process/output_pipe.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

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
  OutputPipe pipe{.reader = Descriptor(ends[0]), .writer = Descriptor(ends[1]), .inode = 0};
  ::fcntl(pipe.reader.get(), F_SETPIPE_SZ, kPipeBytes);
  const std::string path = "/proc/self/fd/" + std::to_string(pipe.reader.get());
  const int both = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (both >= 0) pipe.writer.reset(both);
  ::fcntl(pipe.reader.get(), F_SETFL, O_NONBLOCK);
  pipe.inode = inode_of(pipe.reader.get());
  return pipe;
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
