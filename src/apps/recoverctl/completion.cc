// Completions: every command, option and choice; names of services come from the daemon.

#include <string>
#include <vector>

#include "apps/recoverctl/command_doc.h"

namespace recover::apps {

namespace {

constexpr const char* kServices = "$(recoverctl services --names 2>/dev/null)";

struct Place {
  std::string path;  // "checkpoint list"; empty: the program itself.
  std::string words;
};

std::string names_joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

// What an option of its own can be followed or replaced by.
void add_words(const OptionDoc& option, std::vector<std::string>& words) {
  words.insert(words.end(), option.choices.begin(), option.choices.end());
  if (!option.positional) {
    words.insert(words.end(), option.names.begin(), option.names.end());
  } else if (option.names.front() == "SERVICE") {
    words.emplace_back(kServices);
  }
}

std::string words_after(const CommandDoc& command, const CommandDoc& root) {
  std::vector<std::string> words;
  for (const CommandDoc& child : command.commands) words.push_back(child.name);
  for (const OptionDoc& option : command.options) add_words(option, words);
  if (&command == &root) return names_joined(words);
  for (const OptionDoc& option : root.options) {
    if (!option.positional) words.push_back(option.names.back());
  }
  return names_joined(words);
}

// As deep as commands are nested.  NOLINTNEXTLINE(misc-no-recursion)
void gather(const CommandDoc& command, const CommandDoc& root, const std::string& path,
            std::vector<Place>& places) {
  places.push_back({path, words_after(command, root)});
  for (const CommandDoc& child : command.commands) {
    gather(child, root, path.empty() ? child.name : path + " " + child.name, places);
  }
}

// The words after the program that name commands, as the shell function below collects them.
std::string cases(const CommandDoc& root, const std::string& indent) {
  std::vector<Place> places;
  gather(root, root, "", places);
  std::string text;
  for (const Place& place : places) {
    text += indent + "\"" + place.path + "\") candidates=\"" + place.words + "\" ;;\n";
  }
  return text;
}

std::string known_paths(const CommandDoc& root) {
  std::vector<Place> places;
  gather(root, root, "", places);
  std::string text;
  for (const Place& place : places) {
    if (place.path.empty()) continue;
    text += (text.empty() ? "\"" : "|\"") + place.path + "\"";
  }
  return text;
}

std::string bash(const CommandDoc& root) {
  return "# bash completion of recoverctl\n"
         "_recoverctl() {\n"
         "  local path=\"\" candidates=\"\" word next current=\"${COMP_WORDS[COMP_CWORD]}\"\n"
         "  for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
         "    next=\"${path:+$path }$word\"\n"
         "    case \"$next\" in " +
         known_paths(root) +
         ") path=\"$next\" ;; esac\n"
         "  done\n"
         "  case \"$path\" in\n" +
         cases(root, "    ") +
         "  esac\n"
         "  COMPREPLY=($(compgen -W \"$candidates\" -- \"$current\"))\n"
         "}\n"
         "complete -F _recoverctl recoverctl\n";
}

std::string zsh(const CommandDoc& root) {
  return "#compdef recoverctl\n"
         "_recoverctl() {\n"
         "  local path_of=\"\" candidates=\"\" word next\n"
         "  for word in \"${(@)words[2,CURRENT-1]}\"; do\n"
         "    next=\"${path_of:+$path_of }$word\"\n"
         "    case \"$next\" in " +
         known_paths(root) +
         ") path_of=\"$next\" ;; esac\n"
         "  done\n"
         "  case \"$path_of\" in\n" +
         cases(root, "    ") +
         "  esac\n"
         "  compadd -- ${=candidates}\n"
         "}\n"
         "compdef _recoverctl recoverctl\n";
}

std::string quoted(const std::string& text) {
  std::string result = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') result += '\\';
    result += c;
  }
  return result + "'";
}

std::string fish_option(const std::string& condition, const OptionDoc& option) {
  std::string line = "complete -c recoverctl" + condition;
  for (const std::string& name : option.names) {
    line += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
  }
  if (!option.value.empty()) line += " -r";
  return line + " -d " + quoted(option.description) + "\n";
}

// As deep as commands are nested.  NOLINTNEXTLINE(misc-no-recursion)
void fish_below(const CommandDoc& command, const std::string& parent, std::string& text) {
  const std::string condition = parent.empty()
                                    ? " -n __fish_use_subcommand"
                                    : " -n " + quoted("__fish_seen_subcommand_from " + parent);
  for (const CommandDoc& child : command.commands) {
    text += "complete -c recoverctl" + condition + " -a " + child.name + " -d " +
            quoted(child.description) + "\n";
  }
  for (const OptionDoc& option : command.options) {
    if (!option.positional) {
      text += fish_option(parent.empty() ? "" : condition, option);
    } else if (option.names.front() == "SERVICE") {
      text += "complete -c recoverctl" + condition +
              " -a '(recoverctl services --names 2>/dev/null)'\n";
    }
    for (const std::string& choice : option.choices) {
      text += "complete -c recoverctl" + condition + " -a " + choice + "\n";
    }
  }
  for (const CommandDoc& child : command.commands) fish_below(child, child.name, text);
}

}  // namespace

std::string completion_script(const CommandDoc& root, const std::string& shell) {
  if (shell == "bash") return bash(root);
  if (shell == "zsh") return zsh(root);
  if (shell == "fish") {
    std::string text = "# fish completion of recoverctl\ncomplete -c recoverctl -f\n";
    fish_below(root, "", text);
    return text;
  }
  return {};
}

}  // namespace recover::apps
