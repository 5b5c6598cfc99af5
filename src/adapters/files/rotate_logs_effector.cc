// rotate_logs: x.log becomes x.log.1, x.log.1 becomes x.log.2 …; those beyond `keep` are removed.
//
// The new x.log has the owner and mode of the old one. Who writes to it must open it anew (a reload
// or signal step); for who cannot, `truncate` copies and empties it, and lines written in between
// are lost. Never leaves its roots, follows no link, rotates no empty file and none that is itself
// an old one. An interrupted rotation leaves a gap in the numbers and no file lost.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <system_error>
#include <utility>

#include "adapters/files/descend.h"
#include "adapters/files/effectors.h"
#include "adapters/files/roots.h"
#include "adapters/files/sweep.h"
#include "effects/pool_effector.h"
#include "posix/descriptor.h"

namespace recover::adapters::files {
namespace {

using core::CommandOutcome;
using core::RotateLogsAction;
using effects::Outcome;
using posix::Descriptor;

// "x.log.3" and "x.log.3.gz" are old ones of x.log.
bool is_old(std::string_view name) {
  if (name.ends_with(".gz")) name.remove_suffix(3);
  const auto dot = name.rfind('.');
  return dot != std::string_view::npos && dot + 1 < name.size() &&
         name.find_first_not_of("0123456789", dot + 1) == std::string_view::npos;
}

std::string errno_text() {
  return std::generic_category().message(errno);
}

// Copies all of `name` to a new file; the original stays. False: errno.
bool copy(const FileName& log, const std::string& to, const struct stat& as,
          const Stopped& stopped) {
  const int at = log.folder.get();
  const Descriptor in(::openat(at, log.name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  const Descriptor out(
      ::openat(at, to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!in || !out) return false;
  std::array<char, 65'536> chunk{};
  while (true) {  // Bounded by the deadline.
    const ssize_t size = ::read(in.get(), chunk.data(), chunk.size());
    if (size == 0) break;
    errno = stopped() ? ETIMEDOUT : errno;
    if (size < 0 || stopped() ||
        ::write(out.get(), chunk.data(), static_cast<std::size_t>(size)) != size) {
      return false;
    }
  }
  return ::fchown(out.get(), as.st_uid, as.st_gid) == 0 &&
         ::fchmod(out.get(), as.st_mode & 07777U) == 0;
}

// The log under its own name, empty, once the old one is under another. False: errno.
bool begin_anew(const FileName& log, const struct stat& as) {
  const Descriptor made(::openat(log.folder.get(), log.name.c_str(),
                                 O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!made) return errno == EEXIST;  // Its writer was faster.
  return ::fchown(made.get(), as.st_uid, as.st_gid) == 0 &&
         ::fchmod(made.get(), as.st_mode & 07777U) == 0;
}

bool empty(const FileName& log) {
  const Descriptor file(
      ::openat(log.folder.get(), log.name.c_str(), O_WRONLY | O_NOFOLLOW | O_CLOEXEC));
  return file && ::ftruncate(file.get(), 0) == 0;
}

// Makes ".1" free, from the oldest on. Only regular files are touched. False: errno.
bool shift(const FileName& log, std::uint32_t keep) {
  const int at = log.folder.get();
  const auto numbered = [&](std::uint32_t number) {
    return log.name + "." + std::to_string(number);
  };
  for (std::uint32_t number = keep; number >= 1; --number) {
    struct stat old {};
    const std::string name = numbered(number);
    if (::fstatat(at, name.c_str(), &old, AT_SYMLINK_NOFOLLOW) != 0) continue;
    if (!S_ISREG(old.st_mode)) {
      errno = EEXIST;
      return false;
    }
    const int failed = number == keep
                           ? ::unlinkat(at, name.c_str(), 0)
                           : ::renameat(at, name.c_str(), at, numbered(number + 1).c_str());
    if (failed != 0) return false;
  }
  return true;
}

// Empty: done. Otherwise why not.
std::string rotate(const Candidate& candidate, const RotateLogsAction& action,
                   const Stopped& stopped) {
  const std::string full = candidate.root + "/" + candidate.path;
  struct stat file {};
  const FileName log = open_candidate(candidate, file);
  if (!log.folder) return full + ": not the file it was";
  if (!shift(log, action.keep)) return full + ": " + errno_text();
  const std::string first = log.name + ".1";
  const int at = log.folder.get();
  if (action.truncate) {
    if (copy(log, first, file, stopped) && empty(log)) return "";
    const std::string why = errno_text();
    ::unlinkat(at, first.c_str(), 0);  // The log itself still holds everything.
    return full + ": " + why;
  }
  if (::renameat(at, log.name.c_str(), at, first.c_str()) != 0) return full + ": " + errno_text();
  return begin_anew(log, file) ? "" : full + " cannot be made anew: " + errno_text();
}

Result<std::vector<Candidate>, Outcome> logs_of(const RotateLogsAction& action,
                                                const Stopped& stopped) {
  core::CleanFilesAction wanted;
  wanted.globs = action.globs;
  wanted.larger_than = std::max<std::uint64_t>(action.larger_than, 1);
  std::vector<Candidate> logs;
  for (const std::string& root : action.roots) {
    Result<std::string, std::string> resolved = resolve_root(root);
    if (!resolved) return Unexpected(effects::refused(resolved.error()));
    if (resolved->empty()) continue;
    for (Candidate& found :
         find_candidates(*resolved, wanted, std::chrono::system_clock::now(), stopped)) {
      if (!is_old(found.path)) logs.push_back(std::move(found));
    }
  }
  std::ranges::sort(logs, {},
                    [](const Candidate& each) { return std::pair(each.root, each.path); });
  return logs;
}

Outcome rotate_all(const RotateLogsAction& action, const Stopped& stopped) {
  const auto logs = logs_of(action, stopped);
  if (!logs) return logs.error();
  std::uint32_t count = 0;
  std::string names;
  std::string errors;
  for (const Candidate& log : *logs) {
    if (count >= action.max_files) break;
    if (stopped()) return effects::in_doubt("not done in time; rotated " + std::to_string(count));
    const std::string error = rotate(log, action, stopped);
    if (!error.empty()) {
      if (errors.empty()) errors = "; " + error;
      continue;
    }
    if (count++ < kNamesMax) names += (names.empty() ? "" : ", ") + log.root + "/" + log.path;
  }
  if (count == 0 && !errors.empty()) return effects::failed("rotated nothing" + errors);
  if (count == 0) return effects::refused("no log matched");
  return {.detail = "rotated " + std::to_string(count) + (count == 1 ? " log: " : " logs: ") +
                    names + errors};
}

class RotateLogsEffector final : public effects::PoolEffector {
 public:
  using PoolEffector::PoolEffector;

 private:
  Result<Work, Outcome> prepare(const core::Command& command,
                                const core::Policy& policy) const override {
    const auto* action = std::get_if<RotateLogsAction>(&core::arguments_of(command, policy));
    if (action == nullptr || action->roots.empty() || action->globs.empty() || action->keep == 0) {
      return Unexpected(effects::refused("no roots or no globs"));
    }
    if (command.settle) return Unexpected(effects::settled());
    return Work(
        [arguments = *action](const Stopped& stopped) { return rotate_all(arguments, stopped); });
  }
};

}  // namespace

std::unique_ptr<ports::Effector> make_rotate_logs(const Tools& tools) {
  return std::make_unique<RotateLogsEffector>(tools);
}

}  // namespace recover::adapters::files
