// status, services, health check, monitor resources.
#include <boost/json.hpp>

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>
#include <vector>

#include "apps/recoverctl/commands.h"

namespace recover::apps {

namespace json = boost::json;

namespace {

std::string uint_text(double number) {
  return std::to_string(static_cast<long long>(number));
}

std::string probes_text(const json::array& probes) {
  std::size_t passing = 0;
  for (const json::value& probe : probes) {
    passing += text_of(object_of(probe), "state") == "passing" ? 1U : 0U;
  }
  if (probes.empty()) return "-";
  return std::to_string(passing) + "/" + std::to_string(probes.size());
}

double restarts_of(const json::object& service) {
  double restarts = 0;
  for (const json::value& instance : array_of(service, "instances")) {
    restarts += number_of(object_of(instance), "restarts");
  }
  return restarts;
}

Table services_table(const json::array& services) {
  Table table({"SERVICE", "STATE", "SINCE", "PID", "PROBES", "RESTARTS", "BREAKER", "INCIDENT"});
  for (const json::value& value : services) {
    const json::object& service = object_of(value);
    const double pid = number_of(service, "pid");
    table.add({{text_of(service, "name"), Tone::Strong},
               state_cell(text_of(service, "state")),
               {short_time(text_of(service, "since"))},
               {pid == 0 ? "-" : uint_text(pid)},
               {probes_text(array_of(service, "probes"))},
               {uint_text(restarts_of(service))},
               state_cell(text_of(service, "breaker")),
               {dash(text_of(service, "incident"))}});
  }
  return table;
}

void show_probes(const Session& session, const json::object& service) {
  if (array_of(service, "probes").empty()) return;
  Table table({"PROBE", "STATE", "LATENCY", "CHECKED", "DETAIL"});
  table.ends_in_prose();
  for (const json::value& value : array_of(service, "probes")) {
    const json::object& probe = object_of(value);
    std::array<char, 32> latency{};
    std::snprintf(latency.data(), latency.size(), "%.1fms", number_of(probe, "latency_ms"));
    table.add({{text_of(probe, "kind")},
               state_cell(text_of(probe, "state")),
               {latency.data()},
               {short_time(text_of(probe, "checked_at"))},
               {text_of(probe, "detail")}});
  }
  session.out << "\n";
  session.print(table);
}

void show_service(const Session& session, const json::object& service) {
  session.out << painted(session.terminal, Tone::Strong, text_of(service, "name")) << " ("
              << text_of(service, "kind") << ", priority " << text_of(service, "priority")
              << ") is " << session.paint(text_of(service, "state")) << " since "
              << short_time(text_of(service, "since")) << " UTC\n"
              << "depends on:      " << joined(array_of(service, "depends_on")) << "\n"
              << "breaker:         " << session.paint(text_of(service, "breaker")) << "\n"
              << "incident:        " << dash(text_of(service, "incident")) << "\n"
              << "last checkpoint: " << dash(text_of(service, "last_checkpoint")) << "\n";
  if (!array_of(service, "instances").empty()) {
    Table table({"INSTANCE", "STATE", "PID", "RESTARTS"});
    for (const json::value& value : array_of(service, "instances")) {
      const json::object& instance = object_of(value);
      const double pid = number_of(instance, "pid");
      table.add({{text_of(instance, "name")},
                 state_cell(text_of(instance, "state")),
                 {pid == 0 ? "-" : uint_text(pid)},
                 {uint_text(number_of(instance, "restarts"))}});
    }
    session.out << "\n";
    session.print(table);
  }
  show_probes(session, service);
}

void show_health(const Session& session, const json::object& health) {
  const std::string status = text_of(health, "status");
  session.out << "recoverd is " << session.paint(status) << ", mode " << text_of(health, "mode")
              << "\n";
  if (!truth_of(health, "enabled")) session.out << "  auto_recovery is not enabled\n";
  if (truth_of(health, "kill_switch")) {
    session.out << "  the kill switch is on: nothing is done (recoverctl kill-switch off)\n";
  }
  if (truth_of(health, "storm")) session.out << "  storm mode: no recovery is started\n";
  if (truth_of(health, "maintenance")) session.out << "  under maintenance\n";
  if (truth_of(health, "journal_degraded")) {
    session.out << "  the journal cannot be written: only safe actions are done\n";
  }
}

std::string service_path(const std::string& service) {
  return "/services/" + percent_encoded(service);
}

void print_names(const Session& session, const json::object& document) {
  for (const json::value& service : array_of(document, "services")) {
    session.out << text_of(object_of(service), "name") << "\n";
  }
}

// The services that are not as they should be, a line each.
std::vector<std::string> service_faults(const json::object& document, bool thorough) {
  std::vector<std::string> faults;
  for (const json::value& value : array_of(document, "services")) {
    const json::object& service = object_of(value);
    const std::string state = text_of(service, "state");
    if (state == "healthy" || state == "stopped") continue;
    if (!thorough && (state == "unknown" || state == "starting")) continue;
    faults.push_back(text_of(service, "name") + " is " + state);
  }
  return faults;
}

// What is wrong beyond the services' states, a line each.
std::vector<std::string> thorough_faults(const Session& session) {
  std::vector<std::string> faults;
  const json::value chain = session.client.get("/journal/verify");
  if (!truth_of(object_of(chain), "whole")) {
    faults.push_back("the journal's chain is broken: " + text_of(object_of(chain), "message"));
  }
  const Answer resources = session.client.send("GET", "/resources");
  boost::system::error_code error;
  const json::value document = json::parse(resources.body, error);
  for (const json::value& value : array_of(object_of(document), "resources")) {
    const std::string level = text_of(object_of(value), "level");
    if (level == "critical" || level == "emergency") {
      faults.push_back(text_of(object_of(value), "what") + " is at level " + level);
    }
  }
  const json::value breakers = session.client.get("/circuit-breakers");
  for (const json::value& value : array_of(object_of(breakers), "circuit_breakers")) {
    if (text_of(object_of(value), "state") == "closed") continue;
    faults.push_back("the breaker of " + text_of(object_of(value), "service") + " is " +
                     text_of(object_of(value), "state"));
  }
  return faults;
}

std::string percent(double ratio) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f%%", ratio * 100.0);
  return text.data();
}

std::string bar(double ratio) {
  constexpr int kCells = 20;
  const int full = std::clamp(static_cast<int>(ratio * kCells + 0.5), 0, kCells);
  return std::string(static_cast<std::size_t>(full), '#') +
         std::string(static_cast<std::size_t>(kCells - full), '.');
}

constexpr int kLatestEvents = 10;

Table resources_table(const json::array& resources) {
  Table table({"RESOURCE", "USED", "", "LEVEL"});
  for (const json::value& value : resources) {
    const json::object& resource = object_of(value);
    const double ratio = number_of(resource, "ratio");
    table.add({{text_of(resource, "what")},
               {percent(ratio)},
               {bar(ratio)},
               state_cell(text_of(resource, "level"))});
  }
  return table;
}

}  // namespace

Command status_command() {
  return [](const Session& session) {
    const json::value health = session.client.get("/health");
    const json::value services = session.client.get("/services");
    if (session.json) {
      json::object both = object_of(health);
      both["counts"] = both["services"];
      both["services"] = array_of(object_of(services), "services");
      session.out << json::serialize(both) << "\n";
      return Exit::Done;
    }
    show_health(session, object_of(health));
    session.out << "\n";
    session.print(services_table(array_of(object_of(services), "services")));
    session.out << "\n";
    show_latest_events(session, kLatestEvents);
    return Exit::Done;
  };
}

Command services_command(std::string name, bool names_only) {
  return [name = std::move(name), names_only](const Session& session) {
    const json::value document =
        session.client.get(name.empty() ? "/services" : service_path(name));
    if (names_only && !session.json) {
      print_names(session, object_of(document));
      return Exit::Done;
    }
    session.show(document, [&](const json::object& object) {
      if (!name.empty()) return show_service(session, object);
      session.print(services_table(array_of(object, "services")));
    });
    return Exit::Done;
  };
}

Command health_command(bool thorough) {
  return [thorough](const Session& session) {
    const json::value health = session.client.get("/health");
    const json::value services = session.client.get("/services");
    std::vector<std::string> faults = service_faults(object_of(services), thorough);
    if (thorough) {
      for (std::string& fault : thorough_faults(session)) faults.push_back(std::move(fault));
    }
    const bool well = faults.empty() && text_of(object_of(health), "status") == "healthy";
    if (session.json) {
      json::object document = object_of(health);
      document["healthy"] = well;
      document["faults"] = json::array(faults.begin(), faults.end());
      session.out << json::serialize(document) << "\n";
    } else {
      show_health(session, object_of(health));
      for (const std::string& fault : faults) session.out << "  " << printable(fault) << "\n";
    }
    return well ? Exit::Done : Exit::Failed;
  };
}

Command resources_command() {
  return [](const Session& session) {
    const json::value document = session.client.get("/resources");
    session.show(document, [&](const json::object& object) {
      session.print(resources_table(array_of(object, "resources")));
    });
    return Exit::Done;
  };
}

}  // namespace recover::apps
