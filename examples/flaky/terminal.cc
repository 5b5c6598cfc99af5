#include "terminal.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace flaky {
namespace {

constexpr std::string_view kEnter = "\x1b[?1049h\x1b[?25l";  // Alternate screen, no cursor.
constexpr std::string_view kLeave = "\x1b[?25h\x1b[?1049l";

void write_out(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

sigset_t leaving_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGHUP);
  return signals;
}

bool no_color() {
  const char* value = std::getenv("NO_COLOR");  // NOLINT(concurrency-mt-unsafe): nobody sets it.
  return value != nullptr && *value != '\0';
}

}  // namespace

Wishes::Wishes() : listens_to_keys_(has_terminal() && ::isatty(STDIN_FILENO) == 1) {
  const sigset_t signals = leaving_signals();
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signals_ = Descriptor(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
}

bool Wishes::wait_until(recover::Instant then) {
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(then - std::chrono::steady_clock::now());
    pollfd entries[] = {
        {.fd = signals_.number(), .events = POLLIN, .revents = 0},
        {.fd = listens_to_keys_ ? STDIN_FILENO : -1, .events = POLLIN, .revents = 0},
    };
    ::poll(entries, std::size(entries), static_cast<int>(std::max<long>(0, left.count())));
    if (entries[0].revents != 0) return true;
    if (entries[1].revents != 0 && read_key()) return true;
    if (std::chrono::steady_clock::now() >= then) return false;
  }
}

bool Wishes::read_key() {
  char key = 0;
  if (::read(STDIN_FILENO, &key, 1) <= 0) listens_to_keys_ = false;
  return key == 'q' || key == 'Q';
}

bool has_terminal() noexcept {
  return ::isatty(STDOUT_FILENO) == 1;
}

Terminal::Terminal() : colour_(!no_color()) {
  termios mode{};
  if (::tcgetattr(STDIN_FILENO, &mode) == 0) {
    before_ = mode;
    mode.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    ::tcsetattr(STDIN_FILENO, TCSANOW, &mode);
  }
  write_out(kEnter);
}

Terminal::~Terminal() {
  write_out(kLeave);
  if (before_) ::tcsetattr(STDIN_FILENO, TCSANOW, &*before_);
}

Canvas Terminal::canvas() const {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) {
    return {.colour = colour_};
  }
  // The last column stays free: erasing to the end of a full line would take its last character.
  return {.width = std::max(size.ws_col, ushort{2}) - std::size_t{1},
          .height = size.ws_row,
          .colour = colour_};
}

void Terminal::show(const std::vector<std::string>& lines) const {
  std::string frame;
  for (std::size_t row = 0; row < lines.size(); ++row) {
    frame += "\x1b[" + std::to_string(row + 1) + ";1H" + lines[row] + "\x1b[K";
  }
  write_out(frame + "\x1b[J");
}

}  // namespace flaky
