// Incidents and recoveries: reading them, approving, rejecting, asking for one.
#include <boost/json.hpp>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <string>

#include "api/explain.h"
#include "api/fields.h"
#include "api/foresight.h"
#include "api/handlers.h"
#include "api/json_response.h"
#include "api/problem.h"
#include "api/routes.h"
#include "api/shapes.h"
#include "api/times.h"

namespace recover::api {

namespace json = boost::json;

namespace {

constexpr std::size_t kListDefault = 100;
constexpr std::size_t kListMax = 1'000;

Result<std::size_t, Response> limit_of(const Request& request) {
  const std::string_view text = request.parameter("limit");
  if (text.empty()) return kListDefault;
  std::size_t limit = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), limit);
  if (error != std::errc() || end != text.data() + text.size() || limit == 0) {
    return Unexpected<Response>(
        problem(kBadRequest, "BAD_REQUEST", "?limit= must be a number above 0"));
  }
  return std::min(limit, kListMax);
}

// Newest first, those that fit ?service= and ?state=; after ?after=, the last one seen.
template <class Map, class Shape, class Parse>
Response list_of(const Backend& backend, const Request& request, const Map& items,
                 std::string_view plural, const Shape& shape, const Parse& parse) {
  const std::string_view service = request.parameter("service");
  const std::string_view state = request.parameter("state");
  const core::Policy& policy = backend.engine().policy();
  const auto limit = limit_of(request);
  if (!limit) return limit.error();
  auto item = items.rbegin();
  if (!request.parameter("after").empty()) {
    const auto seen = parse(request.parameter("after"));
    if (!seen) return problem(kBadRequest, "BAD_REQUEST", "?after= must be an id of this list");
    item = std::make_reverse_iterator(items.lower_bound(*seen));
  }
  json::array array;
  json::value next = nullptr;
  for (; item != items.rend(); ++item) {
    if (!service.empty() && service_name(policy, item->second.service) != service) continue;
    if (!state.empty() && core::to_string(item->second.state) != state) continue;
    if (array.size() == *limit) {
      next = array.back().at("id");  // There is more.
      break;
    }
    array.push_back(shape(backend, item->second));
  }
  json::object body;
  body[plural] = std::move(array);
  body["next_after"] = std::move(next);
  return json_response(body);
}

Response no_such(std::string_view kind, std::string_view code, std::string_view id) {
  return problem(kNotFound, code,
                 "there is no " + std::string(kind) + " \"" + std::string(id) +
                     "\" in memory; older ones are in `recoverctl events`");
}

const core::Recovery* find_recovery(const Backend& backend, std::string_view text) {
  const auto id = parse_recovery(text);
  const auto& recoveries = backend.engine().state().recoveries;
  const auto found = id ? recoveries.find(*id) : recoveries.end();
  return found == recoveries.end() ? nullptr : &found->second;
}

json::object planned_json(const Backend& backend, const core::Recovery& recovery) {
  json::object body;
  body["accepted"] = true;
  body["recovery"] = name_of(recovery.id);
  body["service"] = service_name(backend.engine().policy(), recovery.service);
  body["playbook"] = playbook_name(backend.engine().policy(), recovery.playbook);
  body["state"] = core::to_string(recovery.state);
  body["poll"] = std::string(kPrefix) + "/recoveries/" + name_of(recovery.id);
  return body;
}

struct Wish {
  core::ServiceIndex service;
  core::OperatorRecover event;
};

Result<Wish, Response> wish_of(const Backend& backend, const Request& request,
                               const std::string& name, const std::string& playbook) {
  if (name.empty()) {
    return Unexpected<Response>(
        problem(kBadRequest, "BAD_REQUEST", "name the service: {\"service\": …}"));
  }
  const auto service = service_named(backend, name);
  if (!service) return Unexpected<Response>(service.error());
  Wish wish{*service, {.service = *service, .playbook = {}, .actor = request.caller.actor}};
  if (!playbook.empty()) {
    const auto index = playbook_named(backend, playbook);
    if (!index) return Unexpected<Response>(index.error());
    wish.event.playbook = *index;
  }
  return wish;
}

Response no_plan(const Foresight& foresight) {
  if (const core::Reason* reason = foresight.refused()) return refusal(*reason);
  std::string why = "no playbook could be planned for it";
  for (const core::Notice& notice : foresight.output.notices) {
    if (!notice.message.empty()) why = notice.message;
  }
  return problem(kConflict, "NO_PLAN", why);
}

Response recover(const Backend& backend, const Wish& wish) {
  const Foresight foresight = foresee(backend, wish.event);
  const core::Recovery* planned = foresight.planned(backend.engine().state(), wish.service);
  const bool rejected = planned != nullptr && planned->state == core::RecoveryState::Rejected;
  Response response;
  if (planned == nullptr) {
    response = no_plan(foresight);
  } else if (const auto* reason = rejected ? first_refusal(planned->reasons) : nullptr) {
    response = refusal(*reason);
  } else {
    response = json_response(planned_json(backend, *planned), kAccepted);
    response.headers.emplace_back("Location",
                                  std::string(kPrefix) + "/recoveries/" + name_of(planned->id));
  }
  // Also when it will be refused: the journal shows that somebody asked.
  backend.post(wish.event);
  return response;
}

}  // namespace

Response list_incidents(const Backend& backend, const Request& request) {
  return list_of(backend, request, backend.engine().state().incidents, "incidents", incident_json,
                 parse_incident);
}

Response get_incident(const Backend& backend, const Request& request) {
  const std::string& text = request.arguments.at(0);
  const auto& incidents = backend.engine().state().incidents;
  const auto id = parse_incident(text);
  const auto found = id ? incidents.find(*id) : incidents.end();
  if (found == incidents.end()) return no_such("incident", "INCIDENT_NOT_FOUND", text);
  return json_response(incident_json(backend, found->second));
}

Response list_recoveries(const Backend& backend, const Request& request) {
  return list_of(backend, request, backend.engine().state().recoveries, "recoveries", recovery_json,
                 parse_recovery);
}

Response get_recovery(const Backend& backend, const Request& request) {
  const std::string& text = request.arguments.at(0);
  const core::Recovery* recovery = find_recovery(backend, text);
  if (recovery == nullptr) return no_such("recovery", "RECOVERY_NOT_FOUND", text);
  return json_response(recovery_json(backend, *recovery));
}

Response explain_recovery(const Backend& backend, const Request& request) {
  const std::string& text = request.arguments.at(0);
  const auto id = parse_recovery(text);
  if (!id) return no_such("recovery", "RECOVERY_NOT_FOUND", text);
  const auto explanation = explain(backend, *id);
  if (!explanation) return explanation.error();
  return json_response(explanation_json(*explanation));
}

Response approve_recovery(const Backend& backend, const Request& request) {
  const auto fields = Fields::parse(request, {"plan_hash", "comment"});
  if (!fields) return fields.error();
  const std::string& text = request.arguments.at(0);
  const core::Recovery* recovery = find_recovery(backend, text);
  if (recovery == nullptr) return no_such("recovery", "RECOVERY_NOT_FOUND", text);
  const auto hash = parse_hex64(fields->text("plan_hash"));
  if (!hash) {
    return problem(kBadRequest, "PLAN_HASH_REQUIRED",
                   "send the plan_hash of the plan you saw; `recoverctl approve` does");
  }
  return ask(backend,
             core::OperatorApprove{.recovery = recovery->id,
                                   .plan_hash = *hash,
                                   .actor = request.caller.actor,
                                   .comment = fields->text("comment")},
             "approve", recovery->service);
}

Response reject_recovery(const Backend& backend, const Request& request) {
  const auto fields = Fields::parse(request, {"comment"});
  if (!fields) return fields.error();
  const std::string& text = request.arguments.at(0);
  const core::Recovery* recovery = find_recovery(backend, text);
  if (recovery == nullptr) return no_such("recovery", "RECOVERY_NOT_FOUND", text);
  return ask(backend,
             core::OperatorReject{.recovery = recovery->id,
                                  .actor = request.caller.actor,
                                  .comment = fields->text("comment")},
             "reject", recovery->service);
}

Response recover_service(const Backend& backend, const Request& request) {
  const auto fields = Fields::parse(request, {"playbook"});
  if (!fields) return fields.error();
  const auto wish = wish_of(backend, request, request.arguments.at(0), fields->text("playbook"));
  return wish ? recover(backend, *wish) : wish.error();
}

Response trigger_recovery(const Backend& backend, const Request& request) {
  const auto fields = Fields::parse(request, {"service", "playbook"});
  if (!fields) return fields.error();
  const auto wish = wish_of(backend, request, fields->text("service"), fields->text("playbook"));
  return wish ? recover(backend, *wish) : wish.error();
}

// The real engine, on a copy: plan and gates are those a recovery would meet now.
Response test_recovery(const Backend& backend, const Request& request) {
  const auto fields = Fields::parse(request, {"service", "playbook"});
  if (!fields) return fields.error();
  const auto wish = wish_of(backend, request, fields->text("service"), fields->text("playbook"));
  if (!wish) return wish.error();
  const Foresight foresight = foresee(backend, wish->event);
  const core::Recovery* planned = foresight.planned(backend.engine().state(), wish->service);
  if (planned == nullptr) return no_plan(foresight);
  const core::Reason* reason = first_refusal(planned->reasons);
  json::object body;
  body["dry_run"] = true;
  body["would_run"] = reason == nullptr;
  body["refused_by"] =
      reason == nullptr ? json::value(nullptr) : json::value(core::to_string(reason->rule));
  json::object plan = recovery_json(backend, *planned);
  // The numbers of the copy were never given out.
  plan["id"] = nullptr;
  json::array steps;
  const core::PlaybookPolicy& playbook = backend.engine().policy().playbook(planned->playbook);
  for (const core::StepPolicy& step : playbook.steps) {
    json::object object;
    object["name"] = step.name;
    object["action"] = core::to_string(step.action);
    object["timeout_ms"] = step.timeout.count() / 1'000'000;
    object["risk"] = core::to_string(step.risk);
    steps.push_back(std::move(object));
  }
  body["plan"] = std::move(plan);
  body["steps"] = std::move(steps);
  return json_response(body);
}

}  // namespace recover::api
