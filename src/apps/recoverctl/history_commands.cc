// events, logs, journal, statistics.
#include <boost/json.hpp>

#include <algorithm>
#include <initializer_list>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "apps/recoverctl/commands.h"

namespace recover::apps {

namespace json = boost::json;

namespace {

constexpr std::chrono::milliseconds kLogInterval{500};

// "?a=b&c=d" of those that are not empty.
std::string query(std::initializer_list<std::pair<std::string_view, std::string_view>> parts) {
  std::string text;
  for (const auto& [name, value] : parts) {
    if (value.empty()) continue;
    text += text.empty() ? '?' : '&';
    text.append(name).append("=").append(percent_encoded(value));
  }
  return text;
}

void show_event(const Session& session, const json::object& event) {
  std::string line = short_time(text_of(event, "time")) + "  ";
  const std::string service = text_of(event, "service");
  line += text_of(event, "type") + "  ";
  if (!service.empty()) line += service + ": ";
  line += text_of(event, "message");
  const std::string actor = text_of(event, "actor");
  if (actor != "recoverd" && !actor.empty()) line += " (by " + actor + ")";
  const std::string recovery = text_of(event, "recovery");
  if (!recovery.empty()) line += " [" + recovery + "]";
  const std::string severity = text_of(event, "severity");
  const Tone tone = severity == "critical" || severity == "high" ? Tone::Bad : Tone::Plain;
  session.out << painted(session.terminal, tone, cut(printable(line), session.terminal.width))
              << "\n";
}

Exit follow_events(const Session& session, const EventWish& wish) {
  const std::string path =
      "/events/stream" + query({{"type", wish.type}, {"service", wish.service}});
  session.client.follow(path, [&](std::string_view line) {
    constexpr std::string_view kData = "data: ";
    if (!line.starts_with(kData)) return true;
    line.remove_prefix(kData.size());
    boost::system::error_code error;
    const json::value event = json::parse(line, error);
    if (error || text_of(object_of(event), "type").empty()) return true;  // "gap", "error"
    if (session.json) {
      session.out << line << "\n" << std::flush;
    } else {
      show_event(session, object_of(event));
      session.out << std::flush;
    }
    return session.out.good();
  });
  return Exit::Done;
}

std::string log_line(const json::object& entry) {
  return text_of(entry, "service") + " | " + printable(text_of(entry, "line"));
}

std::vector<json::object> logs_of(const Session& session, const LogWish& wish) {
  const std::string_view stream = wish.errors ? "stderr" : "";
  const json::value document = session.client.get("/logs" + query({{"service", wish.service},
                                                                   {"level", wish.level},
                                                                   {"last", wish.last},
                                                                   {"lines", wish.lines},
                                                                   {"stream", stream}}));
  std::vector<json::object> logs;
  for (const json::value& value : array_of(object_of(document), "logs")) {
    logs.push_back(object_of(value));
  }
  return logs;
}

// How many of `now` were in `before` already: the longest tail of `before` that begins `now`.
std::size_t overlap(const std::vector<json::object>& before, const std::vector<json::object>& now) {
  const std::size_t most = std::min(before.size(), now.size());
  for (std::size_t length = most; length > 0; --length) {
    if (std::equal(before.end() - static_cast<std::ptrdiff_t>(length), before.end(), now.begin())) {
      return length;
    }
  }
  return 0;
}

// The daemon keeps each service's newest lines; what is new is what follows the overlap.
[[noreturn]] void follow_logs(const Session& session, const LogWish& wish) {
  std::map<std::string, std::vector<json::object>> before;
  while (true) {
    std::map<std::string, std::vector<json::object>> now;
    for (json::object& entry : logs_of(session, wish)) {
      now[text_of(entry, "service")].push_back(std::move(entry));
    }
    for (const auto& [service, lines] : now) {
      for (std::size_t i = overlap(before[service], lines); i < lines.size(); ++i) {
        session.out << (session.json ? json::serialize(lines[i]) : log_line(lines[i])) << "\n";
      }
    }
    session.out << std::flush;
    before = std::move(now);
    std::this_thread::sleep_for(kLogInterval);
  }
}

std::string count_text(const json::object& object, std::string_view name) {
  return std::to_string(static_cast<long long>(number_of(object, name)));
}

}  // namespace

void show_latest_events(const Session& session, int count) {
  const json::value document =
      session.client.get("/events" + query({{"limit", std::to_string(count)}}));
  for (const json::value& event : array_of(object_of(document), "events")) {
    show_event(session, object_of(event));
  }
}

Command events_command(EventWish wish) {
  return [wish = std::move(wish)](const Session& session) {
    if (wish.follow) return follow_events(session, wish);
    const json::value document = session.client.get("/events" + query({{"type", wish.type},
                                                                       {"service", wish.service},
                                                                       {"last", wish.last},
                                                                       {"limit", wish.limit}}));
    session.show(document, [&](const json::object& object) {
      if (array_of(object, "events").empty()) session.out << "no events\n";
      for (const json::value& event : array_of(object, "events")) {
        show_event(session, object_of(event));
      }
    });
    return Exit::Done;
  };
}

Command logs_command(LogWish wish) {
  return [wish = std::move(wish)](const Session& session) {
    if (wish.follow) follow_logs(session, wish);
    const std::vector<json::object> logs = logs_of(session, wish);
    if (session.json) {
      json::object document;
      document["logs"] = json::array(logs.begin(), logs.end());
      session.out << json::serialize(document) << "\n";
      return Exit::Done;
    }
    for (const json::object& entry : logs) session.out << log_line(entry) << "\n";
    return Exit::Done;
  };
}

Command journal_verify_command() {
  return [](const Session& session) {
    const json::value document = session.client.get("/journal/verify");
    const bool whole = truth_of(object_of(document), "whole");
    session.show(document, [&](const json::object& object) {
      if (whole) {
        session.out << "the chain of " << count_text(object, "entries") << " entries is whole\n";
      } else {
        session.out
            << "the chain is BROKEN at entry " << count_text(object, "broken_at") << ": "
            << printable(text_of(object, "message"))
            << "\nWhat follows cannot be trusted as evidence; keep a copy of the journal.\n";
      }
    });
    return whole ? Exit::Done : Exit::Failed;
  };
}

Command statistics_command() {
  return [](const Session& session) {
    const json::value document = session.client.get("/statistics");
    session.show(document, [&](const json::object& object) {
      const json::object& recoveries = object_of(*object.if_contains("recoveries"));
      const json::object& incidents = object_of(*object.if_contains("incidents"));
      session.out << "incidents:  " << count_text(incidents, "total") << ", open "
                  << count_text(incidents, "open") << "\n"
                  << "recoveries: " << count_text(recoveries, "total") << ", succeeded "
                  << count_text(recoveries, "succeeded") << ", rolled back "
                  << count_text(recoveries, "rolled_back") << ", failed "
                  << count_text(recoveries, "failed") << ", escalated "
                  << count_text(recoveries, "escalated") << "\n";
      if (array_of(object, "outcomes").empty()) return;
      Table table({"SERVICE", "CLASS", "SYMPTOM", "PLAYBOOK", "SUCCEEDED", "FAILED"});
      for (const json::value& value : array_of(object, "outcomes")) {
        const json::object& row = object_of(value);
        table.add({{text_of(row, "service")},
                   {text_of(row, "class")},
                   {text_of(row, "symptom")},
                   {text_of(row, "playbook")},
                   {count_text(row, "succeeded")},
                   {count_text(row, "failed")}});
      }
      session.out << "\n";
      session.print(table);
    });
    return Exit::Done;
  };
}

}  // namespace recover::apps
