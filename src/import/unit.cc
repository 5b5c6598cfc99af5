// *.service: what recoverd can run itself becomes `run:`; the rest stays with systemd and is
// watched and mended there (`systemd:`).
#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <utility>

#include "import/draft.h"
#include "import/sections.h"
#include "import/words.h"

namespace recover::import {
namespace {

constexpr std::string_view kSuffix = ".service";

struct Reading {
  const Source& source;
  Draft& draft;
  std::string unit;    // "web.service"
  std::string prefix;  // "web"
  const Section* service = nullptr;
  ServiceDraft out;
  std::string keep_with_systemd;  // Why it cannot be run here; empty: it can.
  std::vector<std::string> lost;  // Settings without an equivalent.

  const Setting* find(std::string_view key) const {
    return service == nullptr ? nullptr : service->find(key);
  }
  void keep(const std::string& why) {
    if (keep_with_systemd.empty()) keep_with_systemd = why;
  }
};

// None: a specifier that only systemd can fill in.
std::optional<std::string> expanded(const Reading& reading, std::string_view text) {
  const std::map<char, std::string> known = {
      {'%', "%"},    {'n', reading.unit}, {'N', reading.prefix}, {'p', reading.prefix},
      {'t', "/run"}, {'S', "/var/lib"},   {'C', "/var/cache"},   {'L', "/var/log"},
      {'E', "/etc"}, {'T', "/tmp"},       {'V', "/var/tmp"},     {'i', ""},
      {'I', ""}};
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '%' || at + 1 == text.size()) {
      out += text[at];
      continue;
    }
    const auto found = known.find(text[++at]);
    if (found == known.end()) return std::nullopt;
    out += found->second;
  }
  return out;
}

// "5min 20s", "90", "infinity" → seconds. None: unlimited or unknown.
std::optional<double> parse_span(std::string_view text) {
  static const std::map<std::string, double, std::less<>> kUnits = {
      {"us", 1e-6},    {"usec", 1e-6},  {"ms", 1e-3},    {"msec", 1e-3},   {"s", 1},
      {"sec", 1},      {"second", 1},   {"seconds", 1},  {"m", 60},        {"min", 60},
      {"minute", 60},  {"minutes", 60}, {"h", 3600},     {"hr", 3600},     {"hour", 3600},
      {"hours", 3600}, {"d", 86'400},   {"day", 86'400}, {"days", 86'400}, {"", 1}};
  double total = 0;
  std::string_view rest = trimmed(text);
  if (rest.empty()) return std::nullopt;
  while (!rest.empty()) {
    const std::size_t digits = std::min(rest.find_first_not_of("0123456789"), rest.size());
    const auto number = parse_number(rest.substr(0, digits));
    if (!number) return std::nullopt;
    rest = trimmed(rest.substr(digits));
    const std::size_t end = std::min(rest.find_first_of("0123456789 "), rest.size());
    const auto unit = kUnits.find(rest.substr(0, end));
    if (unit == kUnits.end()) return std::nullopt;
    total += static_cast<double>(*number) * unit->second;
    rest = trimmed(rest.substr(end));
  }
  return total;
}

std::string span_text(double seconds) {
  const double ms = std::round(seconds * 1000);
  if (ms <= 0) return {};
  if (std::fmod(ms, 1000) == 0) return std::to_string(static_cast<std::int64_t>(ms / 1000)) + "s";
  return std::to_string(static_cast<std::int64_t>(ms)) + "ms";
}

void read_span(Reading& reading, std::string_view key, std::string& into) {
  const Setting* setting = reading.find(key);
  const auto seconds = setting == nullptr ? std::nullopt : parse_span(setting->value);
  if (seconds) into = span_text(*seconds);
}

// "512M", "2G": of 1024. Empty: a percentage, "infinity", or nothing known.
std::string memory_text(std::string_view text) {
  static constexpr std::string_view kUnits = "KMGT";
  const std::string_view value = trimmed(text);
  if (value.empty()) return {};
  const std::size_t unit = kUnits.find(value.back());
  const auto number =
      parse_number(unit == std::string_view::npos ? value : value.substr(0, value.size() - 1));
  if (!number) return {};
  static constexpr std::array<std::string_view, 4> kNames = {"KiB", "MiB", "GiB", "TiB"};
  return std::to_string(*number) +
         (unit == std::string_view::npos ? "" : std::string(kNames[unit]));
}

void read_environment(Reading& reading) {
  for (const Setting& setting : reading.service->settings) {
    if (setting.key == "EnvironmentFile") {
      reading.lost.push_back(setting.key);
      continue;
    }
    if (setting.key != "Environment") continue;
    const auto text = expanded(reading, setting.value);
    const auto words = text ? command_words(*text) : std::nullopt;
    if (!words) {
      reading.lost.push_back(setting.key);
      continue;
    }
    for (const std::string& word : *words) {
      const std::size_t equals = word.find('=');
      if (equals == std::string::npos) continue;
      reading.out.environment.emplace_back(word.substr(0, equals), word.substr(equals + 1));
    }
  }
}

// "$NAME" and "${NAME}" from Environment=. None: a variable nobody here knows.
std::optional<std::string> with_variables(const Reading& reading, std::string_view word) {
  std::string out;
  for (std::size_t at = 0; at < word.size(); ++at) {
    if (word[at] != '$') {
      out += word[at];
      continue;
    }
    if (word.substr(at).starts_with("$$")) {
      out += '$';
      ++at;
      continue;
    }
    const bool braces = at + 1 < word.size() && word[at + 1] == '{';
    const std::size_t begin = at + (braces ? 2 : 1);
    const std::size_t end = braces ? word.find('}', begin) : word.size();
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view name = word.substr(begin, end - begin);
    const auto found = std::ranges::find(reading.out.environment, name,
                                         &std::pair<std::string, std::string>::first);
    if (found == reading.out.environment.end()) return std::nullopt;
    out += found->second;
    at = braces ? end : word.size();
  }
  return out;
}

void read_command(Reading& reading) {
  std::size_t commands = 0;
  for (const Setting& setting : reading.service->settings) {
    if (setting.key == "ExecStart") commands = setting.value.empty() ? 0 : commands + 1;
  }
  const Setting* start = reading.find("ExecStart");
  if (commands == 0 || start == nullptr) return reading.keep("it starts no program");
  if (commands > 1) return reading.keep("it starts several programs one after the other");
  std::string_view text = trimmed(start->value);
  const std::size_t begin = std::min(text.find_first_not_of("@-:+!"), text.size());
  const std::string_view marks = text.substr(0, begin);
  const auto filled = expanded(reading, text.substr(begin));
  if (!filled) return reading.keep("its command has specifiers that only systemd fills in");
  auto words = command_words(*filled);
  if (!words || words->empty()) return reading.keep("its command cannot be taken apart");
  if (marks.find('@') != std::string_view::npos && words->size() > 1)
    words->erase(words->begin() + 1);
  for (std::string& word : *words) {
    const auto value = marks.find(':') != std::string_view::npos ? std::optional(word)
                                                                 : with_variables(reading, word);
    if (!value) return reading.keep("its command has variables from elsewhere");
    word = *value;
  }
  reading.out.command = std::move(*words);
}

void read_type(Reading& reading) {
  const Setting* type = reading.find("Type");
  const std::string usual = reading.find("BusName") != nullptr ? "dbus" : "simple";
  const std::string kind = type == nullptr ? usual : type->value;
  if (kind == "notify" || kind == "notify-reload") reading.out.ready_notify = true;
  if (kind == "oneshot") reading.keep("it does its work once and ends (Type=oneshot)");
  if (kind == "forking") reading.keep("it puts itself into the background (Type=forking)");
  if (kind == "dbus") reading.keep("it is ready when it has its bus name (Type=dbus)");
  const Setting* input = reading.find("StandardInput");
  if (input != nullptr && input->value != "null") {
    reading.keep("its input comes from elsewhere (StandardInput=" + input->value + ")");
  }
  // What systemd makes or loads before the program runs.
  static constexpr auto kNeeded = std::to_array<std::string_view>(
      {"DynamicUser", "PAMName", "Sockets", "RootDirectory", "RuntimeDirectory", "StateDirectory",
       "CacheDirectory", "LogsDirectory", "ConfigurationDirectory", "ExecStartPre", "ExecStartPost",
       "ExecCondition", "EnvironmentFile", "LoadCredential", "SetCredential", "AmbientCapabilities",
       "BindPaths"});
  for (const std::string_view key : kNeeded) {
    const Setting* setting = reading.find(key);
    if (setting == nullptr || setting->value == "no" || setting->value == "false") continue;
    reading.keep("it needs systemd for " + setting->key + "=");
  }
}

void read_limits(Reading& reading) {
  if (const Setting* memory = reading.find("MemoryMax")) {
    reading.out.memory = memory_text(memory->value);
    if (reading.out.memory.empty() && memory->value != "infinity") {
      reading.lost.emplace_back("MemoryMax");
    }
  }
  if (const Setting* cpu = reading.find("CPUQuota")) reading.out.cpu = cpu->value;
  if (const Setting* tasks = reading.find("TasksMax")) {
    const auto number = parse_number(tasks->value);
    if (number && *number > 0) reading.out.pids = tasks->value;
    if (!number && tasks->value != "infinity") reading.lost.emplace_back("TasksMax");
  }
  if (const Setting* files = reading.find("LimitNOFILE")) {
    const std::string soft = files->value.substr(0, files->value.find(':'));
    const auto number = parse_number(soft);
    constexpr std::uint64_t kFilesMin = 16;
    if (number && *number >= kFilesMin) reading.out.files = soft;
    if (!number && soft != "infinity") reading.lost.emplace_back("LimitNOFILE");
  }
}

void read_stop_and_reload(Reading& reading) {
  read_span(reading, "TimeoutStopSec", reading.out.stop_timeout);
  if (const Setting* signal = reading.find("KillSignal")) {
    reading.out.stop_signal = signal_name(signal->value);
  }
  const Setting* reload = reading.find("ExecReload");
  if (reload == nullptr) return;
  const auto words = split_blanks(reload->value);
  const bool kills = words.size() == 3 && file_name(words[0]).ends_with("kill") &&
                     words[1].starts_with('-') && words[2] == "$MAINPID";
  if (kills) {
    const std::string signal = signal_name(words[1].substr(words[1].starts_with("-s") ? 2 : 1));
    if (signal != "HUP" && !signal.empty()) reading.out.reload_signal = signal;
  } else {
    reading.lost.emplace_back("ExecReload");
  }
}

void read_account(Reading& reading) {
  const auto plain = [&reading](std::string_view key) -> std::string {
    const Setting* setting = reading.find(key);
    if (setting == nullptr) return {};
    const auto text = expanded(reading, setting->value);
    if (!text) reading.lost.emplace_back(key);
    return text.value_or("");
  };
  reading.out.user = plain("User");
  reading.out.group = plain("Group");
  reading.out.umask = plain("UMask");
  std::string folder = plain("WorkingDirectory");
  if (folder.starts_with('-')) folder.erase(0, 1);
  if (folder.starts_with('/')) {
    reading.out.working_directory = folder;
  } else if (!folder.empty()) {
    reading.lost.emplace_back("WorkingDirectory");
  }
  const std::string output = plain("StandardOutput");
  for (const std::string_view way : {"file:", "append:", "truncate:"}) {
    if (output.starts_with(way)) reading.out.output = output.substr(way.size());
  }
}

bool is_carried(std::string_view key) {
  static constexpr auto kCarried = std::to_array<std::string_view>(
      {"Type",           "ExecStart",       "ExecReload",     "Environment",      "EnvironmentFile",
       "User",           "Group",           "UMask",          "WorkingDirectory", "StandardOutput",
       "StandardError",  "MemoryMax",       "CPUQuota",       "TasksMax",         "LimitNOFILE",
       "TimeoutStopSec", "TimeoutStartSec", "TimeoutSec",     "KillSignal",       "WatchdogSec",
       "KillMode",       "SendSIGKILL",     "Restart",        "BusName",          "NotifyAccess",
       "PIDFile",        "GuessMainPID",    "RemainAfterExit"});
  return std::ranges::find(kCarried, key) != kCarried.end();
}

void remark_lost(Reading& reading) {
  const Setting* restart = reading.find("Restart");
  const std::string when = restart == nullptr ? "no" : restart->value;
  if (when == "no") reading.lost.emplace_back("Restart=no (recoverd restarts what ends)");
  if (when != "no" && when != "always") {
    reading.lost.push_back("Restart=" + when + " (recoverd restarts whatever ends)");
  }
  for (const Setting& setting : reading.service->settings) {
    if (!is_carried(setting.key)) reading.lost.push_back(setting.key);
  }
  std::vector<std::string> once;
  std::string all;
  for (const std::string& key : reading.lost) {
    if (std::ranges::find(once, key) != once.end()) continue;
    once.push_back(key);
    all += (all.empty() ? "" : ", ") + key;
  }
  if (all.empty()) return;
  reading.draft.remark(reading.source.path, reading.service->line, reading.out.name + ": " + all);
}

void read_dependencies(Reading& reading, const Section& section) {
  for (const Setting& setting : section.settings) {
    if (setting.key != "Requires" && setting.key != "BindsTo" && setting.key != "Wants" &&
        setting.key != "Requisite") {
      continue;
    }
    for (const std::string& unit : split_blanks(setting.value)) {
      if (unit.ends_with(kSuffix)) reading.out.depends_on.push_back(unit);
    }
  }
}

// Nothing but the unit's name: systemd goes on running it.
ServiceDraft left_with_systemd(const Reading& reading) {
  ServiceDraft service;
  service.name = reading.out.name;
  service.origin = reading.out.origin;
  service.aliases = reading.out.aliases;
  service.depends_on = reading.out.depends_on;
  service.unit = reading.unit;
  service.notes = {"systemd goes on running it: " + reading.keep_with_systemd + "."};
  return service;
}

void read_service(Reading& reading) {
  read_type(reading);
  read_environment(reading);
  read_command(reading);
  read_account(reading);
  read_limits(reading);
  read_span(reading, "TimeoutSec", reading.out.start_timeout);
  read_span(reading, "TimeoutSec", reading.out.stop_timeout);
  read_span(reading, "TimeoutStartSec", reading.out.start_timeout);
  read_span(reading, "WatchdogSec", reading.out.watchdog);
  read_stop_and_reload(reading);
  if (!reading.keep_with_systemd.empty()) {
    reading.draft.services.push_back(left_with_systemd(reading));
    return;
  }
  remark_lost(reading);
  reading.draft.services.push_back(std::move(reading.out));
}

}  // namespace

void read_unit(const Source& source, Draft& draft) {
  const std::vector<Section> sections = read_sections(source.text, Dialect::Unit);
  Reading reading{source, draft, std::string(file_name(source.path)), {}, nullptr, {}, {}, {}};
  reading.prefix = reading.unit.substr(0, reading.unit.rfind('.'));
  if (reading.prefix.ends_with('@')) {
    draft.remark(
        source.path, 1,
        "a template: name its instances, as in `systemd: " + reading.prefix + "NAME.service`");
    return;
  }
  reading.out.name = service_name(reading.prefix);
  reading.out.origin = reading.unit;
  reading.out.aliases = {reading.unit};
  // A section may come twice: its settings add up.
  Section service;
  service.name = "Service";
  for (const Section& section : sections) {
    if (section.name == "Unit") read_dependencies(reading, section);
    if (section.name != "Service") continue;
    if (service.line == 0) service.line = section.line;
    service.settings.insert(service.settings.end(), section.settings.begin(),
                            section.settings.end());
  }
  if (service.line == 0) {
    draft.remark(source.path, 1, "it has no [Service] section");
    return;
  }
  reading.service = &service;
  read_service(reading);
}

}  // namespace recover::import
