#include "adapters/process/process_tree.h"

#include <dirent.h>

#include <charconv>
#include <csignal>
#include <cstring>
#include <memory>

#include "adapters/process/proc_file.h"
#include "adapters/process/process.h"

namespace recover::adapters::process {
namespace {

struct CloseFolder {
  void operator()(DIR* folder) const noexcept { ::closedir(folder); }
};

std::vector<pid_t> all_pids() {
  std::vector<pid_t> pids;
  const std::unique_ptr<DIR, CloseFolder> proc(::opendir("/proc"));
  while (const dirent* entry = proc ? ::readdir(proc.get()) : nullptr) {
    pid_t pid = 0;
    const char* const end = entry->d_name + std::strlen(entry->d_name);
    if (std::from_chars(entry->d_name, end, pid).ptr == end && pid > 0) pids.push_back(pid);
  }
  return pids;
}

// `text`: NUL-separated NAME=value.
bool holds(std::string_view text, const std::string& variable) {
  for (auto at = text.find(variable); at != std::string_view::npos;
       at = text.find(variable, at + 1)) {
    const auto end = at + variable.size();
    const bool whole = (at == 0 || text[at - 1] == '\0') && (end == text.size() || !text[end]);
    if (whole) return true;
  }
  return false;
}

}  // namespace

bool ProcessTree::owns(pid_t pid) const {
  const std::string folder = "/proc/" + std::to_string(pid);
  if (leaf) {
    const auto text = read_small_file(folder + "/cgroup");
    return text && leaf.path().ends_with(unified_path(*text)) && !unified_path(*text).empty() &&
           unified_path(*text) != "/";
  }
  const auto stat = read_stat(pid);
  if (!stat || stat->state == 'Z') return false;
  if (in_session(stat->session)) return true;
  const auto environment = read_small_file(folder + "/environ");
  return !token.empty() && environment &&
         holds(*environment, std::string(kTokenVariable) + "=" + token);
}

// The kernel gives a session's number to nobody while one of its processes is left; so when the pid
// is another process's now, the session is over and an equal number is a stranger's.
bool ProcessTree::in_session(pid_t session) const {
  if (leader.pid <= 0 || session != leader.pid) return false;
  const auto stat = read_stat(session);
  return !stat || stat->start_time == leader.start_time;
}

std::vector<pid_t> ProcessTree::members() const {
  if (leaf) return leaf.members();
  std::vector<pid_t> found;
  for (const pid_t pid : all_pids()) {
    if (owns(pid)) found.push_back(pid);
  }
  return found;
}

bool ProcessTree::empty() const {
  return leaf ? !leaf.populated() : members().empty();
}

void ProcessTree::signal(int number) const {
  for (const pid_t pid : members()) {
    const Descriptor pidfd = open_pidfd(pid);
    if (pidfd && owns(pid)) signal_pidfd(pidfd.get(), number);
  }
}

void ProcessTree::freeze(bool still) const {
  if (!leaf || !leaf.freeze(still)) signal(still ? SIGSTOP : SIGCONT);
}

void ProcessTree::kill() const {
  if (!leaf || !leaf.kill()) signal(SIGKILL);
}

}  // namespace recover::adapters::process
