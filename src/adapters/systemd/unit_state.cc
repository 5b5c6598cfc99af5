#include "adapters/systemd/unit_state.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <string_view>

namespace recover::adapters::systemd {
namespace {

using core::OwnerVerdict;
using namespace std::chrono_literals;

// Beyond what systemd allows itself, before we call it overdue.
constexpr Duration kMargin = 5s;
constexpr Duration kUnlimited = std::chrono::hours{1};  // A unit without any start timeout.

constexpr std::array<std::string_view, 11> kSuffixes = {
    ".service", ".socket", ".device", ".mount", ".automount", ".swap",
    ".target",  ".path",   ".timer",  ".slice", ".scope"};

Duration of_us(std::uint64_t us) {
  const auto limit = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(kUnlimited).count());
  return std::chrono::microseconds(static_cast<std::int64_t>(std::min(us, limit)));
}

bool is_active(const UnitProperties& unit) {
  return unit.active_state == "active" || unit.active_state == "reloading" ||
         unit.active_state == "refreshing";
}

std::string ended_how(const UnitProperties& unit) {
  if (unit.exit_code_kind == CLD_EXITED) return "exit status " + std::to_string(unit.exit_status);
  if (unit.exit_code_kind == CLD_KILLED || unit.exit_code_kind == CLD_DUMPED) {
    return "signal " + std::to_string(unit.exit_status);
  }
  return "result " + unit.result;
}

}  // namespace

std::string full_name(const std::string& name) {
  const bool suffixed = std::ranges::any_of(
      kSuffixes, [&](std::string_view suffix) { return name.ends_with(suffix); });
  return suffixed ? name : name + ".service";
}

std::string unusable(const std::string& name, const UnitProperties& now) {
  if (now.load_state == "masked") {
    return name + " is masked: `systemctl unmask " + name + "` allows it to start";
  }
  if (now.load_state == "not-found") return name + " is not known to systemd: no such unit file";
  if (now.load_state == "bad-setting" || now.load_state == "error") {
    return name + " cannot be loaded (" + now.load_state +
           (now.load_error.empty() ? "" : ": " + now.load_error) + ")";
  }
  return {};
}

UnitReport UnitWatch::judge_down(const UnitProperties& now) const {
  UnitReport report;
  const bool failed = now.active_state == "failed";
  if (told_to_stop_) {
    report.verdict = OwnerVerdict::Stopped;
    report.detail = failed ? "stopped on request, not cleanly: " + ended_how(now)
                           : std::string("stopped on request");
    return report;
  }
  const bool by_itself = ran_ && now.type != "oneshot";
  if (!failed && !by_itself) {
    report.verdict = OwnerVerdict::Stopped;
    report.detail = ran_ ? "it has done its work" : "it is not running";
    return report;
  }
  report.verdict = OwnerVerdict::Failed;
  if (now.exit_code_kind == CLD_EXITED) {
    report.code = now.exit_status;
  } else {
    report.signal = now.exit_status;
  }
  report.detail = name_ + " ended with " + ended_how(now);
  if (now.result == "start-limit-hit") {
    report.detail = name_ + " started too often: systemd gave up (start-limit-hit)";
  } else if (failed && told_ && told_->verdict == OwnerVerdict::Healing) {
    report.detail += "; systemd gave up restarting it";  // Its result stays that of the last end.
  } else if (failed && now.result != "exit-code" && now.result != "signal") {
    report.detail += " (" + now.result + ")";
  }
  return report;
}

UnitReport UnitWatch::judge(const UnitProperties& now) const {
  UnitReport report;
  if (is_active(now)) {
    report.verdict = OwnerVerdict::Up;
    report.pid = now.main_pid;
    return report;
  }
  const bool down = now.active_state == "inactive" || now.active_state == "failed";
  const std::string why_not = unusable(name_, now);
  if (down && !why_not.empty()) {
    report.verdict = OwnerVerdict::Failed;
    report.detail = why_not;
    return report;
  }
  if (now.sub_state.starts_with("auto-restart")) {
    report.verdict = OwnerVerdict::Healing;
    report.within = of_us(now.restart_us) + of_us(now.timeout_start_us) + kMargin;
    report.detail = name_ + " ended with " + ended_how(now) +
                    "; systemd restarts it (Restart=" + now.restart + ", restart " +
                    std::to_string(now.restarts + 1) + ")";
    return report;
  }
  // A job on a unit that is down: it is about to start.
  if (now.active_state == "activating" || (down && now.job != 0)) {
    report.verdict = OwnerVerdict::Starting;
    report.within = of_us(now.timeout_start_us) + kMargin;
    return report;
  }
  return judge_down(now);
}

std::optional<UnitReport> UnitWatch::observe(const UnitProperties& now) {
  if (now.active_state == "deactivating") {
    // Only somebody's wish stops a unit by a job.
    if (now.job != 0) told_to_stop_ = true;
    ran_ = true;
    return std::nullopt;
  }
  const bool down = now.active_state == "inactive" || now.active_state == "failed";
  const bool was_healing = told_ && told_->verdict == OwnerVerdict::Healing;
  if (down && was_healing) {
    if (now.job != 0) return std::nullopt;  // About to start, or to be stopped: the next look says.
    // What systemd gives up on has failed; what is merely down was stopped while it waited.
    told_to_stop_ = now.active_state == "inactive";
  }
  if (now.active_state == "activating") told_to_stop_ = false;
  UnitReport report = judge(now);
  switch (report.verdict) {
    case OwnerVerdict::Up:
      ran_ = true;
      told_to_stop_ = false;
      break;
    case OwnerVerdict::Starting:
    case OwnerVerdict::Healing: ran_ = true; break;
    case OwnerVerdict::Stopped:
    case OwnerVerdict::Failed:
    case OwnerVerdict::Lost: ran_ = false; break;
  }
  if (told_ && *told_ == report) return std::nullopt;
  told_ = report;
  return report;
}

}  // namespace recover::adapters::systemd
