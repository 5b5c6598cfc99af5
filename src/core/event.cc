#include "core/event.h"

#include <array>

namespace recover::core {

std::string_view name_of(const Event& event) noexcept {
  // In the order of the alternatives.
  static constexpr auto kNames = std::to_array<std::string_view>({
      "process_started",      "process_ready",
      "process_exited",       "watchdog_expired",
      "probe_finished",       "resource_level_changed",
      "pattern_seen",         "command_finished",
      "operator_recover",     "operator_approve",
      "operator_reject",      "operator_set_mode",
      "operator_kill_switch", "operator_maintenance",
      "operator_service",     "operator_reset_breaker",
      "operator_checkpoint",  "timer_fired",
      "engine_started",       "journal_degraded",
      "owner_reported",       "state_seen",
      "time_extended",        "operator_note",
      "backup_reported",
  });
  static_assert(kNames.size() == std::variant_size_v<Event>);
  return event.index() < kNames.size() ? kNames[event.index()] : "";
}

}  // namespace recover::core
