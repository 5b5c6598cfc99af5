// The command line in CLI11's terms: every command, its options, and what it becomes.
#pragma once

#include <CLI/CLI.hpp>

#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "apps/recoverctl/backup_commands.h"
#include "apps/recoverctl/commands.h"
#include "apps/recoverctl/examples.h"

namespace recover::apps {

inline constexpr const char* kSocketDefault = "/run/recoverd/api.sock";
inline constexpr const char* kWatchDefault = "2s";

// What was typed. The parser writes into it; the chosen command is made from it afterwards.
struct Typed {
  std::string socket = kSocketDefault;
  bool json = false;
  bool no_colour = false;
  std::optional<std::string> watch;

  std::string name;      // The positional: a service, an id, a mode, …
  std::string value;     // The second positional.
  std::string service;   // --service
  std::string playbook;  // --playbook
  std::string comment;
  std::string duration;  // --for
  std::string timeout;
  std::string file;
  PatternWish pattern;
  int instances = 1;
  bool dry_run = false;
  bool wait = false;
  bool no_wait = false;
  bool thorough = false;
  bool names = false;
  EventWish events;
  LogWish logs;
  RepositoryWish repository;
  BackupWish backup;
  DaemonBackupWish runs;
  bool full = false;
  bool catches_up = false;
  bool refill = false;
  RestoreWish restore;
  VerifyWish verify;
  PruneWish prune;
  RepairWish repair;
  FindWish find;
  DiffWish diff;
  CopyWish copy;
  KeyWish key;
  CatWish cat;
  bool remove_all = false;

  std::function<Command()> command;  // Of what was chosen.
  // Commands that need no daemon print by themselves.
  std::function<std::string()> text;
};

// --timeout; kWaitDefault without. Throws Failure: it is no duration.
std::chrono::seconds timeout_of(const Typed& typed);

class CommandLine {
 public:
  CommandLine() : app_("The operator's command line to recoverd", "recoverctl") {
    app_.require_subcommand(1);
    app_.fallthrough();
    add_globals();
    add_services();
    add_recoveries();
    add_policy();
    add_configuration();
    add_history();
    add_checkpoints();
    add_backups();
    add_texts();
  }

  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;

  CLI::App& app() { return app_; }
  const Typed& typed() const { return typed_; }

 private:
  using Make = std::function<Command(const Typed&)>;

  CLI::App* add(CLI::App* parent, const std::string& name, const std::string& description,
                Make make) {
    CLI::App* command = parent->add_subcommand(name, description);
    command->footer(example_text(parent == &app_ ? name : parent->get_name() + " " + name));
    command->callback([this, make = std::move(make)] {
      typed_.command = [this, make] {
        typed_.repository.socket = typed_.socket;
        return make(typed_);
      };
    });
    return command;
  }
  CLI::App* group(const std::string& name, const std::string& description) {
    CLI::App* command = app_.add_subcommand(name, description);
    command->require_subcommand(1);
    return command;
  }
  CLI::Option* positional(CLI::App* command, const std::string& name, std::string& to,
                          const std::string& description) {
    return command->add_option(name, to, description);
  }

  void add_globals() {
    app_.set_version_flag("--version", "recoverctl " RECOVER_VERSION);
    app_.add_option("--socket", typed_.socket, "The daemon's unix socket")
        ->envname("RECOVERD_SOCKET")
        ->type_name("FILE");
    app_.add_flag("--json", typed_.json, "Print JSON, errors too");
    app_.add_flag("--no-color,--no-colour", typed_.no_colour, "No colour (also: NO_COLOR)");
    app_.add_option("--watch", typed_.watch, "Repeat every so often (default 2s)")
        ->expected(0, 1)
        ->default_str(kWatchDefault)
        ->type_name("INTERVAL");
  }
  void add_services();
  void add_requests();
  // --no-wait and --timeout.
  void add_waiting(CLI::App* command);
  void add_recoveries();
  void add_policy();
  void add_breakers();
  void add_patterns();
  void add_configuration();
  void add_history();
  void add_checkpoints();
  void add_backups();
  void add_backup_runs(CLI::App* backup);
  void add_backup_looks(CLI::App* backup);
  void add_backup_keys(CLI::App* backup);
  void add_backup_repair(CLI::App* backup);
  void add_texts();

  CLI::App app_;
  Typed typed_;
};

}  // namespace recover::apps
