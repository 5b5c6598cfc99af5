#include "adapters/checkpoint/worker_call.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>
#include <utility>

#include "posix/spawn_plan.h"

namespace recover::adapters::checkpoint {
namespace {

constexpr int kLookEveryMs = 50;                    // At the limits.
constexpr std::size_t kAnswerBytesMax = 128 << 20;  // kFilesMax files, told with long paths.
constexpr std::size_t kSaidMax = 400;

// Killed and reaped at the latest when it goes out of scope.
class Process {
 public:
  Process() = default;
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process() {
    if (pid_ == 0) return;
    ::kill(pid_, SIGKILL);
    wait();
  }
  pid_t& pid() { return pid_; }
  void wait() {
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
    pid_ = 0;
  }

 private:
  pid_t pid_ = 0;
};

// The last line, if it is whole and an object.
std::string answer_in(std::string_view said) {
  if (!said.ends_with('\n')) return {};
  said.remove_suffix(1);
  const std::size_t before = said.rfind('\n');
  if (before != std::string_view::npos) said.remove_prefix(before + 1);
  return said.starts_with('{') ? std::string(said) : std::string();
}

}  // namespace

Result<std::string, CheckpointError> ask_worker(const WorkerCall& call) {
  const Descriptor in(::memfd_create("job", MFD_CLOEXEC));
  std::array<int, 2> ends{-1, -1};
  if (!in || ::pipe2(ends.data(), O_CLOEXEC) != 0) {
    return Unexpected(io_error("begin", call.program));
  }
  const Descriptor out(ends[0]);
  Descriptor writer(ends[1]);
  if (auto done = write_all(in.get(), call.job, "job"); !done) {
    return Unexpected(std::move(done).error());
  }
  ::lseek(in.get(), 0, SEEK_SET);
  Process worker;
  const posix::SpawnPlan plan({.input = in.get(), .output = writer.get(), .errors = writer.get()},
                              "", /*own_group=*/false);
  if (const int error = plan.spawn(worker.pid(), call.program, {"recoverd"},
                                   {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"});
      error != 0) {
    errno = error;
    return Unexpected(io_error("run", call.program));
  }
  writer.reset();
  std::string said;
  std::array<char, 16'384> room{};
  while (said.size() <= kAnswerBytesMax) {
    if (auto go = go_on(call.limits); !go) {
      CheckpointError error = std::move(go).error();
      error.touched = call.changes_state;
      return Unexpected(std::move(error));
    }
    pollfd ready{.fd = out.get(), .events = POLLIN, .revents = 0};
    if (::poll(&ready, 1, kLookEveryMs) <= 0) continue;
    const ssize_t size = ::read(out.get(), room.data(), room.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) break;
    said.append(room.data(), static_cast<std::size_t>(size));
  }
  worker.wait();
  std::string answer = answer_in(said);
  if (!answer.empty()) return answer;
  while (said.ends_with('\n')) said.pop_back();
  if (said.size() > kSaidMax) said.erase(0, said.size() - kSaidMax);
  return Unexpected(
      CheckpointError{.fault = CheckpointFault::Io,
                      .message = "the checkpoint worker died" + (said.empty() ? "" : ": " + said),
                      .path = {},
                      .touched = call.changes_state});
}

}  // namespace recover::adapters::checkpoint
