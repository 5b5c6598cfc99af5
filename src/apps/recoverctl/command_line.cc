#include "apps/recoverctl/command_line.h"

#include <chrono>

#include "api/times.h"
#include "apps/recoverctl/cli.h"

namespace recover::apps {

namespace {

ReloadWish reload_of(const Typed& typed) {
  return {.wait = !typed.no_wait, .timeout = timeout_of(typed)};
}

}  // namespace

std::chrono::seconds timeout_of(const Typed& typed) {
  if (typed.timeout.empty()) return kWaitDefault;
  const auto duration = api::parse_duration(typed.timeout);
  if (!duration) {
    throw Failure(Exit::Usage, "USAGE", "--timeout must be a duration such as 30s or 5m");
  }
  return std::chrono::ceil<std::chrono::seconds>(*duration);
}

void CommandLine::add_services() {
  add(&app_, "status", "How things stand, and every service",
      [](const Typed&) { return status_command(); });
  auto* services =
      add(&app_, "services", "Every service, or all about one",
          [](const Typed& typed) { return services_command(typed.name, typed.names); });
  positional(services, "SERVICE", typed_.name, "The service");
  services->add_flag("--names", typed_.names, "Only the names, one a line");
  add_requests();
  auto* scale = add(&app_, "scale", "Run more or fewer instances, within the service's `scale:`",
                    [](const Typed& typed) {
                      return scale_command({.service = typed.name,
                                            .request = "scale",
                                            .wait = !typed.no_wait,
                                            .timeout = timeout_of(typed)},
                                           typed.instances);
                    });
  positional(scale, "SERVICE", typed_.name, "The service")->required();
  scale->add_option("INSTANCES", typed_.instances, "How many")
      ->required()
      ->check(CLI::Range(0, 1'000));
  add_waiting(scale);
  auto* beat = add(&app_, "heartbeat", "Tell that a service is alive, for its heartbeat probes",
                   [](const Typed& typed) { return heartbeat_command(typed.name); });
  positional(beat, "SERVICE", typed_.name, "The service")->required();
  auto* check =
      add(group("health", "Is all well?"), "check", "Exit with 1 when anything is unhealthy",
          [](const Typed& typed) { return health_command(typed.thorough); });
  check->add_flag("--thorough", typed_.thorough,
                  "Also the journal's chain, resources, breakers and services not yet known");
  add(group("monitor", "What the machine has left"), "resources", "Resources and their levels",
      [](const Typed&) { return resources_command(); });
}

void CommandLine::add_requests() {
  const std::pair<const char*, const char*> requests[] = {
      {"start", "Start a service"},
      {"stop", "Stop a service; it stays stopped"},
      {"restart", "Restart a service"},
      {"reload", "Have a service read its configuration again"},
      {"quarantine", "Leave a service alone: no automatic recovery"},
      {"release", "End a service's quarantine"},
  };
  for (const auto& [name, description] : requests) {
    const std::string request = name;
    auto* command = add(&app_, request, description, [request](const Typed& typed) {
      return request_command({.service = typed.name,
                              .request = request,
                              .wait = !typed.no_wait,
                              .timeout = timeout_of(typed)});
    });
    positional(command, "SERVICE", typed_.name, "The service")->required();
    add_waiting(command);
  }
}

void CommandLine::add_recoveries() {
  auto* incidents = add(&app_, "incidents", "Incidents, newest first, or all about one",
                        [](const Typed& typed) { return incidents_command(typed.name); });
  positional(incidents, "INCIDENT", typed_.name, "Its id, e.g. inc-12");
  auto* recoveries = add(&app_, "recoveries", "Recoveries, newest first, or all about one",
                         [](const Typed& typed) { return recoveries_command(typed.name); });
  positional(recoveries, "RECOVERY", typed_.name, "Its id, e.g. rec-7");
  auto* explain = add(&app_, "explain", "Why a recovery did what it did, from symptom to verdict",
                      [](const Typed& typed) { return explain_command(typed.name); });
  positional(explain, "RECOVERY", typed_.name, "Its id, e.g. rec-7")->required();
  auto* recover = add(&app_, "recover", "Plan and run a recovery now", [](const Typed& typed) {
    return recover_command({.service = typed.name,
                            .playbook = typed.playbook,
                            .dry_run = typed.dry_run,
                            .wait = typed.wait,
                            .timeout = timeout_of(typed)});
  });
  positional(recover, "SERVICE", typed_.name, "The service")->required();
  recover->add_option("--playbook", typed_.playbook, "This one instead of the best");
  recover->add_flag("--dry-run", typed_.dry_run, "Only show the plan and what the gates say");
  recover->add_flag("--wait", typed_.wait, "Wait for the outcome");
  recover->add_option("--timeout", typed_.timeout, "Wait at most so long (default 2m)")
      ->type_name("DURATION");
  auto* approve =
      add(&app_, "approve", "Let a waiting recovery run, exactly as shown",
          [](const Typed& typed) { return approve_command(typed.name, typed.comment); });
  positional(approve, "RECOVERY", typed_.name, "Its id, e.g. rec-7")->required();
  approve->add_option("--comment", typed_.comment, "Why, for the record");
  auto* reject = add(&app_, "reject", "Do not let a waiting recovery run",
                     [](const Typed& typed) { return reject_command(typed.name, typed.comment); });
  positional(reject, "RECOVERY", typed_.name, "Its id, e.g. rec-7")->required();
  reject->add_option("--comment", typed_.comment, "Why, for the record");
}

void CommandLine::add_policy() {
  auto* mode = group("mode", "How much recoverd may do by itself");
  add(mode, "get", "The mode in effect", [](const Typed&) { return mode_get_command(); });
  auto* set = add(mode, "set", "Set it",
                  [](const Typed& typed) { return mode_set_command(typed.name, typed.service); });
  positional(set, "MODE", typed_.name, "shadow, semi-automatic, automatic-limited or automatic")
      ->required()
      ->check(CLI::IsMember({"shadow", "semi-automatic", "automatic-limited", "automatic"}));
  set->add_option("--service", typed_.service, "Only of this service; can only allow less");
  auto* maintenance = group("maintenance", "Times in which nothing is recovered");
  auto* start = add(maintenance, "start", "Begin maintenance", [](const Typed& typed) {
    return maintenance_start_command(typed.service, typed.duration);
  });
  start->add_option("--service", typed_.service, "Only of this service");
  start->add_option("--for", typed_.duration, "Until so long from now")->type_name("DURATION");
  auto* stop = add(maintenance, "stop", "End maintenance",
                   [](const Typed& typed) { return maintenance_stop_command(typed.service); });
  stop->add_option("--service", typed_.service, "Only of this service");
  add(maintenance, "list", "Maintenance windows",
      [](const Typed&) { return maintenance_list_command(); });
  auto* kill = group("kill-switch", "Pause everything recoverd does, at once");
  add(kill, "on", "Watch, but do nothing", [](const Typed&) { return kill_switch_command(true); });
  add(kill, "off", "Go on", [](const Typed&) { return kill_switch_command(false); });
  add_breakers();
  add_patterns();
}

void CommandLine::add_breakers() {
  auto* breaker = group("breaker", "Circuit breakers");
  add(breaker, "list", "Every breaker", [](const Typed&) { return breaker_list_command(); });
  auto* reset = add(breaker, "reset", "Close a service's breaker", [](const Typed& typed) {
    return breaker_reset_command(typed.name, typed.playbook);
  });
  positional(reset, "SERVICE", typed_.name, "The service")->required();
  reset->add_option("--playbook", typed_.playbook, "The breaker of this playbook instead");
}

void CommandLine::add_patterns() {
  auto* patterns = group("patterns", "Failure patterns");
  add(patterns, "list", "Every pattern", [](const Typed&) { return patterns_list_command(); });
  auto* insert =
      add(patterns, "add", "Add one to the configuration and reload", [](const Typed& typed) {
        PatternWish wish = typed.pattern;
        wish.id = typed.name;
        wish.pattern = typed.value;
        return patterns_add_command(std::move(wish));
      });
  positional(insert, "ID", typed_.name, "Its id")->required();
  positional(insert, "PATTERN", typed_.value, "A regular expression (RE2)")->required();
  insert->add_option("--category", typed_.pattern.category, "network, auth, memory, disk, …");
  insert->add_option("--severity", typed_.pattern.severity, "Of a match")
      ->check(CLI::IsMember({"low", "medium", "high", "critical"}));
  insert->add_option("--cooldown", typed_.pattern.cooldown, "Between two matches that count")
      ->type_name("DURATION");
  insert->add_option("--recovery", typed_.pattern.recovery,
                     "An action or playbook that helps; may be repeated");
  auto* remove = add(patterns, "remove", "Take one out of the configuration and reload",
                     [](const Typed& typed) { return patterns_remove_command(typed.name); });
  positional(remove, "ID", typed_.name, "Its id")->required();
  auto* test =
      add(patterns, "test", "Which patterns a text matches; exit 1 if none",
          [](const Typed& typed) { return patterns_test_command(typed.name, typed.value); });
  positional(test, "TEXT", typed_.name, "A log line or an error text")->required();
  test->add_option("--pattern", typed_.value, "Try this one instead of those configured");
}

void CommandLine::add_configuration() {
  auto* config = group("config", "The configuration");
  auto* get = add(config, "get", "As written; or one value",
                  [](const Typed& typed) { return config_get_command(typed.name); });
  positional(get, "KEY", typed_.name, "e.g. auto_recovery.recovery.mode");
  auto* set = add(config, "set", "Change one value in the file and reload", [](const Typed& typed) {
    if (typed.file.empty() && (typed.name.empty() || typed.value.empty())) {
      throw Failure(Exit::Usage, "USAGE", "config set needs KEY and VALUE, or --file FILE");
    }
    return config_set_command(typed.name, typed.value, typed.file, reload_of(typed));
  });
  add_waiting(set);
  positional(set, "KEY", typed_.name, "e.g. auto_recovery.recovery.mode");
  positional(set, "VALUE", typed_.value, "The new value");
  set->add_option("--file", typed_.file, "Replace the whole configuration by this file")
      ->type_name("FILE");
  auto* reload = add(config, "reload", "Read the file again, and wait for what runs anew",
                     [](const Typed& typed) { return config_reload_command(reload_of(typed)); });
  add_waiting(reload);
  auto* history =
      add(config, "history", "Its versions, newest first; or those of a service's state",
          [](const Typed& typed) { return config_history_command(typed.service); });
  history->add_option("--service", typed_.service, "Of this service's `state:`");
  auto* diff = add(config, "diff", "What differs between two versions", [](const Typed& typed) {
    return config_diff_command(typed.name, typed.value, typed.service);
  });
  positional(diff, "FROM", typed_.name, "A version; default: the one before TO");
  positional(diff, "TO", typed_.value, "A version; default: the newest");
  diff->add_option("--service", typed_.service, "Of this service's `state:`");
  add(group("daemon", "recoverd itself"), "reexec",
      "Execute the program on the disk anew, as after an upgrade; services run on",
      [](const Typed&) { return daemon_reexec_command(); });
}

void CommandLine::add_history() {
  auto* events = add(&app_, "events", "What happened, oldest first",
                     [](const Typed& typed) { return events_command(typed.events); });
  events->add_flag("--follow,-f", typed_.events.follow, "Go on with what happens from now on");
  events->add_option("--type", typed_.events.type, "Only types that begin so, e.g. recovery:");
  events->add_option("--service", typed_.events.service, "Only of this service");
  events->add_option("--last", typed_.events.last, "Only since so long ago")->type_name("DURATION");
  events->add_option("--limit", typed_.events.limit, "The newest so many (default 100)");
  auto* show = add(group("logs", "Captured output of services"), "show", "The newest lines",
                   [](const Typed& typed) { return logs_command(typed.logs); });
  show->add_flag("--follow,-f", typed_.logs.follow, "Go on with new lines");
  show->add_option("--service", typed_.logs.service, "Only of this service");
  show->add_option("--level", typed_.logs.level, "Only lines with this word, e.g. ERROR");
  show->add_option("--last", typed_.logs.last, "Only lines dated since so long ago")
      ->type_name("DURATION");
  show->add_flag("--stderr", typed_.logs.errors, "Only stderr, of services with `output.stderr`");
  show->add_option("--lines", typed_.logs.lines, "At most so many of each (default 200)");
  add(group("journal", "The record of every event and decision"), "verify",
      "Check the hash chain; exit 1 when it is broken",
      [](const Typed&) { return journal_verify_command(); });
  add(&app_, "statistics", "Counts and success rates",
      [](const Typed&) { return statistics_command(); });
}

void CommandLine::add_waiting(CLI::App* command) {
  command->add_flag("--no-wait", typed_.no_wait, "Do not wait for the outcome");
  command->add_option("--timeout", typed_.timeout, "Wait at most so long (default 2m)")
      ->type_name("DURATION");
}

void CommandLine::add_checkpoints() {
  const auto wish = [](const Typed& typed) {
    return CheckpointWish{.name = typed.name,
                          .service = typed.service,
                          .wait = !typed.no_wait,
                          .timeout = timeout_of(typed)};
  };
  auto* checkpoint = group("checkpoint", "Kept states of services");
  auto* create =
      add(checkpoint, "create", "Take one of a service, or of every one that has `state:`",
          [wish](const Typed& typed) { return checkpoint_create_command(wish(typed)); });
  positional(create, "NAME", typed_.name, "What to call it")->required();
  create->add_option("--service", typed_.service, "Only of this service");
  add_waiting(create);
  auto* list = add(checkpoint, "list", "Every checkpoint; * marks each service's last-good",
                   [](const Typed& typed) { return checkpoint_list_command(typed.service); });
  list->add_option("--service", typed_.service, "Only of this service");
  auto* show = add(checkpoint, "show", "One and its files", [](const Typed& typed) {
    return checkpoint_show_command(typed.name, typed.service);
  });
  positional(show, "CHECKPOINT", typed_.name, "Its id, the beginning of it, or a name")->required();
  show->add_option("--service", typed_.service, "Of this service");
  auto* restore = add(checkpoint, "restore", "Put one back", [wish](const Typed& typed) {
    return checkpoint_restore_command(wish(typed));
  });
  positional(restore, "CHECKPOINT", typed_.name, "Its id or name, e.g. last-good")->required();
  restore->add_option("--service", typed_.service, "Of this service");
  add_waiting(restore);
  add(checkpoint, "prune", "Remove those no longer kept",
      [](const Typed&) { return checkpoint_prune_command(); });
}

void CommandLine::add_texts() {
  auto* completion = app_.add_subcommand("completion", "A completion script for your shell");
  completion->add_option("SHELL", typed_.name, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  completion->footer(example_text("completion"));
  completion->callback([this] {
    typed_.text = [shell = typed_.name] { return completion_script(command_line(), shell); };
  });
  auto* man = app_.add_subcommand("man", "The manual page, in troff");
  man->footer(example_text("man"));
  man->callback([this] { typed_.text = [] { return manual_page(command_line()); }; });
}

}  // namespace recover::apps
