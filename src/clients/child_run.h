// A program run to its end in a process group of its own: its exit status and the last of what it
// said. Never through a shell; it inherits no descriptor, no signal disposition and no variable.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <recover/result.h>
#include <recover/time.h>

namespace boost::asio {
class io_context;
}

namespace recover::clients {

struct ChildSpec {
  std::vector<std::string> command;
  std::vector<std::string> variables = {};  // "NAME=value", beside PATH and LANG.
  std::string folder = {};                  // To run in; empty: ours.
  std::optional<Duration> limit = {};       // The group is killed after so long.
  bool kill_rest = false;                   // What it leaves running when it ends is killed too.
  std::optional<std::string> input = {};    // What it reads from stdin; none: nothing.
  // Hears each line of its stdout, without the line's end and cut to kLineMax, before `ended`;
  // `output` then holds its stderr only.
  std::function<void(std::string_view)> on_line = {};
};

struct ChildEnd {
  enum class How : std::uint8_t { Exited, Signalled, Lost };  // Lost: somebody else reaped it.
  How how = How::Lost;
  int code = 0;             // Exit status or signal.
  std::string killed = {};  // Why we killed it; empty: we did not.
  std::string output = {};  // The last kOutputMax bytes of stdout and stderr, no line end.

  bool good() const { return how == How::Exited && code == 0 && killed.empty(); }
  // "exit 4", "killed by signal 15", or why we killed it.
  std::string text() const;
};

// Loop thread.
class ChildRun {
 public:
  static constexpr std::size_t kOutputMax = 4096;
  static constexpr std::size_t kLineMax = 64U << 10U;

  ChildRun() = default;
  ChildRun(const ChildRun&) = delete;
  ChildRun& operator=(const ChildRun&) = delete;
  virtual ~ChildRun() = default;

  // `ended` is called once, from the loop, unless abandoned; the loop holds the run till then.
  // An errno in place of a run that cannot be started. REQUIRES: a command.
  static Result<std::shared_ptr<ChildRun>, int> start(boost::asio::io_context& loop, ChildSpec spec,
                                                      std::function<void(ChildEnd)> ended);
  virtual pid_t pid() const = 0;  // 0: it has ended.
  // SIGTERM to the program itself, which ends what it started.
  virtual void ask_to_end() = 0;
  // The whole group; the end is told once the process is gone, with this reason.
  virtual void kill(std::string why) = 0;
  // Killed, and `ended` is not called any more.
  virtual void abandon() = 0;
};

}  // namespace recover::clients
