#include "adapters/observe/search.h"

#include <dirent.h>
#include <fcntl.h>
#include <re2/re2.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <limits>
#include <map>
#include <string_view>

namespace recover::adapters::observe {
namespace {

constexpr std::size_t kFileMax = 64U << 10U;  // Of a command line that is looked at.
constexpr std::size_t kPidsMax = 1U << 22U;   // As the kernel's pid_max.

std::optional<std::string> read_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return std::nullopt;
  std::string text;
  std::array<char, 4096> block{};
  ssize_t size = 0;
  while (text.size() < kFileMax && (size = ::read(fd, block.data(), block.size())) > 0) {
    text.append(block.data(), static_cast<std::size_t>(size));
  }
  ::close(fd);
  if (size < 0) return std::nullopt;
  return text;
}

std::optional<pid_t> parse_pid(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\n')) text.remove_prefix(1);
  pid_t pid = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), pid);
  if (error != std::errc() || pid <= 1) return std::nullopt;
  return pid;
}

std::string folder(pid_t pid) {
  return "/proc/" + std::to_string(pid) + "/";
}

// The words of the command line with blanks between them; empty for kernel threads and zombies.
std::string command_line(pid_t pid) {
  std::string text = read_file(folder(pid) + "cmdline").value_or("");
  while (!text.empty() && text.back() == '\0') text.pop_back();
  for (char& letter : text) {
    if (letter == '\0') letter = ' ';
  }
  return text;
}

std::string name_of(pid_t pid) {
  std::string text = read_file(folder(pid) + "comm").value_or("");
  if (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

std::string program_of(pid_t pid) {
  std::array<char, 4096> path{};
  const ssize_t size = ::readlink((folder(pid) + "exe").c_str(), path.data(), path.size());
  if (size <= 0) return {};
  std::string text(path.data(), static_cast<std::size_t>(size));
  constexpr std::string_view kDeleted = " (deleted)";  // After an upgrade of the package.
  if (text.ends_with(kDeleted)) text.resize(text.size() - kDeleted.size());
  return text;
}

struct Stat {
  char state = '?';
  pid_t parent = 0;
  std::uint64_t start_time = 0;
};
std::optional<Stat> stat_of(pid_t pid) {
  const std::string text = read_file(folder(pid) + "stat").value_or("");
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string::npos || name_end + 2 >= text.size()) return std::nullopt;
  Stat stat;
  stat.state = text[name_end + 2];
  std::string_view rest = std::string_view(text).substr(name_end + 3);
  constexpr int kParent = 4;
  constexpr int kStartTime = 22;
  for (int field = kParent; field <= kStartTime; ++field) {
    while (rest.starts_with(' ')) rest.remove_prefix(1);
    const std::string_view word = rest.substr(0, rest.find(' '));
    const auto* end = word.data() + word.size();
    if (field == kParent) std::from_chars(word.data(), end, stat.parent);
    if (field == kStartTime) std::from_chars(word.data(), end, stat.start_time);
    rest.remove_prefix(word.size());
  }
  return stat;
}

}  // namespace

struct Search::Patterns {
  explicit Patterns(const core::ObserveSpec& spec)
      : line(spec.match, RE2::Quiet), name(spec.name, RE2::Quiet), exe(spec.exe, RE2::Quiet) {}

  bool any() const {
    return !line.pattern().empty() || !name.pattern().empty() || !exe.pattern().empty();
  }
  static bool fits(const RE2& pattern, const std::string& text) {
    return pattern.pattern().empty() || (!text.empty() && RE2::PartialMatch(text, pattern));
  }
  bool match(pid_t pid) const {
    return fits(name, name.pattern().empty() ? "" : name_of(pid)) &&
           fits(exe, exe.pattern().empty() ? "" : program_of(pid)) &&
           fits(line, line.pattern().empty() ? "" : command_line(pid));
  }

  RE2 line;
  RE2 name;
  RE2 exe;
};

Search::Search(const core::ObserveSpec& spec)
    : pid_file_(spec.pid_file), patterns_(std::make_unique<Patterns>(spec)) {}
Search::~Search() = default;

std::optional<pid_t> Search::from_pid_file() const {
  const auto pid = parse_pid(read_file(pid_file_).value_or(""));
  if (!pid) return std::nullopt;
  const auto stat = stat_of(*pid);
  if (!stat || stat->state == 'Z' || *pid == ::getpid()) return std::nullopt;
  // A pid file that was left behind may name a stranger.
  return patterns_->match(*pid) ? pid : std::nullopt;
}

std::optional<pid_t> Search::find() const {
  if (!pid_file_.empty()) return from_pid_file();
  if (!patterns_->any()) return std::nullopt;
  DIR* all = ::opendir("/proc");
  if (all == nullptr) return std::nullopt;
  std::map<pid_t, Stat> found;
  std::size_t seen = 0;
  // Only this thread reads this stream.  NOLINTNEXTLINE(concurrency-mt-unsafe)
  for (const dirent* entry = ::readdir(all); entry != nullptr && seen < kPidsMax;
       entry = ::readdir(all), ++seen) {  // NOLINT(concurrency-mt-unsafe)
    const auto pid = parse_pid(static_cast<const char*>(entry->d_name));
    if (!pid || *pid == ::getpid() || *pid == ::getppid() || !patterns_->match(*pid)) continue;
    const auto stat = stat_of(*pid);
    if (stat && stat->state != 'Z') found.emplace(*pid, *stat);
  }
  ::closedir(all);
  std::optional<pid_t> best;
  std::uint64_t oldest = std::numeric_limits<std::uint64_t>::max();
  for (const auto& [pid, stat] : found) {
    if (found.contains(stat.parent) || stat.start_time >= oldest) continue;
    best = pid;
    oldest = stat.start_time;
  }
  return best;
}

}  // namespace recover::adapters::observe
