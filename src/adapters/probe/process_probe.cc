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
#include "base/size_text.h"

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

// So many are there; whether they take more than they may.
Finding weigh(const core::ProcessProbe& probe, const std::vector<Tree>& trees, Finding counted) {
  if (!probe.max_memory || counted.outcome != core::ProbeOutcome::Passed) return counted;
  const std::uint64_t bytes = resident_bytes(trees);
  constexpr std::uint64_t kMiB = 1U << 20U;
  const std::string text =
      base::format_size(bytes > kMiB ? bytes - bytes % kMiB : bytes) + " in memory";
  if (bytes <= *probe.max_memory) return passed(counted.detail + ", " + text);
  return failed(core::Symptom::MemoryPressure, core::FailureClass::ResourceExhaustion,
                text + ", " + base::format_size(*probe.max_memory) + " allowed");
}

Finding by_pid_file(const core::ProcessProbe& probe) {
  if (::access(probe.pid_file.c_str(), R_OK) != 0 && errno != ENOENT) {
    return not_done(of_errno(errno, probe.pid_file).detail);
  }
  const std::optional<int> pid = number(read_some(probe.pid_file));
  std::vector<Tree> trees;
  if (pid && alive(*pid)) trees.push_back({.pid = *pid});
  return weigh(probe, trees,
               judge(static_cast<std::uint32_t>(trees.size()), probe.min, "by " + probe.pid_file));
}

Finding by_match(const core::ProcessProbe& probe, const RE2& pattern) {
  if (!pattern.ok()) return not_done("match: " + pattern.error());
  const std::unique_ptr<DIR, int (*)(DIR*)> proc(::opendir("/proc"), &::closedir);
  if (!proc) return not_done(of_errno(errno, "/proc").detail);
  std::vector<Tree> trees;
  while (const dirent* entry = ::readdir(proc.get())) {
    const std::optional<int> pid = number(entry->d_name);
    if (!pid || *pid == ::getpid()) continue;
    const std::string line = command_line(entry->d_name);
    if (!line.empty() && RE2::PartialMatch(line, pattern) && alive(*pid)) {
      trees.push_back({.pid = *pid});
    }
  }
  return weigh(probe, trees,
               judge(static_cast<std::uint32_t>(trees.size()), probe.min, "that match"));
}

// The service's own processes: its supervisor counts them.
class OwnProcesses final : public ProbeRunner {
 public:
  OwnProcesses(core::ProcessProbe probe, const Tools& tools)
      : tools_(tools), probe_(std::move(probe)) {}
  ~OwnProcesses() override { *found_ = nullptr; }

  void run(Found found) override {
    Finding finding = tools_.running ? judge(tools_.running(), probe_.min, "of its own")
                                     : not_done("nobody counts this service's processes");
    if (probe_.max_memory && tools_.trees && finding.outcome == core::ProbeOutcome::Passed) {
      return weigh_elsewhere(std::move(finding), std::move(found));
    }
    *found_ = std::move(found);
    boost::asio::post(tools_.loop, [cell = found_, finding = std::move(finding)]() mutable {
      if (const Found done = std::exchange(*cell, nullptr)) done(std::move(finding));
    });
  }
  Finding give_up() override {
    *found_ = nullptr;
    return weighing_ ? weighing_->give_up() : not_done("the loop was too busy");
  }
  bool busy() const override { return weighing_ && weighing_->busy(); }

 private:
  // Reading /proc takes its time.
  void weigh_elsewhere(Finding counted, Found found) {
    weighing_ =
        make_blocking([probe = probe_, trees = tools_.trees(),
                       counted = std::move(counted)] { return weigh(probe, trees, counted); },
                      "/proc", tools_);
    weighing_->run(std::move(found));
  }

  Tools tools_;
  core::ProcessProbe probe_;
  std::unique_ptr<ProbeRunner> weighing_;
  std::shared_ptr<Found> found_ = std::make_shared<Found>();
};

}  // namespace

std::unique_ptr<ProbeRunner> make_process(const core::ProcessProbe& probe, const Tools& tools) {
  if (!probe.pid_file.empty()) {
    return make_blocking([probe] { return by_pid_file(probe); }, probe.pid_file, tools);
  }
  if (probe.match.empty()) return std::make_unique<OwnProcesses>(probe, tools);
  const auto pattern = std::make_shared<const RE2>(probe.match, RE2::Quiet);
  return make_blocking([probe, pattern] { return by_match(probe, *pattern); }, "/proc", tools);
}

}  // namespace recover::adapters::probe
