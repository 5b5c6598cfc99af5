// The manual page, from the same description as --help.
#include <string>

#include "apps/recoverctl/command_doc.h"

namespace recover::apps {

namespace {

// Backslashes, hyphens that must stay hyphens, and dots that would begin a request.
std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '\\') {
      result += "\\e";
    } else if (c == '-') {
      result += "\\-";
    } else {
      result += c;
    }
  }
  if (!result.empty() && (result.front() == '.' || result.front() == '\'')) {
    result.insert(0, "\\&");
  }
  return result;
}

std::string option_text(const OptionDoc& option) {
  std::string names;
  for (const std::string& name : option.names) {
    if (!names.empty()) names += ", ";
    names += (option.positional ? "\\fI" : "\\fB") + escaped(name) + "\\fR";
  }
  if (!option.value.empty() && !option.positional)
    names += " \\fI" + escaped(option.value) + "\\fR";
  return ".TP\n" + names + "\n" + escaped(option.description) + "\n";
}

// As deep as commands are nested.  NOLINTNEXTLINE(misc-no-recursion)
void commands_text(const CommandDoc& command, const std::string& path, std::string& text) {
  for (const CommandDoc& child : command.commands) {
    const std::string name = path.empty() ? child.name : path + " " + child.name;
    text += ".SS \"" + escaped(name);
    for (const OptionDoc& option : child.options) {
      if (option.positional) text += " " + escaped(option.names.front());
    }
    text += "\"\n" + escaped(child.description) + "\n";
    for (const OptionDoc& option : child.options) text += option_text(option);
    if (!child.example.empty()) text += ".PP\n.EX\n" + escaped(child.example) + "\n.EE\n";
    commands_text(child, name, text);
  }
}

}  // namespace

std::string manual_page(const CommandDoc& root) {
  std::string text = ".TH RECOVERCTL 8 \"\" \"recoverd\" \"System Administration\"\n.SH NAME\n" +
                     escaped(root.name) + " \\- " + escaped(root.description) +
                     "\n.SH SYNOPSIS\n.B recoverctl\n[\\fIOPTIONS\\fR] \\fICOMMAND\\fR ...\n"
                     ".SH OPTIONS\n";
  for (const OptionDoc& option : root.options) text += option_text(option);
  text += ".SH COMMANDS\n";
  commands_text(root, "", text);
  text +=
      ".SH EXIT STATUS\n"
      ".TP\n0\ndone, or healthy\n"
      ".TP\n1\nthe operation failed, or something is unhealthy\n"
      ".TP\n2\nusage or configuration error\n"
      ".TP\n3\nnot permitted\n"
      ".TP\n4\nno such thing\n"
      ".TP\n5\nthe daemon cannot be reached\n"
      ".TP\n6\nrefused by a safety rule, which the message names\n"
      ".SH ENVIRONMENT\n"
      ".TP\nRECOVERD_SOCKET\nThe daemon's socket, unless \\-\\-socket is given.\n"
      ".TP\nNO_COLOR\nNo colour, if set to anything.\n"
      ".TP\nCOLUMNS\nThe width to fit tables into.\n";
  return text;
}

}  // namespace recover::apps
