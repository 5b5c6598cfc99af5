// status, services, start … release, scale, health check, monitor resources.
#include <boost/json.hpp>

#include <algorithm>
#include <array>
#include <cstdio>
#include <thread>
#include <utility>
#include <vector>

#include "apps/recoverctl/commands.h"

namespace recover::apps {

namespace json = boost::json;

namespace {

constexpr std::chrono::milliseconds kServicePoll{200};
// So long a service may be failed after a command before that is its outcome.
constexpr std::chrono::seconds kFailedMax{10};

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

enum class Outcome { Pending, Good, Bad };

// What the state of a service says about a request that the daemon has worked on.
Outcome outcome_of(const std::string& request, const std::string& state) {
  if (request == "stop") return state == "stopped" ? Outcome::Good : Outcome::Pending;
  if (request == "quarantine") return state == "quarantined" ? Outcome::Good : Outcome::Pending;
  if (request == "release") return state != "quarantined" ? Outcome::Good : Outcome::Pending;
  if (state == "healthy") return Outcome::Good;
  return state == "failed" || state == "quarantined" || state == "stopped" ? Outcome::Bad
                                                                           : Outcome::Pending;
}

Failure not_reached(const ServiceWish& wish, const std::string& state) {
  return Failure(Exit::Failed, "RECOVERY_FAILED",
                 wish.service + " is " + state + " after `" + wish.request + "`",
                 "See `recoverctl services " + wish.service +
                     "` and `recoverctl logs show --service " + wish.service + "`.");
}

Outcome outcome_of(const json::object& service, const ServiceWish& wish, double epoch) {
  const bool done = number_of(service, "epoch") >= epoch && !truth_of(service, "busy");
  return done ? outcome_of(wish.request, text_of(service, "state")) : Outcome::Pending;
}

// Polls until the outcome is clear; shows the way there on a terminal.
json::value wait_for(const Session& session, const ServiceWish& wish, double epoch) {
  using Steady = std::chrono::steady_clock;
  const auto deadline = Steady::now() + wish.timeout;
  auto bad_since = Steady::time_point::max();
  std::string shown;
  while (true) {
    json::value service = session.client.get(service_path(wish.service));
    const json::object& object = object_of(service);
    const std::string state = text_of(object, "state");
    if (session.terminal.tty && !session.json && state != shown) {
      session.err << wish.service << ": " << session.paint(state) << "\n";
      shown = state;
    }
    const auto now = Steady::now();
    const Outcome outcome = outcome_of(object, wish, epoch);
    if (outcome == Outcome::Good) return service;
    if (outcome != Outcome::Bad) bad_since = Steady::time_point::max();
    if (outcome == Outcome::Bad) bad_since = std::min(bad_since, now);
    const bool bad = outcome == Outcome::Bad && now - bad_since > kFailedMax;
    if (bad || now >= deadline) throw not_reached(wish, state);
    std::this_thread::sleep_for(kServicePoll);
  }
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
    if (names_only) {
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

Command request_command(ServiceWish wish) {
  return [wish = std::move(wish)](const Session& session) {
    const json::value accepted =
        session.client.ask("POST", service_path(wish.service) + "/" + wish.request, {});
    const auto tell_accepted = [&](const json::object&) {
      session.out << wish.request << " of " << wish.service << " was accepted; see `recoverctl "
                  << "services " << wish.service << "`\n";
    };
    if (!wish.wait) {
      session.show(accepted, tell_accepted);
      return Exit::Done;
    }
    const json::value service = wait_for(session, wish, number_of(object_of(accepted), "epoch"));
    session.show(service, [&](const json::object& object) {
      session.out << wish.service << " is " << session.paint(text_of(object, "state")) << "\n";
    });
    return Exit::Done;
  };
}

Command scale_command(std::string service, int instances) {
  return [service = std::move(service), instances](const Session& session) {
    json::object body;
    body["instances"] = std::to_string(instances);
    const json::value accepted = session.client.ask("POST", service_path(service) + "/scale", body);
    session.show(accepted, [&](const json::object&) { session.out << "accepted\n"; });
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
