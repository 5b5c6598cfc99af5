// What happened: events, statistics, captured output, resources, the journal's chain.
#include <boost/json.hpp>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <limits>
#include <string>
#include <utility>

#include "api/handlers.h"
#include "api/json_response.h"
#include "api/problem.h"
#include "api/shapes.h"
#include "api/times.h"

namespace recover::api {

namespace json = boost::json;

namespace {

constexpr std::size_t kEventsDefault = 100;
constexpr std::size_t kEventsMax = 1'000;
constexpr std::size_t kLinesDefault = 200;
constexpr std::size_t kLinesMax = 5'000;

Response bad_parameter(std::string_view name, std::string_view wanted) {
  return problem(kBadRequest, "BAD_REQUEST",
                 "?" + std::string(name) + "= must be " + std::string(wanted));
}

// Error: the 400. `fallback` when the parameter is not there.
Result<std::uint64_t, Response> number_of(const Request& request, std::string_view name,
                                          std::uint64_t fallback, std::uint64_t max) {
  const std::string_view text = request.parameter(name);
  if (text.empty()) return fallback;
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    return Unexpected<Response>(bad_parameter(name, "a number"));
  }
  return std::min(value, max);
}

// ?last=1h: since then. Nothing when it is not there.
Result<std::optional<std::int64_t>, Response> since_of(const Backend& backend,
                                                       const Request& request) {
  const std::string_view last = request.parameter("last");
  if (last.empty()) return std::optional<std::int64_t>();
  const auto duration = parse_duration(last);
  if (!duration) return Unexpected<Response>(bad_parameter("last", "a duration such as 1h"));
  return std::optional(backend.wall_ns(backend.now()) - duration->count());
}

Result<std::optional<ports::EntryKind>, Response> kind_of(const Request& request) {
  using Kind = std::optional<ports::EntryKind>;
  const std::string_view text = request.parameter("kind");
  if (text.empty()) return Kind(ports::EntryKind::Notice);
  if (text == "all") return Kind();
  for (const auto kind :
       {ports::EntryKind::Event, ports::EntryKind::Notice, ports::EntryKind::Command,
        ports::EntryKind::Policy, ports::EntryKind::Snapshot}) {
    if (text == to_string(kind)) return Kind(kind);
  }
  return Unexpected<Response>(
      bad_parameter("kind", "notice, event, command, policy, snapshot or all"));
}

Result<ports::Filter, Response> filter_of(const Backend& backend, const Request& request) {
  ports::Filter filter;
  filter.type = request.parameter("type");
  filter.service = request.parameter("service");
  const auto after = number_of(request, "after", 0, std::numeric_limits<std::int64_t>::max());
  if (!after) return Unexpected<Response>(after.error());
  const auto limit = number_of(request, "limit", kEventsDefault, kEventsMax);
  if (!limit) return Unexpected<Response>(limit.error());
  const auto since = since_of(backend, request);
  if (!since) return Unexpected<Response>(since.error());
  const auto kind = kind_of(request);
  if (!kind) return Unexpected<Response>(kind.error());
  filter.after = *after;
  filter.oldest = !request.parameter("after").empty();  // Read on from there, page by page.
  filter.limit = *limit;
  filter.since_wall_ns = *since;
  filter.kind = *kind;
  if (const auto id = parse_recovery(request.parameter("recovery"))) filter.recovery = id->value;
  if (const auto id = parse_incident(request.parameter("incident"))) filter.incident = id->value;
  return filter;
}

struct RecoveryCounts {
  std::array<std::size_t, core::kRecoveryStateCount> by_state{};
  std::size_t rto_met = 0;
  std::size_t rto_missed = 0;
  std::size_t timed = 0;
  Duration total{};
};

RecoveryCounts count_recoveries(const core::State& state) {
  RecoveryCounts counts;
  for (const auto& [id, recovery] : state.recoveries) {
    ++counts.by_state.at(static_cast<std::size_t>(recovery.state));
    if (recovery.rto_met) ++(*recovery.rto_met ? counts.rto_met : counts.rto_missed);
    if (recovery.state != core::RecoveryState::Succeeded) continue;
    ++counts.timed;
    counts.total += recovery.ended_at - recovery.started_at;
  }
  return counts;
}

json::object recoveries_json(const core::State& state) {
  const RecoveryCounts counts = count_recoveries(state);
  json::object object;
  object["total"] = state.recoveries.size();
  for (std::size_t i = 0; i < counts.by_state.size(); ++i) {
    object[core::to_string(static_cast<core::RecoveryState>(i))] = counts.by_state.at(i);
  }
  object["rto_met"] = counts.rto_met;
  object["rto_missed"] = counts.rto_missed;
  object["mean_duration_ms"] =
      counts.timed == 0
          ? json::value(nullptr)
          : json::value(counts.total.count() / static_cast<std::int64_t>(counts.timed) / 1'000'000);
  return object;
}

json::object incidents_json(const core::State& state) {
  std::array<std::size_t, core::kFailureClassCount> counts{};
  std::size_t open = 0;
  for (const auto& [id, incident] : state.incidents) {
    ++counts.at(static_cast<std::size_t>(incident.failure));
    open += incident.closed_at == kNever ? 1U : 0U;
  }
  json::object classes;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts.at(i) == 0) continue;
    classes[core::to_string(static_cast<core::FailureClass>(i))] = counts.at(i);
  }
  json::object object;
  object["total"] = state.incidents.size();
  object["open"] = open;
  object["by_class"] = std::move(classes);
  return object;
}

json::array outcomes_json(const core::Engine& engine) {
  json::array array;
  for (const auto& [signature, outcomes] : engine.state().outcomes) {
    json::object object;
    object["service"] = service_name(engine.policy(), signature.service);
    object["class"] = core::to_string(signature.failure);
    object["symptom"] = core::to_string(signature.symptom);
    object["playbook"] = playbook_name(engine.policy(), signature.playbook);
    object["succeeded"] = outcomes.succeeded;
    object["failed"] = outcomes.failed;
    array.push_back(std::move(object));
  }
  return array;
}

bool contains_word(std::string_view line, std::string_view word) {
  const auto same = [](char a, char b) {
    return std::toupper(static_cast<unsigned char>(a)) ==
           std::toupper(static_cast<unsigned char>(b));
  };
  return std::search(line.begin(), line.end(), word.begin(), word.end(), same) != line.end();
}

// The time a line begins with; captured output has no other.
std::optional<std::int64_t> time_of_line(std::string_view line) {
  constexpr std::size_t kLongest = 35;  // With nanoseconds and an offset.
  const auto word = line.substr(0, std::min(line.find(' '), kLongest));
  return parse_rfc3339(word);
}

struct LineFilter {
  std::string level;
  std::optional<std::int64_t> since;
};

void add_lines(json::array& logs, const std::string& service, const std::vector<std::string>& lines,
               const LineFilter& filter) {
  bool recent = true;  // A line without a time is as recent as the one before.
  for (const std::string& line : lines) {
    const auto time = time_of_line(line);
    if (time && filter.since) recent = *time >= *filter.since;
    if (!recent || !contains_word(line, filter.level)) continue;
    json::object object;
    object["service"] = service;
    object["time"] = time ? json::value(rfc3339(*time)) : json::value(nullptr);
    object["line"] = line;
    logs.push_back(std::move(object));
  }
}

Response verified_response(const Verified& verified) {
  if (!verified) return problem(500, "JOURNAL_UNREADABLE", verified.error().message);
  json::object body;
  body["whole"] = verified->broken_at == 0;
  body["entries"] = verified->entries;
  body["broken_at"] =
      verified->broken_at == 0 ? json::value(nullptr) : json::value(verified->broken_at);
  body["message"] = verified->message;
  return json_response(body);
}

}  // namespace

std::uint64_t newest_sequence(const Backend& backend) {
  ports::Filter newest;
  newest.limit = 1;
  const auto found = backend.journal->find(newest);
  return found && !found->empty() ? found->back().sequence : 0;
}

Response list_events(const Backend& backend, const Request& request) {
  const auto filter = filter_of(backend, request);
  if (!filter) return filter.error();
  const auto rows = backend.journal->find(*filter);
  if (!rows) return problem(500, "JOURNAL_UNREADABLE", rows.error().message);
  json::array events;
  for (const ports::StoredEntry& row : *rows) events.push_back(event_json(row));
  json::object body;
  body["events"] = std::move(events);
  body["next_after"] = rows->empty() ? filter->after : rows->back().sequence;
  return json_response(body);
}

Response get_statistics(const Backend& backend, const Request& /*request*/) {
  const core::Engine& engine = backend.engine();
  json::object body;
  body["services"] = engine.state().services.size();
  body["incidents"] = incidents_json(engine.state());
  body["recoveries"] = recoveries_json(engine.state());
  body["recoveries_last_hour"] = engine.state().recoveries_started.size();
  body["recoveries_per_hour_max"] = engine.policy().safety.max_recoveries_per_hour;
  body["outcomes"] = outcomes_json(engine);
  return json_response(body);
}

Response get_logs(const Backend& backend, const Request& request) {
  if (!backend.tail) return not_available("captured output");
  const auto lines = number_of(request, "lines", kLinesDefault, kLinesMax);
  if (!lines) return lines.error();
  const auto since = since_of(backend, request);
  if (!since) return since.error();
  const std::string_view stream = request.parameter("stream");
  if (!stream.empty() && stream != "stderr") return bad_parameter("stream", "stderr, or not given");
  const auto& tail = stream.empty() ? backend.tail : backend.error_tail;
  if (!tail) return not_available("captured output");
  const LineFilter filter{std::string(request.parameter("level")), *since};
  const core::Policy& policy = backend.engine().policy();
  const std::string_view wanted = request.parameter("service");
  if (!wanted.empty()) {
    const auto service = service_named(backend, wanted);
    if (!service) return service.error();
  }
  json::array logs;
  for (std::uint32_t i = 0; i < policy.services.size(); ++i) {
    const std::string& name = policy.services[i].name;
    if (!wanted.empty() && name != wanted) continue;
    add_lines(logs, name, tail(core::ServiceIndex{i}, *lines), filter);
  }
  json::object body;
  body["logs"] = std::move(logs);
  return json_response(body);
}

Response get_resources(const Backend& backend, const Request& /*request*/) {
  if (!backend.resources) return not_available("the resource monitor");
  json::array resources;
  for (const ResourceReading& reading : backend.resources()) {
    json::object object;
    object["what"] = reading.what;
    object["ratio"] = reading.ratio;
    object["level"] = reading.level;
    resources.push_back(std::move(object));
  }
  json::object body;
  body["resources"] = std::move(resources);
  return json_response(body);
}

void verify_journal(const Backend& backend, const Request& /*request*/, Reply reply) {
  if (!backend.verify) {
    reply(verified_response(backend.journal->verify()));
    return;
  }
  backend.verify(
      [reply = std::move(reply)](const Verified& verified) { reply(verified_response(verified)); });
}

}  // namespace recover::api
