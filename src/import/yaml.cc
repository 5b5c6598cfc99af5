#include "import/yaml.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "import/draft.h"
#include "import/words.h"

namespace recover::import {
namespace {

bool is_plain(std::string_view text) {
  static constexpr std::array<std::string_view, 10> kMeaning = {
      "true", "false", "yes", "no", "on", "off", "null", "y", "n", "nan"};
  if (text.empty() || text.size() > 200) return false;
  const bool letters = std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("_/.+-=%@").find(c) != std::string_view::npos;
  });
  const bool first = std::string_view("-=%@.+").find(text.front()) == std::string_view::npos;
  return letters && first && std::ranges::find(kMeaning, lower(text)) == kMeaning.end();
}

void indent(std::string& out, std::size_t depth, const std::string& line) {
  out.append(2 * depth, ' ');
  out += line + "\n";
}

// "key: value" for each that is given, in one flow map; nothing for none.
std::string flow_map(const std::vector<std::pair<std::string, std::string>>& pairs) {
  std::string inner;
  for (const auto& [key, value] : pairs) {
    if (!value.empty()) inner += (inner.empty() ? "" : ", ") + key + ": " + value;
  }
  return inner.empty() ? inner : "{" + inner + "}";
}

std::string quoted_or_none(const std::string& text) {
  return text.empty() ? text : scalar(text);
}

void write_run(const ServiceDraft& service, std::string& out) {
  const auto put = [&out](const std::string& key, const std::string& value) {
    if (!value.empty()) indent(out, 3, key + ": " + value);
  };
  indent(out, 2, "run:");
  put("command", flow_list(service.command));
  put("user", quoted_or_none(service.user));
  put("group", quoted_or_none(service.group));
  if (!service.environment.empty()) {
    indent(out, 3, "environment:");
    for (const auto& [name, value] : service.environment) {
      indent(out, 4, scalar(name) + ": " + scalar(value));
    }
  }
  put("working_directory", quoted_or_none(service.working_directory));
  if (!service.umask.empty()) put("umask", "\"" + service.umask + "\"");
  if (service.instances > 1) put("instances", std::to_string(service.instances));
  put("ready", flow_map({{"notify", service.ready_notify ? "true" : ""},
                         {"after", service.ready_after},
                         {"start_timeout", service.start_timeout}}));
  put("watchdog", service.watchdog);
  put("stop", flow_map({{"signal", service.stop_signal}, {"timeout", service.stop_timeout}}));
  put("reload_signal", service.reload_signal);
  put("limits", flow_map({{"memory", service.memory},
                          {"cpu", service.cpu},
                          {"pids", service.pids},
                          {"files", service.files}}));
  put("output", flow_map({{"path", quoted_or_none(service.output)},
                          {"rotate", service.rotate},
                          {"keep", service.keep},
                          {"stderr", quoted_or_none(service.errors)}}));
}

void write_service(const ServiceDraft& service, const std::vector<std::string>& depends_on,
                   std::string& out) {
  out += "\n";
  if (!service.origin.empty()) indent(out, 1, "# From " + service.origin + ".");
  for (const std::string& note : service.notes) indent(out, 1, "# " + note);
  indent(out, 1, scalar(service.name) + ":");
  if (!service.unit.empty()) {
    indent(out, 2, "systemd: " + scalar(service.unit));
  } else if (!service.command.empty()) {
    write_run(service, out);
  } else {
    indent(out, 2,
           "observe: " + flow_map({{"pid_file", quoted_or_none(service.pid_file)},
                                   {"match", quoted_or_none(service.match)}}));
  }
  if (!depends_on.empty()) indent(out, 2, "depends_on: " + flow_list(depends_on));
  if (!service.group_name.empty()) indent(out, 2, "group: " + scalar(service.group_name));
  if (service.probes.empty()) return;
  indent(out, 2, "probes:");
  for (const std::string& probe : service.probes) indent(out, 3, "- " + probe);
}

// Names of services that are there; what else was named is not ours.
std::vector<std::string> known_dependencies(const Draft& draft, const ServiceDraft& service) {
  std::vector<std::string> known;
  for (const std::string& wanted : service.depends_on) {
    for (const ServiceDraft& other : draft.services) {
      const bool meant =
          other.name == wanted || std::ranges::find(other.aliases, wanted) != other.aliases.end();
      const bool twice = std::ranges::find(known, other.name) != known.end();
      if (meant && !twice && other.name != service.name) known.push_back(other.name);
    }
  }
  return known;
}

// Dependencies in a circle are refused by recoverd: what closes one is left out.
std::vector<std::vector<std::string>> without_circles(const Draft& draft) {
  std::vector<std::vector<std::string>> all(draft.services.size());
  const auto place_of = [&draft](const std::string& name) {
    const auto found = std::ranges::find(draft.services, name, &ServiceDraft::name);
    return static_cast<std::size_t>(found - draft.services.begin());
  };
  const auto reaches = [&](std::size_t from, std::size_t to) {
    std::set<std::size_t> seen;
    std::vector<std::size_t> open = {from};
    while (!open.empty()) {
      const std::size_t at = open.back();
      open.pop_back();
      if (at == to) return true;
      if (!seen.insert(at).second) continue;
      for (const std::string& next : all[at]) open.push_back(place_of(next));
    }
    return false;
  };
  for (std::size_t at = 0; at < draft.services.size(); ++at) {
    for (std::string& name : known_dependencies(draft, draft.services[at])) {
      if (!reaches(place_of(name), at)) all[at].push_back(std::move(name));
    }
  }
  return all;
}

void write_head(const Draft& draft, std::string& out) {
  out +=
      "# Written by `recoverd import`; read it before you use it.\n"
      "version: 1\n\n"
      "auto_recovery:\n"
      "  # As the supervisor did that this comes from. `shadow` tells what would be done first.\n"
      "  recovery: {mode: automatic}\n";
  if (!draft.monitoring_interval.empty()) {
    out += "  detection: {monitoring_interval: " + draft.monitoring_interval + "}\n";
  }
  const std::string thresholds =
      flow_map({{"cpu", draft.cpu_usage.empty() ? "" : "{value: " + draft.cpu_usage + "}"},
                {"memory", draft.memory_usage.empty() ? "" : "{value: " + draft.memory_usage + "}"},
                {"disk_usage", draft.disk_usage}});
  if (draft.disks.empty() && thresholds.empty()) return;
  out += "\nmonitoring:\n";
  if (!draft.disks.empty()) out += "  resources: {disk: " + flow_list(draft.disks) + "}\n";
  if (!thresholds.empty()) out += "  thresholds: " + thresholds + "\n";
}

}  // namespace

std::string scalar(std::string_view text) {
  if (is_plain(text)) return std::string(text);
  std::string out = "\"";
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char letter = text[at];
    if (letter == '$' && at + 1 < text.size() && text[at + 1] == '{') out += '$';
    if (letter == '"' || letter == '\\') out += '\\';
    if (letter == '\n') {
      out += "\\n";
    } else if (letter == '\t') {
      out += "\\t";
    } else if (static_cast<unsigned char>(letter) >= ' ') {
      out += letter;
    }
  }
  return out + "\"";
}

std::string flow_list(const std::vector<std::string>& items) {
  std::string inner;
  for (const std::string& item : items) inner += (inner.empty() ? "" : ", ") + scalar(item);
  return "[" + inner + "]";
}

std::string write_yaml(const Draft& draft) {
  std::string out;
  write_head(draft, out);
  if (draft.services.empty()) {
    out += "\nservices: {}\n";
  } else {
    out += "\nservices:";
    const auto dependencies = without_circles(draft);
    for (std::size_t at = 0; at < draft.services.size(); ++at) {
      write_service(draft.services[at], dependencies[at], out);
    }
  }
  if (!draft.notes.empty()) out += "\n";
  for (const std::string& note : draft.notes) out += "# " + note + "\n";
  return out;
}

}  // namespace recover::import
