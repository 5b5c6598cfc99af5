#include "backup/store/sftp/backend_process.h"

#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <optional>
#include <thread>

#include <recover/check.h>

extern char** environ;

namespace recover::backup::sftp {
namespace {

constexpr std::chrono::milliseconds kPatience{2000};
constexpr std::chrono::milliseconds kStep{5};

class SpawnSetup {
 public:
  // The child reads and writes `channel`. SIGINT is for us: we end what we began, then it.
  explicit SpawnSetup(int channel) {
    ::posix_spawn_file_actions_init(&actions_);
    ::posix_spawn_file_actions_adddup2(&actions_, channel, STDIN_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions_, channel, STDOUT_FILENO);
    ::posix_spawnattr_init(&attributes_);
    sigset_t blocked;
    ::sigemptyset(&blocked);
    ::sigaddset(&blocked, SIGINT);
    sigset_t defaults;
    ::sigemptyset(&defaults);
    ::sigaddset(&defaults, SIGPIPE);
    ::posix_spawnattr_setsigmask(&attributes_, &blocked);
    ::posix_spawnattr_setsigdefault(&attributes_, &defaults);
    ::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  SpawnSetup(const SpawnSetup&) = delete;
  SpawnSetup& operator=(const SpawnSetup&) = delete;
  ~SpawnSetup() {
    ::posix_spawn_file_actions_destroy(&actions_);
    ::posix_spawnattr_destroy(&attributes_);
  }

  int spawn(pid_t& pid, const std::vector<std::string>& arguments) {
    std::vector<char*> words;
    // posix_spawn's arguments are not const by tradition; it does not change them.
    for (const std::string& word : arguments) words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    return ::posix_spawnp(&pid, words.front(), &actions_, &attributes_, words.data(), environ);
  }

 private:
  posix_spawn_file_actions_t actions_{};
  posix_spawnattr_t attributes_{};
};

bool has_ended(pid_t pid) {
  const pid_t ended = ::waitpid(pid, nullptr, WNOHANG);
  return ended == pid || (ended < 0 && errno == ECHILD);
}

bool ends_within(pid_t pid, std::chrono::milliseconds patience) {
  for (auto waited = std::chrono::milliseconds(0); waited < patience; waited += kStep) {
    if (has_ended(pid)) return true;
    std::this_thread::sleep_for(kStep);
  }
  return has_ended(pid);
}

}  // namespace

Outcome<BackendProcess> BackendProcess::start(const std::vector<std::string>& arguments) {
  RECOVER_CHECK(!arguments.empty());
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return system_failure("starting", arguments.front());
  }
  Descriptor ours(ends[0]);
  const Descriptor theirs(ends[1]);
  pid_t pid = -1;
  SpawnSetup setup(theirs.get());
  if (const int code = setup.spawn(pid, arguments); code != 0) {
    errno = code;
    return system_failure("starting", arguments.front());
  }
  return BackendProcess(pid, std::move(ours));
}

BackendProcess::~BackendProcess() {
  if (pid_ < 0) return;
  channel_.reset();
  if (ends_within(pid_, kPatience)) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

void BackendProcess::break_off() const {
  ::shutdown(channel_.get(), SHUT_RDWR);
  ::kill(pid_, SIGKILL);
}

std::optional<std::vector<std::string>> split_words(std::string_view text) {
  std::vector<std::string> words;
  bool inside = false;
  char quote = '\0';
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool space = c == ' ' || c == '\t' || c == '\n';
    if (quote == '\0' && space) {
      inside = false;
      continue;
    }
    if (!inside) words.emplace_back();
    inside = true;
    if (c == quote) {
      quote = '\0';
    } else if (quote == '\0' && (c == '"' || c == '\'')) {
      quote = c;
    } else if (c == '\\' && quote != '\'' && i + 1 < text.size()) {
      words.back() += text[++i];
    } else {
      words.back() += c;
    }
  }
  if (quote != '\0') return std::nullopt;
  return words;
}

}  // namespace recover::backup::sftp
