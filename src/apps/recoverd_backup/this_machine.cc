#include "apps/recoverd_backup/this_machine.h"

#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <thread>

namespace recover::apps {

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

unsigned processors() {
  return std::max(1U, std::thread::hardware_concurrency());
}

}  // namespace recover::apps
