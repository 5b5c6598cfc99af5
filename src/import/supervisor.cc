// supervisord.conf: programs become `run:` services, groups keep their names.
#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "import/draft.h"
#include "import/sections.h"
#include "import/words.h"

namespace recover::import {
namespace {

constexpr std::size_t kInstancesMax = 1'000;
constexpr std::uint64_t kRotateMin = 4'096;
constexpr std::uint64_t kKeepMax = 1'000;

using Variables = std::map<std::string, std::string, std::less<>>;

struct Program {
  const Source& source;
  const Section& section;
  const Section* global;  // [supervisord]
  Variables variables;
  Draft& draft;
  ServiceDraft service;

  void remark(const Setting& setting, const std::string& text) const {
    draft.remark(source.path, setting.line, service.name + ": " + text);
  }
  const Setting* find(std::string_view key) const { return section.find(key); }
};

// "%(program_name)s" and the like; what is not known stays and is remarked.
std::string expanded(const Program& program, const Setting& setting) {
  std::string out;
  std::string_view rest = setting.value;
  for (std::size_t at = rest.find('%'); at != std::string_view::npos; at = rest.find('%')) {
    out += rest.substr(0, at);
    rest.remove_prefix(at);
    if (rest.starts_with("%%")) {
      out += '%';
      rest.remove_prefix(2);
      continue;
    }
    const std::size_t close = rest.find(')');
    if (!rest.starts_with("%(") || close == std::string_view::npos) {
      out += '%';
      rest.remove_prefix(1);
      continue;
    }
    const std::string_view name = rest.substr(2, close - 2);
    const std::size_t end = std::min(rest.find_first_of("sd", close), rest.size() - 1);
    const auto known = program.variables.find(name);
    if (known == program.variables.end()) {
      out += rest.substr(0, end + 1);
      program.remark(setting, "`" + std::string(rest.substr(0, end + 1)) + "` in `" + setting.key +
                                  "` is not known here and left as it is");
    } else {
      out += known->second;
    }
    rest.remove_prefix(end + 1);
  }
  return out + std::string(rest);
}

// "1MB", "10KB", "3GB": of 1024, as supervisord counts.
std::optional<std::uint64_t> parse_bytes(std::string_view text) {
  static constexpr std::array<std::pair<std::string_view, unsigned>, 3> kUnits = {
      {{"kb", 10}, {"mb", 20}, {"gb", 30}}};
  const std::string small = lower(trimmed(text));
  for (const auto& [unit, shift] : kUnits) {
    if (!small.ends_with(unit)) continue;
    const auto number = parse_number(trimmed(std::string_view(small).substr(0, small.size() - 2)));
    if (!number || *number > (UINT64_MAX >> shift)) return std::nullopt;
    return *number << shift;
  }
  return parse_number(small);
}

std::string in_bytes(std::uint64_t bytes) {
  constexpr std::uint64_t kMiB = 1U << 20U;
  constexpr std::uint64_t kKiB = 1U << 10U;
  if (bytes % kMiB == 0) return std::to_string(bytes / kMiB) + "MiB";
  if (bytes % kKiB == 0) return std::to_string(bytes / kKiB) + "KiB";
  return std::to_string(bytes);
}

// A="1",B='two',C=3
void read_environment(Program& program, const Setting& setting) {
  const std::string text = expanded(program, setting);
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t equals = text.find('=', at);
    if (equals == std::string::npos) break;
    const std::string name(trimmed(std::string_view(text).substr(at, equals - at)));
    std::size_t begin = text.find_first_not_of(" \t", equals + 1);
    std::string value;
    if (begin != std::string::npos && (text[begin] == '"' || text[begin] == '\'')) {
      const std::size_t close = std::min(text.find(text[begin], begin + 1), text.size());
      value = text.substr(begin + 1, close - begin - 1);
      at = text.find(',', close);
    } else {
      begin = equals + 1;
      at = text.find(',', begin);
      value =
          trimmed(std::string_view(text).substr(begin, at == std::string::npos ? at : at - begin));
    }
    if (!name.empty()) program.service.environment.emplace_back(name, value);
    if (at == std::string::npos) break;
    ++at;
  }
}

void read_command(Program& program) {
  const Setting* command = program.find("command");
  if (command == nullptr) return;
  const std::string text = expanded(program, *command);
  const auto words = command_words(text);
  if (words && !words->empty()) {
    program.service.command = *words;
  } else {
    program.remark(*command, "its command cannot be taken apart: " + text);
  }
}

void read_seconds(const Program& program, std::string_view key, std::string& into) {
  const Setting* setting = program.find(key);
  const auto seconds = setting == nullptr ? std::nullopt : parse_number(setting->value);
  if (seconds && *seconds > 0) into = std::to_string(*seconds) + "s";
}

void read_output(Program& program) {
  const Setting* path = program.find("stdout_logfile");
  const std::string text = path == nullptr ? std::string() : expanded(program, *path);
  const std::string small = lower(text);
  if (text.empty() || small == "auto" || small == "none" || small == "syslog" ||
      small.starts_with("/dev/")) {
    return;
  }
  if (!text.starts_with('/')) return program.remark(*path, "a log file needs an absolute path");
  program.service.output = text;
  if (const Setting* size = program.find("stdout_logfile_maxbytes")) {
    const auto bytes = parse_bytes(size->value);
    if (bytes && *bytes >= kRotateMin) program.service.rotate = in_bytes(*bytes);
    if (bytes && *bytes < kRotateMin) {
      program.remark(*size, "recoverd rotates at 4 KiB at least, and always");
    }
  }
  if (const Setting* backups = program.find("stdout_logfile_backups")) {
    const auto keep = parse_number(backups->value);
    if (keep) program.service.keep = std::to_string(std::min(*keep, kKeepMax));
  }
}

bool is_true(std::string_view value) {
  const std::string small = lower(std::string(value));
  return small == "true" || small == "yes" || small == "on" || small == "1";
}

// Without a word about it stderr goes where stdout goes, as most who write `redirect_stderr` want.
void read_errors(Program& program) {
  const Setting* path = program.find("stderr_logfile");
  const Setting* redirected = program.find("redirect_stderr");
  if (path == nullptr || (redirected != nullptr && is_true(redirected->value))) return;
  const std::string text = expanded(program, *path);
  const std::string small = lower(text);
  if (text.empty() || small == "auto") {
    program.service.errors = "separate";
  } else if (small == "none" || small == "syslog" || small.starts_with("/dev/")) {
    program.remark(*path, path->key + "=" + path->value + ": stderr goes where stdout goes");
  } else if (!text.starts_with('/')) {
    program.remark(*path, "a log file needs an absolute path");
  } else if (text != program.service.output) {
    program.service.errors = text;
  }
  if (program.service.errors.empty()) return;
  for (const std::string_view bound : {"maxbytes", "backups"}) {
    const Setting* own = program.find("stderr_logfile_" + std::string(bound));
    const Setting* common = program.find("stdout_logfile_" + std::string(bound));
    if (own == nullptr || (common != nullptr && common->value == own->value)) continue;
    program.remark(*own, own->key + "=" + own->value + ": stderr's log has the bounds of stdout's");
  }
}

bool is_set(const Program& program, std::string_view key, std::string_view usual) {
  const Setting* setting = program.find(key);
  return setting != nullptr && lower(setting->value) != usual;
}

void remark_rest(const Program& program) {
  struct Lost {
    std::string_view key;
    std::string_view usual;
    std::string_view why;
  };
  static constexpr std::array<Lost, 11> kLost = {{
      {"autostart", "true", "recoverd starts every service; `recoverctl stop` keeps it down"},
      {"autorestart", "true", "the default playbooks restart whatever ends, unexpected or not"},
      {"exitcodes", "", "no exit status is expected: a service that ends has failed"},
      {"startretries", "3", "see auto_recovery.recovery.max_attempts and the service's breaker"},
      {"priority", "999", "the order of starting comes from depends_on"},
      {"stdout_syslog", "false", "output does not go to syslog"},
      {"stderr_syslog", "false", "output does not go to syslog"},
      {"stdout_events_enabled", "false", "there are no events of output"},
      {"stderr_events_enabled", "false", "there are no events of output"},
      {"serverurl", "auto", "SUPERVISOR_SERVER_URL is not set"},
      {"process_name", "%(program_name)s", "instances are called NAME@1, NAME@2, …"},
  }};
  for (const Lost& lost : kLost) {
    if (!is_set(program, lost.key, lost.usual)) continue;
    const Setting& setting = *program.find(lost.key);
    program.remark(setting, lost.key == "process_name" && program.service.instances == 1
                                ? "process_name: it is called as its program"
                                : setting.key + "=" + setting.value + ": " + std::string(lost.why));
  }
}

void read_instances(Program& program) {
  const Setting* setting = program.find("numprocs");
  const auto number = setting == nullptr ? std::nullopt : parse_number(setting->value);
  if (!number || *number <= 1) return;
  program.service.instances =
      static_cast<std::size_t>(std::min<std::uint64_t>(*number, kInstancesMax));
  const Setting* command = program.find("command");
  if (command != nullptr && command->value.find("%(process_num)") != std::string::npos) {
    program.remark(*command, "instances share one command: %(process_num) became 0");
  }
}

// A setting of the program, else of [supervisord].
const Setting* inherited(const Program& program, std::string_view key) {
  const Setting* own = program.find(key);
  return own != nullptr || program.global == nullptr ? own : program.global->find(key);
}

void read_program(Program& program) {
  ServiceDraft& service = program.service;
  if (program.global != nullptr) {
    if (const Setting* all = program.global->find("environment")) read_environment(program, *all);
  }
  if (const Setting* own = program.find("environment")) read_environment(program, *own);
  read_command(program);
  if (service.command.empty()) return;
  read_instances(program);
  if (const Setting* user = inherited(program, "user")) service.user = user->value;
  if (const Setting* folder = inherited(program, "directory")) {
    const std::string path = expanded(program, *folder);
    if (path.starts_with('/')) {
      service.working_directory = path;
    } else {
      program.remark(*folder, "a working directory needs an absolute path: " + path);
    }
  }
  if (const Setting* umask = inherited(program, "umask")) service.umask = umask->value;
  service.ready_after = "1s";  // supervisord's own default.
  if (const Setting* start = program.find("startsecs"); start != nullptr && start->value == "0") {
    service.ready_after.clear();
  } else {
    read_seconds(program, "startsecs", service.ready_after);
  }
  read_seconds(program, "stopwaitsecs", service.stop_timeout);
  if (const Setting* stop = program.find("stopsignal")) {
    service.stop_signal = signal_name(stop->value);
  }
  read_output(program);
  read_errors(program);
  remark_rest(program);
  program.draft.services.push_back(std::move(service));
}

void read_group(const Source& source, const Section& section, Draft& draft) {
  const std::string name = section.name.substr(std::string_view("group:").size());
  const Setting* programs = section.find("programs");
  if (programs == nullptr) return;
  for (const std::string& wanted : split_at(programs->value, ',')) {
    const auto found = std::ranges::find(draft.services, service_name(wanted), &ServiceDraft::name);
    if (found != draft.services.end()) {
      found->group_name = name;
    } else {
      draft.remark(source.path, programs->line, "group " + name + ": no program " + wanted);
    }
  }
}

void remark_section(const Source& source, const Section& section, Draft& draft) {
  const auto say = [&](const std::string& why) {
    draft.remark(source.path, section.line, "[" + section.name + "]: " + why);
  };
  if (section.name == "include") {
    const Setting* files = section.find("files");
    say("the files it names are not read by this; give them to `recoverd import` too: " +
        (files == nullptr ? "" : files->value));
  } else if (section.name == "unix_http_server" || section.name == "inet_http_server" ||
             section.name == "supervisorctl" || section.name.starts_with("rpcinterface:") ||
             section.name.starts_with("ctlplugin:")) {
    say("recoverd has its own API (`api:`) and `recoverctl`");
  } else if (section.name.starts_with("eventlistener:")) {
    say("event listeners have no equivalent; see `recoverctl events --follow`");
  } else if (section.name.starts_with("fcgi-program:")) {
    say("FastCGI sockets are not passed on");
  } else if (section.name != "supervisord" && !section.name.starts_with("program:") &&
             !section.name.starts_with("group:")) {
    say("not a section of supervisord");
  }
}

}  // namespace

void read_supervisor(const Source& source, Draft& draft) {
  const std::vector<Section> sections = read_sections(source.text, Dialect::Supervisor);
  const auto global = std::ranges::find(sections, "supervisord", &Section::name);
  const std::size_t slash = source.path.rfind('/');
  const std::string here = slash == std::string::npos ? "." : source.path.substr(0, slash);
  for (const Section& section : sections) {
    remark_section(source, section, draft);
    if (!section.name.starts_with("program:")) continue;
    const std::string name(trimmed(section.name.substr(std::string_view("program:").size())));
    Program program{source,
                    section,
                    global == sections.end() ? nullptr : &*global,
                    {{"program_name", name},
                     {"process_num", "0"},
                     {"here", here},
                     {"group_name", name},
                     {"numprocs", "1"}},
                    draft,
                    {}};
    program.service.name = service_name(name);
    program.service.origin = "[" + section.name + "] of " + source.path;
    if (program.find("command") == nullptr) {
      draft.remark(source.path, section.line, "[" + section.name + "]: it has no command");
      continue;
    }
    read_program(program);
  }
  for (const Section& section : sections) {
    if (section.name.starts_with("group:")) read_group(source, section, draft);
  }
}

}  // namespace recover::import
