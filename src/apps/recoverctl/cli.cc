// Running what was typed, and describing what can be.
#include "apps/recoverctl/cli.h"

#include <boost/json.hpp>

#include <algorithm>
#include <ostream>
#include <thread>
#include <utility>

#include "api/times.h"
#include "apps/recoverctl/command_line.h"
#include "config/near_miss.h"

namespace recover::apps {

namespace json = boost::json;

namespace {

// ---- the description, for completions and the manual -------------------------------------------

// What IsMember() allows, found in the description it gives: "{a,b}".
std::vector<std::string> choices_of(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const auto open = type.find('{');
  const auto close = type.find('}');
  std::vector<std::string> choices;
  if (open == std::string::npos || close == std::string::npos) return choices;
  std::string choice;
  for (const char c : type.substr(open + 1, close - open - 1) + ",") {
    if (c != ',') {
      choice += c;
    } else {
      choices.push_back(std::exchange(choice, {}));
    }
  }
  return choices;
}

OptionDoc doc_of(const CLI::Option& option) {
  OptionDoc doc;
  doc.description = option.get_description();
  doc.choices = choices_of(option);
  doc.positional = option.get_positional();
  if (doc.positional) {
    doc.names = {option.get_name(true)};
    return doc;
  }
  for (const std::string& name : option.get_snames()) doc.names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) doc.names.push_back("--" + name);
  if (option.get_items_expected_max() > 0) {
    doc.value = option.get_type_name().empty() ? "VALUE" : option.get_type_name();
  }
  return doc;
}

// As deep as commands are nested.  NOLINTNEXTLINE(misc-no-recursion)
CommandDoc doc_of(const CLI::App& app, const std::string& path = {}) {
  CommandDoc doc{app.get_name(), app.get_description(), {}, {}, std::string(example_of(path))};
  for (const CLI::Option* option : app.get_options([](const CLI::Option*) { return true; })) {
    doc.options.push_back(doc_of(*option));
  }
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    const std::string& name = command->get_name();
    doc.commands.push_back(doc_of(*command, path.empty() ? name : path + " " + name));
  }
  return doc;
}

// ---- running -----------------------------------------------------------------------------------

int tell(const Failure& failure, bool as_json, std::ostream& err) {
  if (as_json) {
    json::object error;
    error["code"] = failure.code();
    error["message"] = failure.what();
    error["detail"] = failure.detail();
    json::object document;
    document["error"] = std::move(error);
    err << json::serialize(document) << "\n";
  } else {
    err << "recoverctl: " << failure.what() << "\n";
    if (!failure.detail().empty()) err << failure.detail() << "\n";
  }
  return static_cast<int>(failure.exit());
}

Exit run_once(const Typed& typed, const Session& session) {
  const Exit exit = typed.command()(session);
  session.out << std::flush;
  return exit;
}

// recoverd may be away for a moment: that is worth watching, too.
void run_watched(const Typed& typed, const Session& session) {
  try {
    run_once(typed, session);
  } catch (const Failure& failure) {
    if (failure.exit() != Exit::Unreachable) throw;
    session.out << failure.what() << "\n" << std::flush;
  }
}

// Until the user stops it or something fails.
Exit watch(const Typed& typed, const Session& session) {
  const auto interval = api::parse_duration(typed.watch->empty() ? kWatchDefault : *typed.watch);
  if (!interval) {
    throw Failure(Exit::Usage, "USAGE", "--watch must be a duration such as 500ms or 2s");
  }
  while (session.out.good()) {
    if (session.terminal.tty) session.out << "\x1b[H\x1b[2J";
    run_watched(typed, session);
    std::this_thread::sleep_for(*interval);
  }
  return Exit::Done;
}

int perform(const Typed& typed, std::ostream& out, std::ostream& err) {
  try {
    if (typed.text) {
      out << typed.text() << std::flush;
      return 0;
    }
    const Session session{Client(typed.socket), Terminal::of_stdout(typed.no_colour), typed.json,
                          out, err};
    return static_cast<int>(typed.watch ? watch(typed, session) : run_once(typed, session));
  } catch (const Failure& failure) {
    return tell(failure, typed.json, err);
  }
}

// Of a command that is none: its name, and what may have been meant. Empty: that is not the fault.
std::string unknown_command(const CommandDoc& root, const std::vector<std::string>& arguments) {
  const CommandDoc* place = &root;
  for (const std::string& argument : arguments) {
    if (argument.starts_with('-')) continue;
    if (place->commands.empty()) return {};
    const auto found =
        std::find_if(place->commands.begin(), place->commands.end(),
                     [&](const CommandDoc& command) { return command.name == argument; });
    if (found != place->commands.end()) {
      place = &*found;
      continue;
    }
    std::vector<std::string_view> names;
    std::string known;
    for (const CommandDoc& command : place->commands) {
      names.push_back(command.name);
      known += (known.empty() ? "" : ", ") + command.name;
    }
    return "there is no command `" + (place == &root ? "" : place->name + " ") + argument + "`" +
           config::did_you_mean(argument, names) + "; there are: " + known;
  }
  return {};
}

// What is wrong with the arguments, for people.
std::string usage_fault(const std::vector<std::string>& arguments, const CLI::ParseError& error) {
  std::vector<std::string> plain;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == "--socket") {
      ++i;  // Its value is no command.
    } else {
      plain.push_back(arguments[i]);
    }
  }
  const std::string unknown = unknown_command(command_line(), plain);
  return unknown.empty() ? error.what() : unknown;
}

}  // namespace

int run(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err) {
  CommandLine line;
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());  // As CLI11 wants them.
  try {
    line.app().parse(reversed);
  } catch (const CLI::Success& help) {
    return line.app().exit(help, out, err);
  } catch (const CLI::ParseError& error) {
    const bool as_json = std::find(arguments.begin(), arguments.end(), "--json") != arguments.end();
    return tell(Failure(Exit::Usage, "USAGE", usage_fault(arguments, error),
                        "See `recoverctl --help` or `recoverctl COMMAND --help`."),
                as_json, err);
  }
  return perform(line.typed(), out, err);
}

CommandDoc command_line() {
  CommandLine line;
  return doc_of(line.app());
}

}  // namespace recover::apps
