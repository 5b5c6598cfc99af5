// checkpoint create, list, show, restore, prune.
#include <boost/json.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "apps/recoverctl/commands.h"

namespace recover::apps {

namespace json = boost::json;

namespace {

using Steady = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kCheckpointPoll{100};

std::string service_query(const std::string& service) {
  return service.empty() ? "" : "?service=" + percent_encoded(service);
}

// Whether an event's message is about that name: "web: NAME", or "web: NAME: and more".
bool is_about(const std::string& message, const std::string& service, const std::string& name) {
  const std::string begin = service + ": " + name;
  return message == begin || message.starts_with(begin + ": ");
}

// The first event that tells how the request for `service` ended; null: none yet.
json::value told_of(const json::object& events, const std::string& service, const std::string& name,
                    bool restore) {
  for (const json::value& value : array_of(events, "events")) {
    const json::object& event = object_of(value);
    const std::string type = text_of(event, "type");
    const bool fits = restore ? type == "checkpoint:restored" || type == "checkpoint:restore_failed"
                              : type == "checkpoint:taken" || type == "checkpoint:failed";
    if (fits && text_of(event, "service") == service &&
        is_about(text_of(event, "message"), service, name)) {
      return value;
    }
  }
  return nullptr;
}

json::value await_told(const Session& session, const json::object& accepted,
                       const std::string& service, bool restore, Steady::time_point deadline) {
  const std::string name = text_of(accepted, "name");
  while (true) {
    const json::value events = session.client.get(text_of(accepted, "poll"));
    json::value told = told_of(object_of(events), service, name, restore);
    if (told.is_object()) return told;
    if (Steady::now() >= deadline) {
      throw Failure(Exit::Failed, "TIMEOUT",
                    service + ": " + name + " is not over yet; it may still end well",
                    "See `recoverctl events --type checkpoint: --service " + service + "`.");
    }
    std::this_thread::sleep_for(kCheckpointPoll);
  }
}

// Waits for each service's outcome, one line each; a failed one ends it with exit 1.
json::array await_all(const Session& session, const json::object& accepted, bool restore,
                      std::chrono::seconds timeout) {
  const auto deadline = Steady::now() + timeout;
  json::array outcomes;
  std::string failed;
  for (const json::value& value : array_of(accepted, "services")) {
    const std::string service = value.as_string().c_str();
    if (session.terminal.tty && !session.json) {
      session.err << service << ": " << (restore ? "restoring " : "taking ")
                  << text_of(accepted, "name") << "\n";
    }
    const json::value told = await_told(session, accepted, service, restore, deadline);
    const json::object& event = object_of(told);
    if (text_of(event, "type").ends_with("failed")) {
      failed += (failed.empty() ? "" : "\n") + text_of(event, "message");
    }
    outcomes.emplace_back(told);
  }
  if (failed.empty()) return outcomes;
  throw Failure(Exit::Failed, "CHECKPOINT_FAILED",
                restore ? "not restored: " + failed : "not taken: " + failed);
}

std::string names_of(const json::object& checkpoint) {
  return joined(array_of(checkpoint, "names"));
}

void show_checkpoints(const Session& session, const json::array& checkpoints) {
  if (checkpoints.empty()) {
    session.out << "no checkpoints; `recoverctl checkpoint create NAME` takes one\n";
    return;
  }
  constexpr std::size_t kIdShown = 12;
  Table table({"CHECKPOINT", "SERVICE", "TAKEN", "SIZE", "KIND", "GOOD", "NAMES"});
  for (const json::value& value : checkpoints) {
    const json::object& checkpoint = object_of(value);
    const bool good = truth_of(checkpoint, "last_good");
    table.add({{text_of(checkpoint, "id").substr(0, kIdShown), Tone::Strong},
               {text_of(checkpoint, "service")},
               {short_time(text_of(checkpoint, "taken_at"))},
               {size_text(number_of(checkpoint, "bytes"))},
               {text_of(checkpoint, "kind")},
               {good ? "*" : "", Tone::Good},
               {names_of(checkpoint)}});
  }
  session.print(table);
}

void show_checkpoint(const Session& session, const json::object& checkpoint) {
  session.out << painted(session.terminal, Tone::Strong, text_of(checkpoint, "id")) << " of "
              << text_of(checkpoint, "service") << "\n"
              << "names: " << names_of(checkpoint)
              << (truth_of(checkpoint, "last_good") ? " (what a recovery would restore)" : "")
              << "\n"
              << "kind:  " << text_of(checkpoint, "kind") << "\n"
              << "taken: " << short_time(text_of(checkpoint, "taken_at")) << " UTC\n"
              << "holds: " << static_cast<std::uint64_t>(number_of(checkpoint, "files"))
              << " files, " << size_text(number_of(checkpoint, "bytes")) << "\n\n";
  Table table({"SIZE", "PATH"});
  for (const json::value& value : array_of(checkpoint, "paths")) {
    table.add(
        {{size_text(number_of(object_of(value), "size"))}, {text_of(object_of(value), "path")}});
  }
  session.print(table);
}

}  // namespace

Command checkpoint_create_command(CheckpointWish wish) {
  return [wish = std::move(wish)](const Session& session) {
    json::object body;
    body["name"] = wish.name;
    if (!wish.service.empty()) body["service"] = wish.service;
    const json::value answer = session.client.ask("POST", "/checkpoints", body);
    const json::object& accepted = object_of(answer);
    if (!wish.wait) {
      session.show(answer, [&](const json::object&) {
        session.out << "accepted; see `recoverctl checkpoint list`\n";
      });
      return Exit::Done;
    }
    await_all(session, accepted, false, wish.timeout);
    json::array taken;
    for (const json::value& service : array_of(accepted, "services")) {
      taken.push_back(session.client.get("/checkpoints/" + percent_encoded(wish.name) +
                                         service_query(service.as_string().c_str())));
    }
    json::object document;
    document["checkpoints"] = std::move(taken);
    session.show(document, [&](const json::object& object) {
      for (const json::value& value : array_of(object, "checkpoints")) {
        const json::object& one = object_of(value);
        session.out << "checkpoint " << wish.name << " of " << text_of(one, "service")
                    << " is taken: " << static_cast<std::uint64_t>(number_of(one, "files"))
                    << " files, " << size_text(number_of(one, "bytes")) << "\n";
      }
    });
    return Exit::Done;
  };
}

Command checkpoint_list_command(std::string service) {
  return [service = std::move(service)](const Session& session) {
    const json::value document = session.client.get("/checkpoints" + service_query(service));
    session.show(document, [&](const json::object& object) {
      show_checkpoints(session, array_of(object, "checkpoints"));
    });
    return Exit::Done;
  };
}

Command checkpoint_show_command(const std::string& id, const std::string& service) {
  return [=](const Session& session) {
    const json::value document =
        session.client.get("/checkpoints/" + percent_encoded(id) + service_query(service));
    session.show(document, [&](const json::object& object) { show_checkpoint(session, object); });
    return Exit::Done;
  };
}

Command checkpoint_restore_command(CheckpointWish wish) {
  return [wish = std::move(wish)](const Session& session) {
    json::object body;
    if (!wish.service.empty()) body["service"] = wish.service;
    const json::value answer =
        session.client.ask("POST", "/checkpoints/" + percent_encoded(wish.name) + "/restore", body);
    const json::object& accepted = object_of(answer);
    const std::string service = text_of(accepted, "service");
    if (!wish.wait) {
      session.show(answer, [&](const json::object&) {
        session.out << "accepted; see `recoverctl events --type checkpoint:`\n";
      });
      return Exit::Done;
    }
    const json::array outcomes = await_all(session, accepted, true, wish.timeout);
    json::object document;
    document["restored"] = true;
    document["service"] = service;
    document["checkpoint"] = text_of(accepted, "name");
    document["detail"] = outcomes.empty() ? "" : text_of(object_of(outcomes.front()), "message");
    session.show(document, [&](const json::object& object) {
      session.out << printable(text_of(object, "detail")) << "\n"
                  << "The files are back; `recoverctl restart " << service
                  << "` makes it run on them.\n";
    });
    return Exit::Done;
  };
}

Command checkpoint_prune_command() {
  return [](const Session& session) {
    const json::value answer = session.client.ask("POST", "/checkpoints/prune", {});
    session.show(answer, [&](const json::object& object) {
      session.out << static_cast<std::uint64_t>(number_of(object, "removed"))
                  << " checkpoint(s) removed\n";
    });
    return Exit::Done;
  };
}

}  // namespace recover::apps
