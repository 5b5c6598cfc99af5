#include "apps/recoverd_backup/machine.h"

#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <thread>

namespace recover::apps {

std::string_view code_of(backup::FailureKind kind) {
  switch (kind) {
    case backup::FailureKind::NotFound: return "NOT_FOUND";
    case backup::FailureKind::Exists: return "EXISTS";
    case backup::FailureKind::WrongPassword: return "WRONG_PASSWORD";
    case backup::FailureKind::Damaged: return "DAMAGED";
    case backup::FailureKind::Unsupported: return "UNSUPPORTED";
    case backup::FailureKind::Locked: return "LOCKED";
    case backup::FailureKind::Full: return "DISK_FULL";
    case backup::FailureKind::NotPermitted: return "NOT_PERMITTED";
    case backup::FailureKind::Invalid: return "INVALID";
    case backup::FailureKind::Unreachable: return "UNREACHABLE";
    case backup::FailureKind::Io: return "IO";
  }
  return "IO";
}

backup::Timestamp wall_time() {
  timespec time{};
  ::clock_gettime(CLOCK_REALTIME, &time);
  return {.seconds = time.tv_sec, .nanoseconds = static_cast<std::uint32_t>(time.tv_nsec)};
}

std::string this_host() {
  std::array<char, 256> name{};
  ::gethostname(name.data(), name.size() - 1);
  return name.data();
}

std::string this_user() {
  std::array<char, 4096> room{};
  passwd entry{};
  passwd* found = nullptr;
  ::getpwuid_r(::geteuid(), &entry, room.data(), room.size(), &found);
  return found != nullptr ? found->pw_name : std::to_string(::geteuid());
}

unsigned threads_within(const backup::MemoryBudget& memory) {
  return memory.threads(std::thread::hardware_concurrency());
}

}  // namespace recover::apps
