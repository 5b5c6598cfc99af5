// Checkpoints of a state of 10,000 files, beside `restic backup` of the same; one JSON object a
// line. Wall milliseconds, the median of kRounds; the daemon's store, its worker program, real
// files.
//
// usage: bench_checkpoint RECOVERD_BACKUP [FOLDER]
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "adapters/checkpoint/repository_store.h"

namespace {

namespace fs = std::filesystem;
using recover::adapters::checkpoint::RepositoryStore;
using Clock = std::chrono::steady_clock;

constexpr int kFiles = 10'000;
constexpr int kFilesOfAFolder = 100;
constexpr int kRounds = 7;

void write(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
}

double milliseconds_of(const std::function<void()>& work) {
  const auto begin = Clock::now();
  work();
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

// Says the median of what `work` takes; `before` is not counted.
void tell(
    const char* who, const char* what, const std::function<void()>& work,
    const std::function<void(int)>& before = [](int) {}) {
  std::vector<double> found;
  for (int round = 0; round < kRounds; ++round) {
    before(round);
    found.push_back(milliseconds_of(work));
  }
  std::sort(found.begin(), found.end());
  std::printf(
      R"({"bench":"checkpoint","files":%d,"who":"%s","cell":"%s","median_ms":%.1f,"max_ms":%.1f})"
      "\n",
      kFiles, who, what, found[kRounds / 2], found.back());
  std::fflush(stdout);
}

void must(bool good, const std::string& what) {
  if (good) return;
  std::fprintf(stderr, "bench_checkpoint: %s\n", what.c_str());
  std::exit(1);
}

void run(const std::string& command) {
  must(std::system((command + " >/dev/null 2>&1").c_str()) == 0, command);
}

}  // namespace

int main(int count, char** words) {
  must(count >= 2, "usage: bench_checkpoint RECOVERD_BACKUP [FOLDER]");
  std::string name = std::string(count > 2 ? words[2] : "/tmp") + "/bench-checkpoint-XXXXXX";
  must(::mkdtemp(name.data()) != nullptr, "cannot make a folder");
  const fs::path folder(name);
  const fs::path state = folder / "state";
  for (int i = 0; i < kFiles; ++i) {
    const std::string number = std::to_string(i);
    std::string text;
    while (text.size() < 1'000)
      text += "setting " + number + " = " + std::to_string(text.size()) + "\n";
    write(state / std::to_string(i / kFilesOfAFolder) / (number + ".conf"), text);
  }
  auto opened = RepositoryStore::open({.root = folder / "checkpoints", .worker = words[1]});
  must(opened.has_value(), "cannot open the store");
  RepositoryStore& store = **opened;
  const auto take = [&] {
    const auto taken = store.take({.service = "web", .name = "now", .paths = {state}});
    must(taken.has_value(), taken ? "" : taken.error().message);
  };
  const auto change = [&](int round) {
    write(state / "7/701.conf", "round " + std::to_string(round));
  };
  const double first = milliseconds_of(take);
  std::printf(
      R"({"bench":"checkpoint","files":%d,"who":"recoverd","cell":"first","median_ms":%.1f})"
      "\n",
      kFiles, first);
  // What has changed just now is looked at again: only what is older is known by its times.
  tell("recoverd", "unchanged, but changed within two seconds", take);
  std::this_thread::sleep_for(std::chrono::milliseconds(2'500));
  take();
  tell("recoverd", "unchanged", take);
  tell("recoverd", "one file changed", take, change);
  tell(
      "recoverd", "restore of one file, its undo taken first",
      [&] {
        const auto report = store.restore({.service = "web", .checkpoint = "now"});
        must(report.has_value(), report ? "" : report.error().message);
      },
      [&](int round) { change(round + kRounds + 1); });
  const std::string restic =
      "RESTIC_PASSWORD=x restic -q -r " + name + "/restic --cache-dir " + name + "/cache ";
  if (std::system("restic version >/dev/null 2>&1") == 0) {
    run(restic + "init");
    const auto backup = [&] { run(restic + "backup " + state.string()); };
    backup();
    tell("restic", "unchanged", backup);
    tell("restic", "one file changed", backup, change);
  }
  std::error_code ignored;
  fs::remove_all(folder, ignored);
  return 0;
}
