// How long from kill -9 to the replacement's main(), beside the machine's own limit for the same:
// pidfd wake-up, reap, spawn, main(). One JSON object a line; medians of KILLS kills.
//
// usage: bench_restart RECOVERD [KILLS] | bench_restart child|talk|limit SLOT
// The child stamps its pid and the time into a shared file and sleeps. `limit` is the least any
// supervisor does, for supervise.py: one thread that does nothing else keeps one child running.
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

extern char** environ;

namespace {

namespace fs = std::filesystem;

struct Slot {
  std::atomic<std::int64_t> started_ns;
  std::atomic<std::int64_t> pid;  // Written last.
};
static_assert(std::atomic<std::int64_t>::is_always_lock_free);

std::int64_t now_ns() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

void sleep_ns(std::int64_t ns) {
  const timespec time{ns / 1'000'000'000, ns % 1'000'000'000};
  nanosleep(&time, nullptr);
}

Slot* map_slot(const char* path) {
  const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0 || ftruncate(fd, sizeof(Slot)) != 0) return nullptr;
  void* memory = mmap(nullptr, sizeof(Slot), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  return memory == MAP_FAILED ? nullptr : static_cast<Slot*>(memory);
}

int be_child(const char* path) {
  const std::int64_t started = now_ns();
  Slot* slot = map_slot(path);
  if (slot == nullptr) return 1;
  slot->started_ns.store(started);
  slot->pid.store(getpid());
  for (;;) pause();
}

// A line of 200 bytes a second.
int talk(const char* path) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  const std::string line = std::string(199, 'x') + "\n";
  const std::int64_t started = now_ns();
  Slot* slot = map_slot(path);
  if (slot == nullptr) return 1;
  slot->started_ns.store(started);
  slot->pid.store(getpid());
  for (;;) {
    sleep_ns(kSecond);
    if (write(1, line.data(), line.size()) < 0) return 1;
  }
}

// The pid of the next child; 0 after ten seconds.
std::int64_t wait_for_other(Slot& slot, std::int64_t old) {
  constexpr std::int64_t kGiveUp = 10'000'000'000;
  constexpr std::int64_t kPoll = 30'000;
  const std::int64_t begun = now_ns();
  while (slot.pid.load() == old && now_ns() - begun < kGiveUp) sleep_ns(kPoll);
  const std::int64_t pid = slot.pid.load();
  return pid == old ? 0 : pid;
}

void print(const char* subject, std::vector<double> ms) {
  if (ms.empty()) return;
  std::sort(ms.begin(), ms.end());
  const auto at = [&ms](double share) {
    return ms[std::min(ms.size() - 1,
                       static_cast<std::size_t>(share * static_cast<double>(ms.size())))];
  };
  std::printf(
      "{\"figure\":\"kill to main()\",\"subject\":\"%s\",\"kills\":%zu,\"p50_ms\":%.2f,"
      "\"p90_ms\":%.2f,\"min_ms\":%.2f}\n",
      subject, ms.size(), at(0.5), at(0.9), ms.front());
}

pid_t spawn(const std::vector<std::string>& words, bool quiet) {
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions{};
  posix_spawn_file_actions_init(&actions);
  if (quiet) posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  pid_t pid = 0;
  const int error = posix_spawn(&pid, arguments[0], &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  return error == 0 ? pid : 0;
}

double wait_and_kill(Slot& slot, std::int64_t& pid) {
  constexpr std::int64_t kSettle = 120'000'000;  // Longer than the validation of the one before.
  sleep_ns(kSettle);
  const std::int64_t killed = now_ns();
  kill(static_cast<pid_t>(pid), SIGKILL);
  pid = wait_for_other(slot, pid);
  return static_cast<double>(slot.started_ns.load() - killed) / 1e6;
}

[[noreturn]] void be_limit(const std::string& self, const std::string& path) {
  for (;;) {
    const pid_t child = spawn({self, "child", path}, false);
    const int fd = static_cast<int>(syscall(SYS_pidfd_open, child, 0));
    pollfd waiting{fd, POLLIN, 0};
    poll(&waiting, 1, -1);
    waitpid(child, nullptr, 0);
    close(fd);
  }
}

std::vector<double> measure_limit(const std::string& self, const std::string& path, int kills) {
  Slot& slot = *map_slot(path.c_str());
  std::vector<double> ms;
  const pid_t supervisor = fork();
  if (supervisor == 0) be_limit(self, path);
  std::int64_t pid = wait_for_other(slot, 0);
  for (int i = 0; i < kills && pid != 0; ++i) ms.push_back(wait_and_kill(slot, pid));
  kill(supervisor, SIGKILL);
  waitpid(supervisor, nullptr, 0);
  kill(static_cast<pid_t>(pid), SIGKILL);
  return ms;
}

void write_configuration(const fs::path& home, const std::string& self, const std::string& path) {
  std::ofstream(home / "recoverd.yaml")
      << "version: 1\nstate_dir: " << (home / "state").string()
      << "\napi: {socket: " << (home / "api.sock").string()
      << "}\nauto_recovery:\n  recovery: {mode: automatic}\n  safety: {cooldown: 1ms, "
         "max_recoveries_per_hour: 1000, circuit_breaker: {failure_threshold: 1000}}\n"
         "playbooks: ["
      << (home / "playbook.yaml").string() << "]\nservices:\n  child: {run: {command: [" << self
      << ", child, " << path << "]}, playbooks: [again]}\n";
  std::ofstream(home / "playbook.yaml")
      << "playbook: again\nname: Again\ntriggers: [{failure: service_failure}]\n"
         "steps: [{name: Start, action: start, timeout: 5s}]\n"
         "validation: {within: 5s, stable_for: 50ms, success_criteria: [\"service_running == "
         "true\"]}\n";
}

// Kilobytes of proportional set size of a process; 0 when it cannot be read.
long pss_kb(pid_t pid) {
  std::ifstream rollup("/proc/" + std::to_string(pid) + "/smaps_rollup");
  for (std::string word; rollup >> word;) {
    long kb = 0;
    if (word == "Pss:" && rollup >> kb) return kb;
  }
  return 0;
}

void print_memory(pid_t keeper) {
  std::ifstream children("/proc/" + std::to_string(keeper) + "/task/" + std::to_string(keeper) +
                         "/children");
  for (pid_t pid = 0; children >> pid;) {
    std::string name;
    std::ifstream("/proc/" + std::to_string(pid) + "/comm") >> name;
    if (name != "recoverd") continue;
    std::printf(
        "{\"figure\":\"memory\",\"services\":1,\"keeper_pss_kib\":%ld,\"engine_pss_kib\":%ld}\n",
        pss_kb(keeper), pss_kb(pid));
  }
}

int measure(const std::string& recoverd, int kills) {
  const std::string self = fs::read_symlink("/proc/self/exe").string();
  std::string pattern = (fs::temp_directory_path() / "recoverd-bench-XXXXXX").string();
  const fs::path home = mkdtemp(pattern.data());
  print("bare limit: pidfd wake, reap, posix_spawn, main",
        measure_limit(self, (home / "limit").string(), kills));
  const std::string path = (home / "slot").string();
  write_configuration(home, self, path);
  Slot& slot = *map_slot(path.c_str());
  const pid_t keeper =
      spawn({recoverd, "run", "--config", (home / "recoverd.yaml").string()}, true);
  std::int64_t pid = wait_for_other(slot, 0);
  std::vector<double> ms;
  for (int i = 0; i < kills && pid != 0; ++i) ms.push_back(wait_and_kill(slot, pid));
  print("recoverd: journaled, planned, gated, validated", ms);
  print_memory(keeper);
  kill(keeper, SIGTERM);
  waitpid(keeper, nullptr, 0);
  fs::remove_all(home);
  return ms.size() == static_cast<std::size_t>(kills) && pid != 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && std::strcmp(argv[1], "child") == 0) return be_child(argv[2]);
  if (argc == 3 && std::strcmp(argv[1], "talk") == 0) return talk(argv[2]);
  if (argc == 3 && std::strcmp(argv[1], "limit") == 0) {
    be_limit(fs::read_symlink("/proc/self/exe").string(), argv[2]);
  }
  if (argc < 2) {
    std::fprintf(stderr, "usage: bench_restart RECOVERD [KILLS]\n");
    return 2;
  }
  constexpr int kKills = 200;
  return measure(argv[1], argc > 2 ? std::atoi(argv[2]) : kKills);
}
