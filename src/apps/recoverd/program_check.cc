#include "apps/recoverd/program_check.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <optional>
#include <utility>

#include "adapters/process/spawn.h"

namespace recover::apps {
namespace {

namespace process = adapters::process;

constexpr int kCheckWaitMillis = 10'000;

std::optional<process::ExitStatus> outcome_of(const process::Process& child) {
  pollfd ended{.fd = child.pidfd(), .events = POLLIN, .revents = 0};
  if (::poll(&ended, 1, kCheckWaitMillis) != 1) {
    child.signal(SIGKILL);
    ::poll(&ended, 1, kCheckWaitMillis);
  }
  const auto status = child.exit_status();
  child.collect();
  return status;
}

}  // namespace

Result<void, std::string> check_program(const std::string& program, const std::string& config) {
  if (program.empty()) return Unexpected(std::string("it is not known where the program is"));
  const process::Descriptor nowhere(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  process::SpawnRequest request;
  request.command = {program, "check", "--config", config};
  request.output = nowhere.get();
  // Secrets of the configuration may come from our environment.
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string text = *variable;
    const auto equals = text.find('=');
    if (equals == std::string::npos) continue;
    request.environment.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  const std::optional<std::string> folder = [] {
    char* const path = ::get_current_dir_name();
    std::optional<std::string> text;
    if (path != nullptr) text = path;
    ::free(path);
    return text;
  }();
  if (folder) request.working_directory = *folder;
  const auto spawned = process::spawn(request);
  if (!spawned) return Unexpected(spawned.error().message);
  const auto status = outcome_of(spawned->process);
  if (status && status->code == 0) return {};
  return Unexpected(program + " check does not accept " + config + ": nothing was done");
}

}  // namespace recover::apps
