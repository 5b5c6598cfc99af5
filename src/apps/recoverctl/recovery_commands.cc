// incidents, recoveries, explain, recover, approve, reject.
#include <boost/json.hpp>

#include <array>
#include <cstdio>
#include <thread>
#include <utility>

#include "apps/recoverctl/commands.h"

namespace recover::apps {

namespace json = boost::json;

namespace {

constexpr std::chrono::milliseconds kRecoveryPoll{200};

std::string duration_text(const json::object& object) {
  const json::value* value = object.if_contains("duration_ms");
  if (value == nullptr || !value->is_number()) return "-";
  const double ms = value->to_number<double>();
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), ms < 1'000 ? "%.0fms" : "%.1fs",
                ms < 1'000 ? ms : ms / 1'000);
  return text.data();
}

std::string rto_text(const json::object& recovery) {
  const json::value* met = recovery.if_contains("rto_met");
  if (met == nullptr || !met->is_bool()) return "-";
  return met->get_bool() ? "met" : "missed";
}

void show_incident(const Session& session, const json::object& incident) {
  session.out << painted(session.terminal, Tone::Strong, text_of(incident, "id")) << " of "
              << text_of(incident, "service") << " is " << session.paint(text_of(incident, "state"))
              << "\n"
              << "class:      " << text_of(incident, "class") << " (severity "
              << session.paint(text_of(incident, "severity")) << ")\n"
              << "symptoms:   " << joined(array_of(incident, "symptoms")) << "\n"
              << "cause:      " << printable(dash(text_of(incident, "cause"))) << "\n"
              << "opened:     " << short_time(text_of(incident, "opened_at")) << " UTC\n"
              << "closed:     " << short_time(text_of(incident, "closed_at")) << "\n"
              << "recoveries: " << joined(array_of(incident, "recoveries")) << "\n";
  if (!text_of(incident, "suppressed_by").empty()) {
    session.out << "waits for:  " << text_of(incident, "suppressed_by") << "\n";
  }
}

void show_reasons(const Session& session, const json::array& reasons) {
  if (reasons.empty()) return;
  Table table({"RULE", "VERDICT", "DETAIL"});
  table.ends_in_prose();
  for (const json::value& value : reasons) {
    const json::object& reason = object_of(value);
    table.add({{text_of(reason, "rule")},
               state_cell(text_of(reason, "verdict")),
               {text_of(reason, "detail")}});
  }
  session.out << "\n";
  session.print(table);
}

void show_steps(const Session& session, const std::string& title, const json::array& steps) {
  if (steps.empty()) return;
  Table table({title, "ACTION", "STATE", "TRIES", "TOOK", "OUTPUT"});
  table.ends_in_prose();
  for (const json::value& value : steps) {
    const json::object& step = object_of(value);
    table.add({{text_of(step, "name")},
               {text_of(step, "action")},
               state_cell(text_of(step, "state")),
               {std::to_string(static_cast<int>(number_of(step, "attempts")))},
               {duration_text(step)},
               {text_of(step, "output")}});
  }
  session.out << "\n";
  session.print(table);
}

void show_validation(const Session& session, const json::array& criteria) {
  if (criteria.empty()) return;
  Table table({"CRITERION", "MET", "OBSERVED"});
  table.ends_in_prose();
  for (const json::value& value : criteria) {
    const json::object& criterion = object_of(value);
    table.add({{text_of(criterion, "criterion")},
               state_cell(truth_of(criterion, "met") ? "yes" : "no"),
               {text_of(criterion, "observed")}});
  }
  session.out << "\n";
  session.print(table);
}

bool has_ended(const std::string& state) {
  return !state.empty() && state != "planned" && state != "awaiting_approval" &&
         state != "checkpointing" && state != "running" && state != "validating" &&
         state != "rolling_back";
}

Exit show_outcome(const Session& session, const json::value& document, const std::string& state) {
  if (!session.json) session.err << text_of(object_of(document), "id") << ": " << state << "\n";
  session.show(document, [&](const json::object& object) { show_recovery(session, object); });
  return state == "succeeded" || state == "shadow" ? Exit::Done : Exit::Failed;
}

void tell_state(const Session& session, const std::string& id, const std::string& state) {
  if (session.json) return;
  session.err << id << ": " << state << "\n";
  if (state != "awaiting_approval") return;
  session.err << "  decide with `recoverctl approve " << id << "` or `recoverctl reject " << id
              << "`\n";
}

// Polls the recovery until it has ended; shows each state on the way.
Exit wait_for(const Session& session, const std::string& id, std::chrono::seconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  std::string shown;
  while (true) {
    const Answer answer = session.client.send("GET", "/recoveries/" + percent_encoded(id));
    boost::system::error_code error;
    const json::value document = json::parse(answer.body, error);
    // 404 at first: the daemon has not got round to the wish yet.
    const std::string state = answer.status == 200 ? text_of(object_of(document), "state") : "";
    if (has_ended(state)) return show_outcome(session, document, state);
    if (!state.empty() && state != shown) tell_state(session, id, state);
    if (!state.empty()) shown = state;
    if (std::chrono::steady_clock::now() >= deadline) {
      throw Failure(Exit::Failed, "TIMEOUT", id + " has not ended yet",
                    "Go on watching with `recoverctl --watch recoveries " + id + "`.");
    }
    std::this_thread::sleep_for(kRecoveryPoll);
  }
}

Exit dry_run(const Session& session, const json::object& body) {
  const json::value document = session.client.ask("POST", "/test", body);
  const bool would_run = truth_of(object_of(document), "would_run");
  session.show(document, [&](const json::object& test) {
    const json::object& plan = object_of(*test.if_contains("plan"));
    session.out << "dry run: " << text_of(plan, "playbook") << " on " << text_of(plan, "service")
                << (would_run ? " would run"
                              : " would be refused by the rule " + text_of(test, "refused_by"))
                << "\n\n";
    Table table({"STEP", "ACTION", "RISK"});
    for (const json::value& value : array_of(test, "steps")) {
      const json::object& step = object_of(value);
      table.add({{text_of(step, "name")}, {text_of(step, "action")}, {text_of(step, "risk")}});
    }
    session.print(table);
    show_reasons(session, array_of(plan, "reasons"));
  });
  return would_run ? Exit::Done : Exit::Refused;
}

std::string recovery_path(const std::string& id) {
  return "/recoveries/" + percent_encoded(id);
}

void show_incidents(const Session& session, const json::array& incidents) {
  if (incidents.empty()) {
    session.out << "no incidents\n";
    return;
  }
  Table table({"INCIDENT", "SERVICE", "STATE", "SEVERITY", "CLASS", "OPENED", "CAUSE"});
  table.ends_in_prose();
  for (const json::value& value : incidents) {
    const json::object& incident = object_of(value);
    table.add({{text_of(incident, "id"), Tone::Strong},
               {text_of(incident, "service")},
               state_cell(text_of(incident, "state")),
               state_cell(text_of(incident, "severity")),
               {text_of(incident, "class")},
               {short_time(text_of(incident, "opened_at"))},
               {text_of(incident, "cause")}});
  }
  session.print(table);
}

void show_recoveries(const Session& session, const json::array& recoveries) {
  if (recoveries.empty()) {
    session.out << "no recoveries\n";
    return;
  }
  Table table({"RECOVERY", "INCIDENT", "SERVICE", "STATE", "PLAYBOOK", "STARTED", "TOOK", "RTO"});
  for (const json::value& value : recoveries) {
    const json::object& recovery = object_of(value);
    table.add({{text_of(recovery, "id"), Tone::Strong},
               {dash(text_of(recovery, "incident"))},
               {text_of(recovery, "service")},
               state_cell(text_of(recovery, "state")),
               {text_of(recovery, "playbook")},
               {short_time(text_of(recovery, "started_at"))},
               {duration_text(recovery)},
               state_cell(rto_text(recovery))});
  }
  session.print(table);
}

}  // namespace

void show_recovery(const Session& session, const json::object& recovery) {
  session.out << painted(session.terminal, Tone::Strong, text_of(recovery, "id")) << " of "
              << text_of(recovery, "service") << " is " << session.paint(text_of(recovery, "state"))
              << "\n"
              << "playbook:   " << text_of(recovery, "playbook") << " (mode "
              << text_of(recovery, "mode") << ")\n"
              << "incident:   " << dash(text_of(recovery, "incident")) << "\n"
              << "checkpoint: " << dash(text_of(recovery, "checkpoint")) << "\n"
              << "started:    " << short_time(text_of(recovery, "started_at")) << " UTC, took "
              << duration_text(recovery) << ", RTO " << rto_text(recovery) << "\n";
  show_steps(session, "STEP", array_of(recovery, "steps"));
  show_validation(session, array_of(recovery, "validation"));
  show_steps(session, "ROLLBACK", array_of(recovery, "rollback"));
  show_reasons(session, array_of(recovery, "reasons"));
}

Command incidents_command(std::string id) {
  return [id = std::move(id)](const Session& session) {
    const json::value document =
        session.client.get(id.empty() ? "/incidents" : "/incidents/" + percent_encoded(id));
    session.show(document, [&](const json::object& object) {
      if (!id.empty()) return show_incident(session, object);
      show_incidents(session, array_of(object, "incidents"));
    });
    return Exit::Done;
  };
}

Command recoveries_command(std::string id) {
  return [id = std::move(id)](const Session& session) {
    const json::value document = session.client.get(id.empty() ? "/recoveries" : recovery_path(id));
    session.show(document, [&](const json::object& object) {
      if (!id.empty()) return show_recovery(session, object);
      show_recoveries(session, array_of(object, "recoveries"));
    });
    return Exit::Done;
  };
}

Command explain_command(std::string id) {
  return [id = std::move(id)](const Session& session) {
    const json::value document = session.client.get(recovery_path(id) + "/explain");
    session.show(document, [&](const json::object& object) { show_explanation(session, object); });
    return Exit::Done;
  };
}

Command recover_command(RecoverWish wish) {
  return [wish = std::move(wish)](const Session& session) {
    json::object body;
    body["service"] = wish.service;
    if (!wish.playbook.empty()) body["playbook"] = wish.playbook;
    if (wish.dry_run) return dry_run(session, body);
    body.erase("service");
    const json::value accepted =
        session.client.ask("POST", "/services/" + percent_encoded(wish.service) + "/recover", body);
    const std::string id = text_of(object_of(accepted), "recovery");
    if (wish.wait) return wait_for(session, id, wish.timeout);
    session.show(accepted, [&](const json::object& object) {
      session.out << id << ": " << text_of(object, "playbook") << " on " << wish.service << " is "
                  << text_of(object, "state") << "; follow it with `recoverctl recoveries " << id
                  << "`, understand it with `recoverctl explain " << id << "`\n";
    });
    return Exit::Done;
  };
}

Command approve_command(std::string id, std::string comment) {
  return [id = std::move(id), comment = std::move(comment)](const Session& session) {
    const json::value recovery = session.client.get(recovery_path(id));
    if (!session.json) {
      session.out << "approving this plan:\n";
      show_recovery(session, object_of(recovery));
    }
    json::object body;
    body["plan_hash"] = text_of(object_of(recovery), "plan_hash");
    if (!comment.empty()) body["comment"] = comment;
    const json::value accepted = session.client.ask("POST", recovery_path(id) + "/approve", body);
    session.show(accepted, [&](const json::object&) {
      session.out << "\n" << id << " approved\n";
    });
    return Exit::Done;
  };
}

Command reject_command(std::string id, std::string comment) {
  return [id = std::move(id), comment = std::move(comment)](const Session& session) {
    json::object body;
    if (!comment.empty()) body["comment"] = comment;
    const json::value accepted = session.client.ask("POST", recovery_path(id) + "/reject", body);
    session.show(accepted, [&](const json::object&) { session.out << id << " rejected\n"; });
    return Exit::Done;
  };
}

}  // namespace recover::apps
