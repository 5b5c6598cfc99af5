// mode, kill-switch, maintenance, breaker, patterns, config.
#include <boost/json.hpp>

#include <fstream>
#include <iterator>
#include <sstream>
#include <utility>
#include <vector>

#include "apps/recoverctl/commands.h"
#include "apps/recoverctl/yaml_edit.h"

namespace recover::apps {

namespace json = boost::json;

namespace {

// Sends, and prints one sentence unless --json.
Exit say(const Session& session, const json::value& answer, const std::string& sentence) {
  session.show(answer, [&](const json::object&) { session.out << sentence << "\n"; });
  return Exit::Done;
}

std::string file_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Failure(Exit::NoSuchThing, "NO_SUCH_FILE", "cannot read " + path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// What became of the services of one list of a reload; nothing of those that do not run.
std::vector<std::string> faults_of(const Session& session, const json::array& services,
                                   const std::string& list, std::chrono::seconds timeout) {
  std::vector<std::string> faults;
  for (const json::value& service : services) {
    const std::string name = service.as_string().c_str();
    const json::value now = session.client.get("/services/" + percent_encoded(name));
    const std::string state = text_of(object_of(now), "state");
    if (state == "stopped" || state == "quarantined") continue;
    // Of others recoverd starts nothing: only their probes, if they have any, show something new.
    const bool changed = list == "changed";
    const bool ours = text_of(object_of(now), "kind") == "run";
    if (!ours && (!changed || array_of(object_of(now), "probes").empty())) continue;
    const std::string fault = await_healthy(session, name, changed ? "reload" : "restart", timeout);
    if (!fault.empty()) faults.push_back(fault);
  }
  return faults;
}

// Says what changed, then waits for the services it concerns.
Exit tell_reloaded(const Session& session, const json::value& answer, const ReloadWish& wish) {
  const json::object& reloaded = object_of(answer);
  std::vector<std::string> failed;
  for (const char* list : {"added", "restarted", "changed"}) {
    if (!wish.wait) break;
    for (std::string& fault : faults_of(session, array_of(reloaded, list), list, wish.timeout)) {
      failed.push_back(std::move(fault));
    }
  }
  if (session.json) {
    json::object document = reloaded;
    document["faults"] = json::array(failed.begin(), failed.end());
    session.out << json::serialize(document) << "\n";
  } else {
    session.out << dash(text_of(reloaded, "summary")) << "\n";
    for (const std::string& fault : failed) session.err << "recoverctl: " << fault << "\n";
  }
  return failed.empty() ? Exit::Done : Exit::Failed;
}

Exit put_configuration(const Session& session, const std::string& yaml, const std::string& tag,
                       const ReloadWish& wish) {
  const std::string body =
      session.client.text("PUT", "/configuration", yaml, "application/yaml", tag);
  boost::system::error_code error;
  return tell_reloaded(session, json::parse(body, error), wish);
}

}  // namespace

Command mode_get_command() {
  return [](const Session& session) {
    const json::value document = session.client.get("/mode");
    session.show(document, [&](const json::object& mode) {
      session.out << "mode: " << text_of(mode, "mode")
                  << (truth_of(mode, "set_by_operator")
                          ? " (set by an operator; configured: " + text_of(mode, "configured") + ")"
                          : "")
                  << "\n\n";
      Table table({"SERVICE", "OWN MODE", "IN EFFECT"});
      for (const json::value& value : array_of(mode, "services")) {
        const json::object& service = object_of(value);
        table.add({{text_of(service, "service")},
                   {dash(text_of(service, "mode"))},
                   {text_of(service, "effective")}});
      }
      session.print(table);
    });
    return Exit::Done;
  };
}

Command mode_set_command(std::string mode, std::string service) {
  return [mode = std::move(mode), service = std::move(service)](const Session& session) {
    json::object body;
    body["mode"] = mode;
    if (!service.empty()) body["service"] = service;
    const json::value answer = session.client.ask("PUT", "/mode", body);
    return say(session, answer,
               "mode" + (service.empty() ? "" : " of " + service) + " is now " + mode);
  };
}

Command kill_switch_command(bool on) {
  return [on](const Session& session) {
    json::object body;
    body["on"] = on;
    const json::value answer = session.client.ask("PUT", "/kill-switch", body);
    return say(session, answer,
               on ? "the kill switch is on: recoverd watches, but does nothing"
                  : "the kill switch is off");
  };
}

Command maintenance_start_command(std::string service, std::string duration) {
  return [service = std::move(service), duration = std::move(duration)](const Session& session) {
    json::object body;
    if (!service.empty()) body["service"] = service;
    if (!duration.empty()) body["for"] = duration;
    const json::value answer = session.client.ask("POST", "/maintenance", body);
    return say(session, answer,
               (service.empty() ? "every service" : service) + " is under maintenance " +
                   (duration.empty() ? "until `recoverctl maintenance stop`" : "for " + duration));
  };
}

Command maintenance_stop_command(std::string service) {
  return [service = std::move(service)](const Session& session) {
    const std::string query = service.empty() ? "" : "?service=" + percent_encoded(service);
    const json::value answer = session.client.ask("DELETE", "/maintenance" + query, {});
    return say(session, answer,
               "maintenance of " + (service.empty() ? "every service" : service) + " has ended");
  };
}

Command maintenance_list_command() {
  return [](const Session& session) {
    const json::value document = session.client.get("/maintenance");
    session.show(document, [&](const json::object& object) {
      if (array_of(object, "maintenance").empty()) {
        session.out << "no maintenance\n";
        return;
      }
      Table table({"SERVICE", "UNTIL"});
      for (const json::value& value : array_of(object, "maintenance")) {
        const std::string service = text_of(object_of(value), "service");
        const std::string until = text_of(object_of(value), "until");
        table.add({{service.empty() ? "(every service)" : service},
                   {until.empty() ? "lifted by hand" : short_time(until)}});
      }
      session.print(table);
    });
    return Exit::Done;
  };
}

// A playbook that is out for single services.
void add_open_for_service(Table& table, const json::object& playbook) {
  for (const json::value& value : array_of(playbook, "services")) {
    const json::object& row = object_of(value);
    if (text_of(row, "state") != "open") continue;
    table.add({{"playbook " + text_of(playbook, "playbook") + " for " + text_of(row, "service")},
               state_cell(text_of(row, "state")),
               {std::to_string(static_cast<int>(number_of(row, "failures_in_row")))},
               {"reset by hand"}});
  }
}

Command breaker_list_command() {
  return [](const Session& session) {
    const json::value document = session.client.get("/circuit-breakers");
    session.show(document, [&](const json::object& object) {
      Table table({"BREAKER OF", "STATE", "FAILURES", "OPEN UNTIL"});
      for (const json::value& value : array_of(object, "circuit_breakers")) {
        const json::object& breaker = object_of(value);
        table.add({{text_of(breaker, "service")},
                   state_cell(text_of(breaker, "state")),
                   {std::to_string(static_cast<int>(number_of(breaker, "failures"))) + " of " +
                    std::to_string(static_cast<int>(number_of(breaker, "threshold")))},
                   {short_time(text_of(breaker, "open_until"))}});
      }
      for (const json::value& value : array_of(object, "playbooks")) {
        const json::object& breaker = object_of(value);
        table.add({{"playbook " + text_of(breaker, "playbook")},
                   state_cell(text_of(breaker, "state")),
                   {std::to_string(static_cast<int>(number_of(breaker, "failures_in_row")))},
                   {truth_of(breaker, "demoted") ? "demoted" : "-"}});
        add_open_for_service(table, breaker);
      }
      session.print(table);
    });
    return Exit::Done;
  };
}

Command breaker_reset_command(std::string service, std::string playbook) {
  return [service = std::move(service), playbook = std::move(playbook)](const Session& session) {
    json::object body;
    if (!playbook.empty()) body["playbook"] = playbook;
    const json::value answer = session.client.ask(
        "POST", "/circuit-breakers/" + percent_encoded(service) + "/reset", body);
    return say(
        session, answer,
        "the breaker of " + (playbook.empty() ? service : "playbook " + playbook) + " is closed");
  };
}

Command patterns_list_command() {
  return [](const Session& session) {
    const json::value document = session.client.get("/patterns");
    session.show(document, [&](const json::object& object) {
      Table table({"PATTERN", "CATEGORY", "CLASS", "SEVERITY", "COOLDOWN", "MATCHES"});
      for (const json::value& value : array_of(object, "patterns")) {
        const json::object& pattern = object_of(value);
        table.add({{text_of(pattern, "id"), Tone::Strong},
                   {text_of(pattern, "category")},
                   {text_of(pattern, "class")},
                   state_cell(text_of(pattern, "severity")),
                   {text_of(pattern, "cooldown")},
                   {text_of(pattern, "pattern")}});
      }
      session.print(table);
    });
    return Exit::Done;
  };
}

Command patterns_add_command(PatternWish wish) {
  return [wish = std::move(wish)](const Session& session) {
    json::object body;
    const std::pair<const char*, const std::string*> fields[] = {{"id", &wish.id},
                                                                 {"pattern", &wish.pattern},
                                                                 {"category", &wish.category},
                                                                 {"severity", &wish.severity},
                                                                 {"cooldown", &wish.cooldown}};
    for (const auto& [name, value] : fields) {
      if (!value->empty()) body[name] = *value;
    }
    json::array recovery;
    for (const std::string& action : wish.recovery) {
      recovery.push_back(json::object{{"type", action}});
    }
    if (!recovery.empty()) body["recovery"] = std::move(recovery);
    return say(session, session.client.ask("POST", "/patterns", body),
               "added " + wish.id + "; it is in the configuration and in effect");
  };
}

Command patterns_remove_command(std::string id) {
  return [id = std::move(id)](const Session& session) {
    return say(session, session.client.ask("DELETE", "/patterns/" + percent_encoded(id), {}),
               "removed " + id);
  };
}

Command patterns_test_command(std::string text, std::string pattern) {
  return [text = std::move(text), pattern = std::move(pattern)](const Session& session) {
    json::object body;
    body["text"] = text;
    if (!pattern.empty()) body["pattern"] = pattern;
    const json::value document = session.client.ask("POST", "/patterns/test", body);
    session.show(document, [&](const json::object& object) {
      if (!truth_of(object, "matched")) session.out << "no pattern matches\n";
      if (!pattern.empty() && truth_of(object, "matched")) session.out << "matches\n";
      for (const json::value& value : array_of(object, "patterns")) {
        session.out << text_of(object_of(value), "id") << " matches ("
                    << text_of(object_of(value), "class") << ")\n";
      }
    });
    return truth_of(object_of(document), "matched") ? Exit::Done : Exit::Failed;
  };
}

Command config_get_command(std::string key) {
  return [key = std::move(key)](const Session& session) {
    std::string text = session.client.text("GET", "/configuration");
    if (!key.empty()) {
      const auto value = yaml_value(text, key);
      if (!value) throw Failure(Exit::NoSuchThing, "NO_SUCH_KEY", value.error());
      text = *value;
    }
    if (!text.empty() && text.back() != '\n') text += '\n';
    if (session.json) {
      json::object document;
      document[key.empty() ? "configuration" : "value"] = text;
      session.out << json::serialize(document) << "\n";
    } else {
      session.out << text;
    }
    return Exit::Done;
  };
}

Command config_set_command(const std::string& key, const std::string& value,
                           const std::string& file, ReloadWish wish) {
  return [=](const Session& session) {
    if (!file.empty()) return put_configuration(session, file_text(file), "", wish);
    const Answer now = session.client.send("GET", "/configuration");
    if (now.status >= 400) fail(now);
    const auto edited = with_yaml_value(now.body, key, value);
    if (!edited) throw Failure(Exit::Usage, "CANNOT_EDIT", edited.error());
    return put_configuration(session, *edited, now.tag, wish);
  };
}

Command daemon_reexec_command() {
  return [](const Session& session) {
    const json::value answer = session.client.ask("POST", "/daemon/reexec", {});
    return say(session, answer, dash(text_of(object_of(answer), "summary")));
  };
}

Command config_reload_command(ReloadWish wish) {
  return [=](const Session& session) {
    return tell_reloaded(session, session.client.ask("POST", "/configuration/reload", {}), wish);
  };
}

Command config_history_command(std::string service) {
  return [service = std::move(service)](const Session& session) {
    const json::value document = session.client.get(
        "/configuration/history" +
        (service.empty() ? std::string() : "?service=" + percent_encoded(service)));
    session.show(document, [&](const json::object& object) {
      if (array_of(object, "versions").empty()) session.out << "no version is kept yet\n";
      constexpr std::size_t kIdShown = 12;
      Table table({"VERSION", "TAKEN", "FILES", "SIZE"});
      for (const json::value& value : array_of(object, "versions")) {
        const json::object& version = object_of(value);
        table.add({{text_of(version, "id").substr(0, kIdShown), Tone::Strong},
                   {short_time(text_of(version, "taken_at"))},
                   {std::to_string(static_cast<std::uint64_t>(number_of(version, "files")))},
                   {size_text(number_of(version, "bytes"))}});
      }
      if (!array_of(object, "versions").empty()) session.print(table);
    });
    return Exit::Done;
  };
}

Command config_diff_command(std::string from, std::string to, std::string service) {
  return [=](const Session& session) {
    std::string query;
    for (const auto& [key, value] : {std::pair{"from", from}, {"to", to}, {"service", service}}) {
      if (value.empty()) continue;
      query += (query.empty() ? "?" : "&") + std::string(key) + "=" + percent_encoded(value);
    }
    const json::value document = session.client.get("/configuration/diff" + query);
    session.show(document, [&](const json::object& difference) {
      std::istringstream lines(text_of(difference, "text"));
      for (std::string line; std::getline(lines, line);) session.out << printable(line) << "\n";
    });
    return Exit::Done;
  };
}

}  // namespace recover::apps
