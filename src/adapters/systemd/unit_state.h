// What a unit of systemd is doing, from its properties to one verdict. Pure; no D-Bus here.
//
// The order of things a unit goes through is systemd's (systemd.unit(5),
// org.freedesktop.systemd1(5)).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <recover/time.h>

#include "core/event.h"

namespace recover::adapters::systemd {

inline constexpr std::uint64_t kInfinity = UINT64_MAX;  // As systemd writes "no limit".

// Properties of org.freedesktop.systemd1.Unit and .Service that matter here.
struct UnitProperties {
  std::string load_state;    // loaded, not-found, masked, bad-setting, error
  std::string active_state;  // active, reloading, inactive, failed, activating, deactivating
  std::string sub_state;     // running, exited, auto-restart, stop-sigterm, …
  std::string load_error;    // Why it could not be loaded.
  std::uint32_t job = 0;     // Its job's number; 0: none.
  std::uint64_t active_enter_us = 0;
  // Of services:
  std::string type;
  std::string result = "success";  // success, exit-code, signal, start-limit-hit, …
  std::string restart = "no";
  std::uint32_t main_pid = 0;
  std::int32_t exit_code_kind = 0;  // CLD_EXITED, CLD_KILLED, … of the last main process; 0: none.
  std::int32_t exit_status = 0;
  std::uint32_t restarts = 0;  // NRestarts
  std::uint64_t restart_us = 0;
  std::uint64_t timeout_start_us = 0;
};

struct UnitReport {
  core::OwnerVerdict verdict = core::OwnerVerdict::Lost;
  std::uint32_t pid = 0;
  int code = -1;
  int signal = 0;
  Duration within{};
  std::string detail;
  friend bool operator==(const UnitReport&, const UnitReport&) = default;
};

// One unit's way through its states. Feed it every change; it says what is worth telling.
class UnitWatch {
 public:
  explicit UnitWatch(std::string name) : name_(std::move(name)) {}

  // None: nothing to tell yet, or the same as told last.
  std::optional<UnitReport> observe(const UnitProperties& now);
  // The next look tells again whatever it is.
  void forget() { told_.reset(); }

 private:
  UnitReport judge(const UnitProperties& now) const;
  UnitReport judge_down(const UnitProperties& now) const;

  std::string name_;
  bool ran_ = false;           // Active or on its way there since it was last told to be down.
  bool told_to_stop_ = false;  // By somebody's job, since it last was active.
  std::optional<UnitReport> told_;
};

// Why the unit cannot be started at all; empty: it can be.
std::string unusable(const std::string& name, const UnitProperties& now);

// "web" → "web.service"; names with a unit's suffix stay.
std::string full_name(const std::string& name);

}  // namespace recover::adapters::systemd
