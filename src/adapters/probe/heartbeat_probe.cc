// Something that must show a sign of life at least every so often: it touches a file, or says so
// through the API.
//
// The time since a touch is the engine's own from the first look that saw it, so a jump of the wall
// clock is nothing. Only a touch from before the first look is as old as the wall clock says.
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
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
    if (probe_.path.empty()) {
      // Nothing but the API is listened to.
    } else if (::stat(probe_.path.c_str(), &file) == 0) {
      const Sign sign{file.st_ino, file.st_mtim.tv_sec, file.st_mtim.tv_nsec};
      if (sign != sign_) beat_ = first ? now - age_of(file) : now;
      sign_ = sign;
    } else if (errno != ENOENT && errno != ENOTDIR) {
      return of_errno(errno, probe_.path);
    }
    beat_ = std::max(*beat_, told_.load());
    const Duration silence = now - *beat_;
    const auto text =
        std::to_string(std::chrono::duration_cast<std::chrono::seconds>(silence).count()) + " s";
    if (silence <= probe_.every) return passed("a sign of life " + text + " ago");
    const std::string who =
        probe_.path.empty() ? "the API: no heartbeat" : probe_.path + ": not touched";
    return failed(core::Symptom::WatchdogTimeout, core::FailureClass::Timeout,
                  who + " for " + text);
  }
  // Any thread.
  void beat() { told_ = Clock::now(); }

 private:
  using Sign = std::tuple<ino_t, time_t, long>;

  // Nothing that happened in the future.
  static Duration age_of(const struct stat& file) {
    const Duration changed =
        std::chrono::seconds(file.st_mtim.tv_sec) + std::chrono::nanoseconds(file.st_mtim.tv_nsec);
    const Duration now = std::chrono::system_clock::now().time_since_epoch();
    return std::clamp<Duration>(now - changed, Duration::zero(), kAgeMax);
  }

  static constexpr Clock::time_point kNever = Clock::time_point::min();
  static constexpr Duration kAgeMax = std::chrono::hours{24 * 366};
  const core::HeartbeatProbe probe_;
  std::optional<Clock::time_point> beat_;
  std::optional<Sign> sign_;
  std::atomic<Clock::time_point> told_{kNever};  // Through the API.
};

// Looks at the file on the pool; hears the API on the loop.
class HeartbeatRunner final : public ProbeRunner {
 public:
  HeartbeatRunner(const core::HeartbeatProbe& probe, const Tools& tools)
      : heart_(std::make_shared<Heart>(probe)),
        look_(make_blocking([heart = heart_] { return heart->look(); }, probe.path, tools)) {}

  void run(Found found) override { look_->run(std::move(found)); }
  Finding give_up() override { return look_->give_up(); }
  bool busy() const override { return look_->busy(); }
  bool beat() override {
    heart_->beat();
    return true;
  }

 private:
  std::shared_ptr<Heart> heart_;
  std::unique_ptr<ProbeRunner> look_;
};

}  // namespace

std::unique_ptr<ProbeRunner> make_heartbeat(const core::HeartbeatProbe& probe, const Tools& tools) {
  return std::make_unique<HeartbeatRunner>(probe, tools);
}

}  // namespace recover::adapters::probe
