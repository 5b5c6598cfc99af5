#include "adapters/process/keeper_handover.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace recover::adapters::process {
namespace {

constexpr std::size_t kHandoverLineMax = 160;

void add_line(const Descriptor& handover, const std::array<char, kHandoverLineMax>& line,
              int size) noexcept {
  const auto length = std::min(static_cast<std::size_t>(std::max(size, 0)), line.size() - 1);
  [[maybe_unused]] const ssize_t written = ::write(handover.get(), line.data(), length);
}

void take_line(const char* line, const std::function<void(const Label&, int)>& kept,
               const std::function<void(const KeptExit&)>& ended) {
  int fd = -1;
  int name_at = 0;
  KeptExit exit;
  if (std::sscanf(line, "fd %d %n", &fd, &name_at) == 1 && name_at > 0) {
    if (::fcntl(fd, F_SETFD, FD_CLOEXEC) == 0) kept(make_label(line + name_at), fd);
  } else if (std::sscanf(line, "exit %d %" SCNu64 " %d %d", &exit.pid, &exit.start_time, &exit.code,
                         &exit.signal) == 4) {
    ended(exit);
  }
}

}  // namespace

Descriptor begin_handover() noexcept {
  return Descriptor(::memfd_create("recoverd-keeper", 0));
}

void add_kept(const Descriptor& handover, const Label& label, int fd) noexcept {
  ::fcntl(fd, F_SETFD, 0);
  std::array<char, kHandoverLineMax> line{};
  add_line(handover, line, std::snprintf(line.data(), line.size(), "fd %d %s\n", fd, label.data()));
}

void add_exit(const Descriptor& handover, const KeptExit& exit) noexcept {
  std::array<char, kHandoverLineMax> line{};
  const int size = std::snprintf(line.data(), line.size(), "exit %d %" PRIu64 " %d %d\n", exit.pid,
                                 exit.start_time, exit.code, exit.signal);
  add_line(handover, line, size);
}

void finish_handover(const Descriptor& handover, const char* program,
                     char* const* arguments) noexcept {
  std::array<char, 16> number{};
  std::snprintf(number.data(), number.size(), "%d", handover.get());
  // The keeper has one thread.  NOLINTNEXTLINE(concurrency-mt-unsafe)
  ::setenv(kHandoverVariable, number.data(), 1);
  ::execv(program, arguments);
  // NOLINTNEXTLINE(concurrency-mt-unsafe)
  ::unsetenv(kHandoverVariable);
}

int handover_fd() noexcept {
  const char* const text = std::getenv(kHandoverVariable);
  if (text == nullptr) return -1;
  const int fd = std::atoi(text);
  // NOLINTNEXTLINE(concurrency-mt-unsafe)
  ::unsetenv(kHandoverVariable);
  return fd > 2 && ::fcntl(fd, F_GETFD) >= 0 ? fd : -1;
}

void read_handover(int fd, const std::function<void(const Label&, int)>& kept,
                   const std::function<void(const KeptExit&)>& ended) {
  const Descriptor file(fd);
  ::lseek(fd, 0, SEEK_SET);
  std::array<char, kHandoverLineMax> line{};
  std::size_t size = 0;
  for (char letter = 0; ::read(fd, &letter, 1) == 1;) {
    if (letter != '\n') {
      if (size + 1 < line.size()) line[size++] = letter;
      continue;
    }
    line[size] = '\0';
    size = 0;
    take_line(line.data(), kept, ended);
  }
}

Descriptor open_manager() noexcept {
  const char* const path = std::getenv(kManagerVariable);
  if (path == nullptr) return Descriptor();
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  const std::size_t length = std::strlen(path);
  Descriptor manager(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const bool fits = length > 1 && length < sizeof name.sun_path;
  if (fits) std::memcpy(name.sun_path, path, length);
  if (name.sun_path[0] == '@') name.sun_path[0] = '\0';
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
  if (!fits || ::connect(manager.get(), reinterpret_cast<const sockaddr*>(&name), size) != 0) {
    manager.reset();
  }
  return manager;
}

void announce(const Descriptor& manager, const char* state) noexcept {
  if (!manager) return;
  [[maybe_unused]] const ssize_t sent =
      ::send(manager.get(), state, std::strlen(state), MSG_NOSIGNAL);
}

}  // namespace recover::adapters::process
