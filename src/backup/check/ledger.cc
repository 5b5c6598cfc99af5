#include "backup/check/ledger.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <utility>

#include "backup/local/file.h"

namespace recover::backup {
namespace fs = std::filesystem;

ReadLedger::ReadLedger(std::string path) : path_(std::move(path)) {
  constexpr std::size_t kPacksMax = 10'000'000;
  std::ifstream in(path_);
  std::string name;
  std::int64_t seconds = 0;
  while (read_.size() < kPacksMax && in >> name >> seconds) {
    if (const auto pack = parse_digest(name)) read_[*pack] = seconds;
  }
}

std::string ReadLedger::default_path(const std::string& repository_id) {
  const std::string name = "/repositories/" + repository_id + "/packs-read";
  // Read before any thread of ours begins.
  const char* const state = std::getenv("XDG_STATE_HOME");  // NOLINT(concurrency-mt-unsafe)
  const char* const home = std::getenv("HOME");             // NOLINT(concurrency-mt-unsafe)
  if (state != nullptr && *state == '/') return std::string(state) + "/recoverd" + name;
  if (::geteuid() == 0) return "/var/lib/recoverd" + name;
  return std::string(home == nullptr ? "" : home) + "/.local/state/recoverd" + name;
}

std::int64_t ReadLedger::last_read(const Digest& pack) const {
  const std::lock_guard lock(mutex_);
  const auto found = read_.find(pack);
  return found == read_.end() ? 0 : found->second;
}

void ReadLedger::note(const Digest& pack, std::int64_t seconds) {
  const std::lock_guard lock(mutex_);
  read_[pack] = seconds;
  const auto now = std::chrono::steady_clock::now();
  if (now - saved_ < kSaveEvery) return;
  saved_ = now;
  static_cast<void>(save_locked());  // The last save tells.
}

void ReadLedger::forget(const Digest& pack) {
  const std::lock_guard lock(mutex_);
  read_.erase(pack);
}

Outcome<void> ReadLedger::save() const {
  const std::lock_guard lock(mutex_);
  return save_locked();
}

Outcome<void> ReadLedger::save_locked() const {
  std::error_code failed;
  fs::create_directories(fs::path(path_).parent_path(), failed);
  const std::string fresh = path_ + "-new-" + std::to_string(::getpid());
  {
    std::ofstream out(fresh, std::ios::trunc);
    for (const auto& [pack, seconds] : read_) out << hex(pack) << ' ' << seconds << '\n';
    out.close();
    if (!out) return system_failure("writing", fresh);
  }
  if (std::rename(fresh.c_str(), path_.c_str()) != 0) return system_failure("renaming", fresh);
  return {};
}

}  // namespace recover::backup
