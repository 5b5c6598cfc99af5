#include "import/import.h"

#include <algorithm>

#include "import/draft.h"
#include "import/words.h"

namespace recover::import {
namespace {

constexpr std::size_t kSourceMax = 4U << 20U;

bool ends_with_any(std::string_view name, std::initializer_list<std::string_view> ends) {
  return std::ranges::any_of(ends, [name](std::string_view end) { return name.ends_with(end); });
}

bool has_line_beginning(std::string_view text, std::string_view start) {
  return std::ranges::any_of(lines_of(text), [start](std::string_view line) {
    return lower(trimmed(line)).starts_with(start);
  });
}

// Names are keys: the second of two gets a number.
void make_unique(std::vector<ServiceDraft>& services) {
  for (std::size_t at = 0; at < services.size(); ++at) {
    const std::string wanted = services[at].name;
    const auto taken = [&](const std::string& name) {
      return std::any_of(services.begin(), services.begin() + static_cast<std::ptrdiff_t>(at),
                         [&](const ServiceDraft& other) { return other.name == name; });
    };
    for (std::size_t number = 2; taken(services[at].name); ++number) {
      services[at].name = wanted.substr(0, 60) + "-" + std::to_string(number);
    }
  }
}

}  // namespace

std::optional<Format> format_of(const Source& source) {
  const std::string_view name = file_name(source.path);
  if (name.ends_with(".service")) return Format::Unit;
  if (ends_with_any(name, {"monitrc", ".monitrc", ".monit"})) return Format::Monit;
  if (has_line_beginning(source.text, "[service]") || has_line_beginning(source.text, "[unit]")) {
    return Format::Unit;
  }
  for (const std::string_view section :
       {"[program:", "[supervisord]", "[unix_http_server]", "[inet_http_server]", "[group:",
        "[eventlistener:", "[fcgi-program:", "[supervisorctl]", "[include]", "[rpcinterface:"}) {
    if (has_line_beginning(source.text, section)) return Format::Supervisor;
  }
  for (const std::string_view statement : {"check ", "set daemon", "set log", "set httpd"}) {
    if (has_line_beginning(source.text, statement)) return Format::Monit;
  }
  return std::nullopt;
}

Imported import_files(const std::vector<Source>& sources) {
  Draft draft;
  for (const Source& source : sources) {
    const auto format = format_of(source);
    if (!format || source.text.size() > kSourceMax) {
      draft.remark(source.path, 1,
                   format ? "too large to be a configuration"
                          : "neither a configuration of supervisord or monit nor a service unit");
      continue;
    }
    switch (*format) {
      case Format::Supervisor: read_supervisor(source, draft); break;
      case Format::Monit: read_monit(source, draft); break;
      case Format::Unit: read_unit(source, draft); break;
    }
  }
  make_unique(draft.services);
  Imported imported;
  if (!draft.remarks.empty()) {
    draft.notes.push_back("Not carried over:");
    for (const std::string& remark : draft.remarks) draft.notes.push_back("  " + remark);
  }
  imported.yaml = write_yaml(draft);
  imported.remarks = std::move(draft.remarks);
  imported.services = draft.services.size();
  return imported;
}

}  // namespace recover::import
