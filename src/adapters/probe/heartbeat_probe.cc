// Something that must show a sign of life: it touches a file at least every so often.
//
// The time since a touch is the engine's own from the first look that saw it, so a jump of the wall
// clock is nothing. Only a touch from before the first look is as old as the wall clock says.
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <memory>
#include <optional>
#include <tuple>

#include "adapters/probe/runners.h"

namespace recover::adapters::probe {
namespace {

using Clock = std::chrono::steady_clock;

class Heart {
 public:
  explicit Heart(core::HeartbeatProbe probe) : probe_(std::move(probe)) {}

  Finding look() {
    const Clock::time_point now = Clock::now();
    const bool first = !beat_;
    if (first) beat_ = now;
    struct stat file {};
    if (::stat(probe_.path.c_str(), &file) == 0) {
      const Sign sign{file.st_ino, file.st_mtim.tv_sec, file.st_mtim.tv_nsec};
      if (sign != sign_) beat_ = first ? now - age_of(file) : now;
      sign_ = sign;
    } else if (errno != ENOENT && errno != ENOTDIR) {
      return of_errno(errno, probe_.path);
    }
    const Duration silence = now - *beat_;
    const auto text =
        std::to_string(std::chrono::duration_cast<std::chrono::seconds>(silence).count()) + " s";
    if (silence <= probe_.every) return passed("touched " + text + " ago");
    return failed(core::Symptom::WatchdogTimeout, core::FailureClass::Timeout,
                  probe_.path + ": not touched for " + text);
  }

 private:
  using Sign = std::tuple<ino_t, time_t, long>;

  // Nothing that happened in the future.
  static Duration age_of(const struct stat& file) {
    const Duration changed =
        std::chrono::seconds(file.st_mtim.tv_sec) + std::chrono::nanoseconds(file.st_mtim.tv_nsec);
    const Duration now = std::chrono::system_clock::now().time_since_epoch();
    return std::clamp<Duration>(now - changed, Duration::zero(), kAgeMax);
  }

  static constexpr Duration kAgeMax = std::chrono::hours{24 * 366};
  const core::HeartbeatProbe probe_;
  std::optional<Clock::time_point> beat_;
  std::optional<Sign> sign_;
};

}  // namespace

std::unique_ptr<ProbeRunner> make_heartbeat(const core::HeartbeatProbe& probe, const Tools& tools) {
  const auto heart = std::make_shared<Heart>(probe);
  return make_blocking([heart] { return heart->look(); }, probe.path, tools);
}

}  // namespace recover::adapters::probe
