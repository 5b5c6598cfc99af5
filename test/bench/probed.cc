// How long from a failure that only a probe can see to the first effect of its recovery (SIGTERM
// reaches the old process), and to the replacement's main(); beside the least any prober needs:
// one thread that looks at the same file as often. One JSON object a line; medians of FAILURES.
//
// usage: bench_probed RECOVERD [FAILURES] | bench_probed child SLOT FILE
// The child makes its file, stamps its pid, and stamps the time when it is told to end. The failure
// is the file's disappearance, at a random moment between two looks: an ideal prober's median is
// half the interval.
#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

extern char** environ;

namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kMs = 1'000'000;
constexpr std::int64_t kInterval = 50 * kMs;
constexpr int kFailures = 60;

struct Slot {
  std::atomic<std::int64_t> told_ns;  // The old one was told to end.
  std::atomic<std::int64_t> started_ns;
  std::atomic<std::int64_t> pid;  // Written last.
};
static_assert(std::atomic<std::int64_t>::is_always_lock_free);

Slot* told_slot = nullptr;  // Of the child, for its signal handler.

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

int be_child(const char* slot_path, const char* file) {
  const std::int64_t started = now_ns();
  told_slot = map_slot(slot_path);
  if (told_slot == nullptr) return 1;
  std::signal(SIGTERM, [](int) {
    told_slot->told_ns.store(now_ns());
    _exit(0);
  });
  close(open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  told_slot->started_ns.store(started);
  told_slot->pid.store(getpid());
  for (;;) pause();
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

// Looks every kInterval; when the file is gone: SIGTERM, reap, spawn.
[[noreturn]] void be_limit(const std::string& self, const std::string& slot,
                           const std::string& file) {
  pid_t child = spawn({self, "child", slot, file}, false);
  sleep_ns(2 * kInterval);
  for (;;) {
    sleep_ns(kInterval);
    struct stat seen {};
    if (stat(file.c_str(), &seen) == 0) continue;
    kill(child, SIGTERM);
    waitpid(child, nullptr, 0);
    child = spawn({self, "child", slot, file}, false);
    sleep_ns(2 * kInterval);
  }
}

// The pid of the next child; 0 after ten seconds.
std::int64_t wait_for_other(const Slot& slot, std::int64_t old) {
  constexpr std::int64_t kGiveUp = 10'000 * kMs;
  constexpr std::int64_t kPoll = 30'000;
  const std::int64_t begun = now_ns();
  while (slot.pid.load() == old && now_ns() - begun < kGiveUp) sleep_ns(kPoll);
  const std::int64_t pid = slot.pid.load();
  return pid == old ? 0 : pid;
}

struct Times {
  std::vector<double> first_effect_ms;
  std::vector<double> main_ms;
};

// Fails it again and again; ends early when nobody starts it anew.
Times measure(Slot& slot, const fs::path& file, int failures) {
  Times times;
  std::mt19937 chance(1);  // The same moments for both.
  std::int64_t pid = wait_for_other(slot, 0);
  for (int i = 0; i < failures && pid != 0; ++i) {
    constexpr std::int64_t kSettle = 400 * kMs;  // Longer than the validation of the one before.
    sleep_ns(kSettle + static_cast<std::int64_t>(chance() % kInterval));
    const std::int64_t failed = now_ns();
    fs::remove(file);
    pid = wait_for_other(slot, pid);
    if (pid == 0) break;
    times.first_effect_ms.push_back(static_cast<double>(slot.told_ns.load() - failed) / 1e6);
    times.main_ms.push_back(static_cast<double>(slot.started_ns.load() - failed) / 1e6);
  }
  return times;
}

void print(const char* figure, const char* subject, std::vector<double> ms) {
  if (ms.empty()) return;
  std::sort(ms.begin(), ms.end());
  const auto at = [&ms](double share) {
    return ms[std::min(ms.size() - 1,
                       static_cast<std::size_t>(share * static_cast<double>(ms.size())))];
  };
  std::printf(
      "{\"figure\":\"%s\",\"subject\":\"%s\",\"interval_ms\":%lld,\"failures\":%zu,"
      "\"p50_ms\":%.2f,\"p90_ms\":%.2f,\"min_ms\":%.2f}\n",
      figure, subject, static_cast<long long>(kInterval / kMs), ms.size(), at(0.5), at(0.9),
      ms.front());
}

void print(const char* subject, const Times& times) {
  print("probed failure to first effect", subject, times.first_effect_ms);
  print("probed failure to main()", subject, times.main_ms);
}

void write_configuration(const fs::path& home, const std::string& command,
                         const std::string& file) {
  std::ofstream(home / "recoverd.yaml")
      << "version: 1\nstate_dir: " << (home / "state").string()
      << "\napi: {socket: " << (home / "api.sock").string()
      << "}\nauto_recovery:\n  recovery: {mode: automatic}\n  safety: {cooldown: 1ms, "
         "max_recoveries_per_hour: 1000, circuit_breaker: {failure_threshold: 1000}}\n"
         "playbooks: ["
      << (home / "playbook.yaml").string() << "]\nservices:\n  child:\n    run: {command: ["
      << command
      << "]}\n    start_grace: 0s\n    playbooks: [again]\n    probes:\n      - file: {path: "
      << file << "}\n        interval: " << kInterval / kMs
      << "ms\n        failure_threshold: 1\n        success_threshold: 1\n";
  std::ofstream triggers(home / "playbook.yaml");
  triggers << "playbook: again\nname: Again\ntriggers: [{failure: service_failure}, {failure: "
              "timeout}, {failure: connection}, {failure: resource_exhaustion}]\n"
              "steps: [{name: Restart, action: restart, timeout: 5s}]\n"
              "validation: {within: 5s, stable_for: 50ms, success_criteria: [\"service_running == "
              "true\", \"health_check_passing == true\"]}\n";
}

int run(const std::string& recoverd, int failures) {
  const std::string self = fs::read_symlink("/proc/self/exe").string();
  std::string pattern = (fs::temp_directory_path() / "recoverd-bench-XXXXXX").string();
  const fs::path home = mkdtemp(pattern.data());
  const std::string file = (home / "well").string();

  const std::string limit_slot = (home / "limit").string();
  Slot& of_limit = *map_slot(limit_slot.c_str());
  const pid_t limit = fork();
  if (limit == 0) be_limit(self, limit_slot, file);
  print("bare limit: stat() as often, SIGTERM, reap, posix_spawn",
        measure(of_limit, file, failures));
  kill(limit, SIGKILL);
  waitpid(limit, nullptr, 0);
  kill(static_cast<pid_t>(of_limit.pid.load()), SIGKILL);

  const std::string slot_path = (home / "slot").string();
  write_configuration(home, self + ", child, " + slot_path + ", " + file, file);
  Slot& slot = *map_slot(slot_path.c_str());
  const pid_t keeper =
      spawn({recoverd, "run", "--config", (home / "recoverd.yaml").string()}, true);
  const Times times = measure(slot, file, failures);
  print("recoverd: judged, journaled, planned, gated", times);
  kill(keeper, SIGTERM);
  waitpid(keeper, nullptr, 0);
  fs::remove_all(home);
  return times.main_ms.size() == static_cast<std::size_t>(failures) ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 4 && std::strcmp(argv[1], "child") == 0) return be_child(argv[2], argv[3]);
  if (argc < 2) {
    std::fprintf(stderr, "usage: bench_probed RECOVERD [FAILURES]\n");
    return 2;
  }
  return run(argv[1], argc > 2 ? std::atoi(argv[2]) : kFailures);
}
