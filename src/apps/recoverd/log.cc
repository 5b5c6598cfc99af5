#include "apps/recoverd/log.h"

#include <boost/json.hpp>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>
#include <string>

#include "base/rfc3339.h"

namespace recover::apps {
namespace {

namespace json = boost::json;

bool on_terminal() {
  static const bool terminal = isatty(STDERR_FILENO) == 1;
  return terminal;
}
bool in_colour() {
  static const bool colour = on_terminal() && std::getenv("NO_COLOR") == nullptr;
  return colour;
}

std::string_view name_of(Level level) {
  switch (level) {
    case Level::Info: return "info";
    case Level::Warning: return "warning";
    case Level::Error: return "error";
  }
  return "";
}
std::string_view colour_of(Level level) {
  switch (level) {
    case Level::Info: return "\x1b[0m";
    case Level::Warning: return "\x1b[33m";
    case Level::Error: return "\x1b[31m";
  }
  return "";
}

Level level_of(core::Severity severity) {
  switch (severity) {
    case core::Severity::Low: return Level::Info;
    case core::Severity::Medium: return Level::Info;
    case core::Severity::High: return Level::Warning;
    case core::Severity::Critical: return Level::Error;
  }
  return Level::Error;
}

std::int64_t wall_now_ns() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

enum class Sink : std::uint8_t { File, Pipe, Socket };
struct Stderr {
  int fd = STDERR_FILENO;
  Sink sink = Sink::File;
};

// Others may share what stderr is, so it is not made non-blocking: a pipe is opened once more.
Stderr open_stderr() {
  struct stat status {};
  if (::fstat(STDERR_FILENO, &status) != 0) return {};
  if (S_ISSOCK(status.st_mode)) return {STDERR_FILENO, Sink::Socket};
  if (!S_ISFIFO(status.st_mode)) return {};
  const int own = ::open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
  return {own >= 0 ? own : STDERR_FILENO, Sink::Pipe};
}

// A short write or an error loses the line, not the daemon: a pipe that nobody reads is soon full.
void write_line(std::string line) {
  static const Stderr out = open_stderr();
  line += '\n';
  if (out.sink == Sink::Socket) {
    ::send(out.fd, line.data(), line.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    return;
  }
  if (out.sink == Sink::Pipe) {
    pollfd room{.fd = out.fd, .events = POLLOUT, .revents = 0};
    if (::poll(&room, 1, 0) != 1 || (room.revents & POLLOUT) == 0) return;
  }
  [[maybe_unused]] const ssize_t written = ::write(out.fd, line.data(), line.size());
}

void write_text(Level level, std::int64_t wall_ns, std::string_view text) {
  std::string line = base::rfc3339(wall_ns) + "  ";
  if (in_colour()) line += colour_of(level);
  line += text;
  if (in_colour()) line += "\x1b[0m";
  write_line(std::move(line));
}

}  // namespace

void log(Level level, std::string_view message) {
  if (on_terminal()) return write_text(level, wall_now_ns(), message);
  write_line(json::serialize(
      json::object{{"time", base::rfc3339(wall_now_ns())},
                   {"level", json::string_view(name_of(level).data(), name_of(level).size())},
                   {"message", json::string_view(message.data(), message.size())}}));
}

void log(const core::Notice& notice, runtime::Stamp stamp, const core::Policy& policy) {
  const std::string service = notice.service ? policy.service(*notice.service).name : "";
  if (on_terminal()) {
    std::string text = service.empty() ? notice.message : service + ": " + notice.message;
    return write_text(level_of(notice.severity), stamp.wall_ns, text);
  }
  const std::string_view level = name_of(level_of(notice.severity));
  json::object line{{"time", base::rfc3339(stamp.wall_ns)},
                    {"level", json::string_view(level.data(), level.size())},
                    {"type", notice.type},
                    {"message", notice.message}};
  if (!service.empty()) line["service"] = service;
  if (notice.incident) line["incident"] = notice.incident.value;
  if (notice.recovery) line["recovery"] = notice.recovery.value;
  if (!notice.actor.empty()) line["actor"] = notice.actor;
  write_line(json::serialize(line));
}

}  // namespace recover::apps
