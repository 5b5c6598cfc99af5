// recoverd: the daemon (keeper and engine), the check of its configuration, its schema.
#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <sys/prctl.h>

#include <iostream>
#include <string>
#include <vector>

#include "adapters/process/keeper.h"
#include "apps/recoverd/configuration.h"
#include "apps/recoverd/daemon.h"
#include "config/schema.h"

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

int run(const RunOptions& options) {
  prctl(PR_SET_NAME, "recoverd");
  return recover::adapters::process::run_keeper(
      [&options] { return recover::apps::run_engine(options); });
}

}  // namespace

int main(int argc, char** argv) {
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
  CLI::App* schema_command =
      app.add_subcommand("schema", "Print the configuration's JSON Schema, for editors");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (run_command->parsed()) return run(options);
  if (check_command->parsed()) return check(options.config, json);
  if (schema_command->parsed()) std::cout << recover::config::json_schema() << '\n';
  return 0;
}
