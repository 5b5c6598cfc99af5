// recoverd: the daemon (keeper and engine), the check of its configuration, its schema.
#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <sys/prctl.h>
#include <unistd.h>

#include <charconv>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "adapters/process/keeper.h"
#include "adapters/process/keeper_link.h"
#include "apps/recoverd/companion.h"
#include "apps/recoverd/configuration.h"
#include "apps/recoverd/daemon.h"
#include "apps/recoverd/import_command.h"
#include "config/schema.h"
#include "sim/campaign.h"

namespace {

using recover::apps::RunOptions;

// {"error":{"code","message","detail"}} on stderr, as every program of ours with --json.
void print_as_json(const std::vector<std::string>& mistakes) {
  boost::json::array detail;
  for (const std::string& mistake : mistakes) detail.emplace_back(mistake);
  boost::json::object error;
  error["code"] = "CONFIGURATION_INVALID";
  error["message"] = std::to_string(mistakes.size()) + " mistakes in the configuration";
  error["detail"] = std::move(detail);
  std::cerr << boost::json::object{{"error", std::move(error)}} << '\n';
}

int check(const std::string& path, bool json) {
  const auto loaded = recover::apps::load_configuration(path, "");
  if (!loaded && json) {
    print_as_json(loaded.error());
    return 2;
  }
  if (!loaded) {
    for (const std::string& mistake : loaded.error()) std::cout << mistake << '\n';
    return 2;
  }
  if (json) {
    std::cout << boost::json::object{{"services", loaded->policy.services.size()},
                                     {"playbooks", loaded->policy.playbooks.size()}}
              << '\n';
  } else {
    std::cout << path << ": ok, " << loaded->policy.services.size() << " services, "
              << loaded->policy.playbooks.size() << " playbooks\n";
  }
  return 0;
}

// "A..B", or one seed. None: it is neither.
std::optional<std::pair<std::uint64_t, std::uint64_t>> parse_seeds(std::string_view text) {
  const auto number = [](std::string_view digits) -> std::optional<std::uint64_t> {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
    return value;
  };
  const std::size_t dots = text.find("..");
  const auto first = number(text.substr(0, dots));
  const auto last = dots == std::string_view::npos ? first : number(text.substr(dots + 2));
  if (!first || !last || *last < *first) return std::nullopt;
  return std::pair{*first, *last};
}

int simulate(const std::string& seeds, std::uint64_t histories, bool json) {
  const auto range = parse_seeds(seeds);
  if (!range) {
    std::cerr << "recoverd sim: --seeds wants A..B with A not above B, not `" << seeds << "`\n";
    return 2;
  }
  recover::sim::Options options;
  options.first = range->first;
  options.last = range->second;
  if (histories > 0) options.histories = histories;
  options.json = json;
  return recover::sim::run(options, std::cout);
}

// Goes on as recoverd-keeper, which starts us again as its engine. Returns when it is not there.
void become_keeper(std::string self, char** argv) {
  if (self.empty()) return;
  static char name[] = "recoverd";
  std::vector<char*> arguments{name, self.data()};
  for (char** argument = argv + 1; *argument != nullptr; ++argument) arguments.push_back(*argument);
  arguments.push_back(nullptr);
  for (const std::string& place : recover::apps::companion_places(self, "recoverd-keeper")) {
    execv(place.c_str(), arguments.data());
  }
}

// Goes on as recoverd-backup, the program with what only backups need. Returns when it is not
// there.
int become_backup_worker() {
  static char name[] = "recoverd";
  char* const arguments[] = {name, nullptr};
  std::string tried;
  for (const std::string& place :
       recover::apps::companion_places(recover::apps::own_path(), "recoverd-backup")) {
    execv(place.c_str(), arguments);
    tried += (tried.empty() ? "" : " nor ") + place;
  }
  std::cerr << "recoverd: there is neither " << tried << '\n';
  return 1;
}

int run(RunOptions options, char** argv) {
  prctl(PR_SET_NAME, "recoverd");
  options.program = recover::apps::own_path();
  if (recover::adapters::process::has_keeper()) return recover::apps::run_engine(options);
  become_keeper(options.program, argv);
  return recover::adapters::process::run_keeper(
      [&options] { return recover::apps::run_engine(options); },
      {.program = options.program.c_str(), .arguments = argv});
}

int program(int argc, char** argv) {
  CLI::App app("recoverd: watches services and heals them");
  app.require_subcommand(1);
  app.set_version_flag("--version", RECOVER_VERSION);
  RunOptions options;
  bool json = false;

  CLI::App* run_command = app.add_subcommand("run", "Run the daemon in the foreground");
  run_command->add_option("--config", options.config, "The configuration (YAML)")->required();
  run_command->add_option("--state-dir", options.state_dir, "In place of the configured state_dir");
  CLI::App* check_command =
      app.add_subcommand("check", "Print every mistake of a configuration; exit 2 if there is any");
  check_command->add_option("--config", options.config, "The configuration (YAML)")->required();
  check_command->add_flag("--json", json, "Print one JSON document");
  std::string seeds = "1..1000";
  std::uint64_t histories = 0;
  CLI::App* sim_command = app.add_subcommand(
      "sim", "Drive the real core through generated failures; exit 1 on a violation");
  sim_command->add_option("--seeds", seeds, "The first and the last, A..B")->capture_default_str();
  sim_command->add_option("--histories", histories, "In place of the last seed: how many");
  recover::apps::ImportOptions import_options;
  CLI::App* import_command = app.add_subcommand(
      "import",
      "Write the recoverd.yaml that does what these files of supervisord, monit or "
      "systemd do");
  import_command->add_option("FILE", import_options.files, "supervisord.conf, monitrc, *.service")
      ->required();
  import_command->add_option("--output", import_options.output, "In place of stdout");
  sim_command->add_flag("--json", json, "Print one JSON object");
  CLI::App* worker_command =
      app.add_subcommand("backup-worker", "Do the backup job that comes as JSON on standard input");
  CLI::App* schema_command =
      app.add_subcommand("schema", "Print the configuration's JSON Schema, for editors");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (run_command->parsed()) return run(options, argv);
  if (check_command->parsed()) return check(options.config, json);
  if (sim_command->parsed()) return simulate(seeds, histories, json);
  if (import_command->parsed()) return recover::apps::import_configuration(import_options);
  if (worker_command->parsed()) return become_backup_worker();
  if (schema_command->parsed()) std::cout << recover::config::json_schema() << '\n';
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return program(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "recoverd: %s\n", error.what());
  } catch (...) {
    std::fputs("recoverd: a failure without a name\n", stderr);
  }
  return 1;
}
