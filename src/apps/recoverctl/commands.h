// Every command as a function from its arguments to something that can be run, and run again for
// --watch. By area in *_commands.cc.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "apps/recoverctl/session.h"

namespace recover::apps {

inline constexpr std::chrono::seconds kWaitDefault{120};

struct ServiceWish {
  std::string service;
  std::string request;  // start stop restart reload quarantine release
  bool wait = true;
  std::chrono::seconds timeout = kWaitDefault;
};
struct RecoverWish {
  std::string service;
  std::string playbook;
  bool dry_run = false;
  bool wait = false;
  std::chrono::seconds timeout = kWaitDefault;
};
struct CheckpointWish {
  std::string name;
  std::string service;
  bool wait = true;
  std::chrono::seconds timeout = kWaitDefault;
};
struct PatternWish {
  std::string id;
  std::string pattern;
  std::string category;
  std::string severity;
  std::string cooldown;
  std::vector<std::string> recovery;  // Actions or playbooks.
};
struct ReloadWish {
  bool wait = true;
  std::chrono::seconds timeout = kWaitDefault;
};
struct EventWish {
  bool follow = false;
  std::string type;
  std::string service;
  std::string last;
  std::string limit;
};
struct LogWish {
  bool follow = false;
  std::string service;
  std::string level;
  std::string last;
  std::string lines;
  bool errors = false;  // stderr alone.
};

// ---- service_commands.cc
Command status_command();
Command services_command(std::string name, bool names_only);
Command request_command(ServiceWish wish);
Command heartbeat_command(std::string service);
Command scale_command(ServiceWish wish, int instances);
// Waits until the service is healthy after `request` and stays so, by looks taken since. Returns
// what is wrong, a line; empty: nothing.
std::string await_healthy(const Session& session, const std::string& service,
                          const std::string& request, std::chrono::seconds timeout);
Command health_command(bool thorough);
Command resources_command();

// ---- history_commands.cc
// The latest few events, oldest first, one line each; nothing when there are none.
void show_latest_events(const Session& session, int count);

// ---- recovery_commands.cc
Command incidents_command(std::string id);
Command recoveries_command(std::string id);
Command explain_command(std::string id);
Command recover_command(RecoverWish wish);
Command approve_command(std::string id, std::string comment);
Command reject_command(std::string id, std::string comment);

// ---- policy_commands.cc
Command mode_get_command();
Command mode_set_command(std::string mode, std::string service);
Command kill_switch_command(bool on);
Command maintenance_start_command(std::string service, std::string duration);
Command maintenance_stop_command(std::string service);
Command maintenance_list_command();
Command breaker_list_command();
Command breaker_reset_command(std::string service, std::string playbook);
Command patterns_list_command();
Command patterns_add_command(PatternWish wish);
Command patterns_remove_command(std::string id);
Command patterns_test_command(std::string text, std::string pattern);
Command config_get_command(std::string key);
Command config_set_command(const std::string& key, const std::string& value,
                           const std::string& file, ReloadWish wish);
Command config_reload_command(ReloadWish wish);
Command config_history_command(std::string service);
// Empty: the newest, and the one before that.
Command config_diff_command(std::string from, std::string to, std::string service);
Command daemon_reexec_command();

// ---- history_commands.cc
Command events_command(EventWish wish);
Command logs_command(LogWish wish);
Command journal_verify_command();
Command statistics_command();

// ---- checkpoint_commands.cc
Command checkpoint_create_command(CheckpointWish wish);
Command checkpoint_list_command(std::string service);
Command checkpoint_show_command(const std::string& id, const std::string& service);
Command checkpoint_restore_command(CheckpointWish wish);
Command checkpoint_prune_command();

// ---- daemon_backups.cc
inline constexpr std::chrono::hours kRunWaitDefault{24};
struct DaemonBackupWish {
  std::vector<std::string> types;  // Empty: all.
  bool critical_only = false;
  std::string task;  // As the API names it.
  bool wait = true;
  std::chrono::seconds timeout = kRunWaitDefault;
};
Command backup_status_command(std::string type);
Command daemon_backup_command(DaemonBackupWish wish);
// The reports of the recovery drills of a type, or of all; newest first.
Command backup_drills_command(std::string type);

// Prints one recovery: its plan, steps and validation.
void show_recovery(const Session& session, const boost::json::object& recovery);
// The chain of `explain` as a page to read half awake.
void show_explanation(const Session& session, const boost::json::object& explanation);

}  // namespace recover::apps
