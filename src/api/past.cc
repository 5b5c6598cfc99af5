#include "api/past.h"

#include <boost/json.hpp>

#include <algorithm>
#include <utility>

#include "api/json_response.h"
#include "api/problem.h"
#include "api/shapes.h"
#include "api/times.h"

namespace recover::api {

namespace json = boost::json;

namespace {

std::string body_text(const json::object& event, std::string_view key) {
  const json::value* value = event.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->as_string().c_str())
                                                : std::string();
}

// A notice's reasons as rows, but those already told.
void tell_reasons(Chain& chain, const ports::Entry& entry, const json::object& data,
                  const std::set<std::string>& told) {
  const json::value* reasons = data.if_contains("reasons");
  if (reasons == nullptr || !reasons->is_array()) return;
  for (const json::value& value : reasons->get_array()) {
    if (!value.is_object()) continue;
    ExplanationRow row{entry.at,
                       entry.wall_ns,
                       "reason",
                       body_text(value.get_object(), "detail"),
                       body_text(value.get_object(), "rule"),
                       body_text(value.get_object(), "verdict")};
    if (!told.contains(row.rule + row.text)) chain.push_back(std::move(row));
  }
}

ports::Filter notices_about(std::uint64_t recovery, std::uint64_t incident) {
  ports::Filter filter;
  filter.kind = ports::EntryKind::Notice;
  filter.limit = kExplainEntriesMax;
  if (recovery != 0) filter.recovery = recovery;
  if (incident != 0) filter.incident = incident;
  return filter;
}

}  // namespace

void Sayings::hear(const ports::StoredEntry& row, const json::object& event) {
  const std::string message = body_text(event, "message");
  const bool moves = row.entry.recovery != 0 && row.entry.type == "recovery:action";
  const auto colon = moves ? message.find(": ") : std::string::npos;
  if (colon != std::string::npos) {
    entered_.emplace(message.substr(0, colon), row.entry.at);
    say(message.substr(colon + 2), row.entry.at);
  }
  // The reasons a recovery ends with are all of its reasons: too late for most.
  if (row.entry.recovery != 0 && row.entry.type != "recovery:planned") return;
  const json::value* data = event.if_contains("data");
  if (data == nullptr || !data->is_object()) return;
  const json::value* reasons = data->get_object().if_contains("reasons");
  if (reasons == nullptr || !reasons->is_array()) return;
  for (const json::value& reason : reasons->get_array()) {
    if (reason.is_object()) say(body_text(reason.get_object(), "detail"), row.entry.at);
  }
}

void tell_entry(Chain& chain, const ports::StoredEntry& stored, const std::set<std::string>& told) {
  const json::object event = event_json(stored);
  const std::string actor = body_text(event, "actor");
  std::string text = body_text(event, "message");
  if (text.empty()) text = stored.entry.type;
  if (!actor.empty() && actor != "recoverd") text += " (by " + actor + ")";
  if (!told.contains(text)) {
    chain.push_back({stored.entry.at, stored.entry.wall_ns, "event", text, {}, {}});
  }
  if (const json::value* data = event.if_contains("data"); data != nullptr && data->is_object()) {
    tell_reasons(chain, stored.entry, data->get_object(), told);
  }
}

Result<std::vector<ports::StoredEntry>, Response> entries_of(const Backend& backend,
                                                             std::uint64_t recovery,
                                                             std::uint64_t incident) {
  std::vector<ports::StoredEntry> rows;
  std::set<std::uint64_t> seen;
  std::vector<ports::Filter> filters;
  if (incident != 0) filters.push_back(notices_about(0, incident));
  if (recovery != 0) filters.push_back(notices_about(recovery, 0));
  for (const ports::Filter& filter : filters) {
    auto found = backend.journal->find(filter);
    if (!found) {
      return Unexpected<Response>(problem(500, "JOURNAL_UNREADABLE", found.error().message));
    }
    for (ports::StoredEntry& row : *found) {
      // The incident's other recoveries have their own chains.
      if (row.entry.recovery != 0 && row.entry.recovery != recovery) continue;
      if (seen.insert(row.sequence).second) rows.push_back(std::move(row));
    }
  }
  std::sort(rows.begin(), rows.end(),
            [](const auto& a, const auto& b) { return a.sequence < b.sequence; });
  return rows;
}

Result<Explanation, Response> from_journal(const Backend& backend, core::RecoveryId id) {
  auto own = entries_of(backend, id.value, 0);
  if (!own) return Unexpected<Response>(own.error());
  if (own->empty()) {
    return Unexpected<Response>(problem(kNotFound, "RECOVERY_NOT_FOUND",
                                        "neither memory nor journal know a recovery " +
                                            name_of(id) +
                                            "; `recoverctl recoveries` lists the latest"));
  }
  Explanation explanation;
  explanation.from_journal = true;
  explanation.recovery = name_of(id);
  std::uint64_t incident = 0;
  for (const ports::StoredEntry& row : *own) {
    if (row.entry.incident != 0) incident = row.entry.incident;
    if (!row.entry.service.empty()) explanation.service = row.entry.service;
  }
  if (incident != 0) explanation.incident = name_of(core::IncidentId{incident});
  const auto rows = entries_of(backend, id.value, incident);
  if (!rows) return Unexpected<Response>(rows.error());
  for (const ports::StoredEntry& row : *rows) tell_entry(explanation.chain, row, {});
  explanation.state = "ended";
  explanation.summary = explanation.service + ": " + explanation.recovery +
                        " is no longer in memory; this is what the journal recorded.";
  explanation.next = "Nothing for this one; `recoverctl status` shows how things are now.";
  return explanation;
}

}  // namespace recover::api
