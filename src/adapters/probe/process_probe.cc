#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <dirent.h>
#include <re2/re2.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <memory>
#include <optional>

#include "adapters/probe/runners.h"

namespace recover::adapters::probe {
namespace {

constexpr std::size_t kCommandLineMax = 4096;

std::optional<int> number(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || value <= 0) return std::nullopt;
  if (end != text.data() + text.size() && *end != '\n' && *end != ' ') return std::nullopt;
  return value;
}

std::string read_some(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(kCommandLineMax, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(std::max<std::streamsize>(file.gcount(), 0)));
  return text;
}

// Zombies do not run.
bool alive(int pid) {
  const std::string stat = read_some("/proc/" + std::to_string(pid) + "/stat");
  const auto paren = stat.rfind(')');
  return paren != std::string::npos && paren + 2 < stat.size() && stat[paren + 2] != 'Z' &&
         stat[paren + 2] != 'X';
}

std::string command_line(const std::string& pid) {
  std::string text = read_some("/proc/" + pid + "/cmdline");
  std::ranges::replace(text, '\0', ' ');
  while (text.ends_with(' ')) text.pop_back();
  return text;
}

Finding judge(std::uint32_t count, std::uint32_t min, const std::string& what) {
  if (count >= min) return passed(std::to_string(count) + " running");
  return failed(
      core::Symptom::ProcessCrash, core::FailureClass::ServiceFailure,
      std::to_string(count) + " running " + what + ", " + std::to_string(min) + " wanted");
}

Finding by_pid_file(const core::ProcessProbe& probe) {
  if (::access(probe.pid_file.c_str(), R_OK) != 0 && errno != ENOENT) {
    return not_done(of_errno(errno, probe.pid_file).detail);
  }
  const std::optional<int> pid = number(read_some(probe.pid_file));
  return judge(pid && alive(*pid) ? 1 : 0, probe.min, "by " + probe.pid_file);
}

Finding by_match(const core::ProcessProbe& probe, const RE2& pattern) {
  if (!pattern.ok()) return not_done("match: " + pattern.error());
  const std::unique_ptr<DIR, int (*)(DIR*)> proc(::opendir("/proc"), &::closedir);
  if (!proc) return not_done(of_errno(errno, "/proc").detail);
  std::uint32_t count = 0;
  while (const dirent* entry = ::readdir(proc.get())) {
    const std::optional<int> pid = number(entry->d_name);
    if (!pid || *pid == ::getpid()) continue;
    const std::string line = command_line(entry->d_name);
    if (!line.empty() && RE2::PartialMatch(line, pattern) && alive(*pid)) ++count;
  }
  return judge(count, probe.min, "that match");
}

// The service's own processes: its supervisor counts them.
class OwnProcesses final : public ProbeRunner {
 public:
  OwnProcesses(std::uint32_t min, const Tools& tools)
      : loop_(tools.loop), running_(tools.running), min_(min) {}
  ~OwnProcesses() override { *found_ = nullptr; }

  void run(Found found) override {
    *found_ = std::move(found);
    Finding finding = running_ ? judge(running_(), min_, "of its own")
                               : not_done("nobody counts this service's processes");
    boost::asio::post(loop_, [cell = found_, finding = std::move(finding)]() mutable {
      if (const Found done = std::exchange(*cell, nullptr)) done(std::move(finding));
    });
  }
  Finding give_up() override {
    *found_ = nullptr;
    return not_done("the loop was too busy");
  }

 private:
  boost::asio::io_context& loop_;
  Running running_;
  std::uint32_t min_;
  std::shared_ptr<Found> found_ = std::make_shared<Found>();
};

}  // namespace

std::unique_ptr<ProbeRunner> make_process(const core::ProcessProbe& probe, const Tools& tools) {
  if (!probe.pid_file.empty()) {
    return make_blocking([probe] { return by_pid_file(probe); }, probe.pid_file, tools);
  }
  if (probe.match.empty()) return std::make_unique<OwnProcesses>(probe.min, tools);
  const auto pattern = std::make_shared<const RE2>(probe.match, RE2::Quiet);
  return make_blocking([probe, pattern] { return by_match(probe, *pattern); }, "/proc", tools);
}

}  // namespace recover::adapters::probe
