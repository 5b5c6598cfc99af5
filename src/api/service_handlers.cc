// Services: how they are, and the commands an operator gives them.
#include <boost/json.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string>

#include "api/fields.h"
#include "api/foresight.h"
#include "api/handlers.h"
#include "api/json_response.h"
#include "api/problem.h"
#include "api/routes.h"
#include "api/shapes.h"

namespace recover::api {

namespace json = boost::json;

namespace {

constexpr std::size_t kServiceStateCount = 8;

std::array<std::size_t, kServiceStateCount> count_states(const core::State& state) {
  std::array<std::size_t, kServiceStateCount> counts{};
  for (const core::ServiceHealth& service : state.services) {
    ++counts.at(static_cast<std::size_t>(service.state));
  }
  return counts;
}

// Stopped on purpose is no illness; unknown and starting are not yet known to be one.
bool unhealthy(core::ServiceState state) {
  switch (state) {
    case core::ServiceState::Degraded:
    case core::ServiceState::Failed:
    case core::ServiceState::Recovering:
    case core::ServiceState::Quarantined: return true;
    case core::ServiceState::Unknown:
    case core::ServiceState::Starting:
    case core::ServiceState::Healthy:
    case core::ServiceState::Stopped: return false;
  }
  return false;
}

std::string_view overall(const core::State& state) {
  bool ill = state.kill_switch || state.storm || state.journal_degraded;
  for (const core::ServiceHealth& service : state.services) {
    if (service.state == core::ServiceState::Failed) return "unhealthy";
    ill = ill || unhealthy(service.state);
  }
  return ill ? "degraded" : "healthy";
}

struct Named {
  std::string_view service;
  std::optional<std::uint32_t> instance;  // From 0.
};

// "web@2" is the second instance of web, unless a service is called so.
Named split(const Backend& backend, std::string_view name) {
  const auto at = name.rfind('@');
  if (at == std::string_view::npos || backend.engine().policy().find_service(name)) {
    return {name, std::nullopt};
  }
  std::uint32_t number = 0;
  const std::string_view digits = name.substr(at + 1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || end != digits.data() + digits.size() || number == 0) {
    return {name, std::nullopt};
  }
  return {name.substr(0, at), number - 1};
}

Response command(const Backend& backend, const Request& request, core::ServiceRequest what,
                 std::string_view name) {
  const auto fields = Fields::parse(request, {});
  if (!fields) return fields.error();
  const Named named = split(backend, request.arguments.at(0));
  const auto service = service_named(backend, named.service);
  if (!service) return service.error();
  return ask(backend,
             core::OperatorService{.service = *service,
                                   .request = what,
                                   .actor = request.caller.actor,
                                   .instances = 0,
                                   .instance = named.instance},
             name, *service);
}

}  // namespace

Response json_response(const json::object& body, unsigned status) {
  Response response;
  response.status = status;
  response.body = json::serialize(body);
  return response;
}

Result<core::ServiceIndex, Response> service_named(const Backend& backend, std::string_view name) {
  if (const auto index = backend.engine().policy().find_service(name)) return *index;
  return Unexpected<Response>(problem(kNotFound, "SERVICE_NOT_FOUND",
                                      "no service is called \"" + std::string(name) +
                                          "\"; `recoverctl services` lists those there are"));
}

Result<core::PlaybookIndex, Response> playbook_named(const Backend& backend,
                                                     std::string_view name) {
  const core::Policy& policy = backend.engine().policy();
  if (const auto index = policy.find_playbook(name)) return *index;
  std::string known;
  for (const core::PlaybookPolicy& playbook : policy.playbooks) {
    known += (known.empty() ? "" : ", ") + playbook.id;
  }
  return Unexpected<Response>(
      problem(kNotFound, "PLAYBOOK_NOT_FOUND",
              "no playbook is called \"" + std::string(name) + "\"; known: " + known));
}

Response ask(const Backend& backend, core::Event event, std::string_view request_name,
             std::optional<core::ServiceIndex> service) {
  const Foresight foresight = foresee(backend, event);
  const std::uint64_t after = newest_sequence(backend);
  backend.post(std::move(event));
  if (const core::Reason* reason = foresight.refused()) return refusal(*reason);
  json::object body;
  body["accepted"] = true;
  body["request"] = request_name;
  std::string poll = std::string(kPrefix) + "/events";
  if (service) {
    const std::string name = service_name(backend.engine().policy(), *service);
    poll = std::string(kPrefix) + "/services/" + name;
    body["service"] = name;
    body["epoch"] = foresight.engine.state().services.at(service->value).epoch;
  }
  body["after"] = after;  // Events about it come after this one.
  body["poll"] = poll;
  Response response = json_response(body, kAccepted);
  response.headers.emplace_back("Location", poll);
  return response;
}

Response get_health(const Backend& backend, const Request& request) {
  const core::Engine& engine = backend.engine();
  const core::State& state = engine.state();
  const auto counts = count_states(state);
  json::object body;
  body["status"] = overall(state);
  body["version"] = backend.version;
  if (request.caller.role == Role::Public) return json_response(body);
  json::object services;
  services["total"] = state.services.size();
  for (std::size_t i = 0; i < counts.size(); ++i) {
    services[core::to_string(static_cast<core::ServiceState>(i))] = counts.at(i);
  }
  body["services"] = std::move(services);
  body["open_incidents"] =
      std::count_if(state.incidents.begin(), state.incidents.end(),
                    [](const auto& item) { return item.second.closed_at == kNever; });
  body["mode"] = core::to_string(state.mode.value_or(engine.policy().recovery.mode));
  body["enabled"] = engine.policy().enabled;
  body["kill_switch"] = state.kill_switch;
  body["storm"] = state.storm;
  body["journal_degraded"] = state.journal_degraded;
  body["maintenance"] = state.maintenance_until > backend.now();
  return json_response(body);
}

Response list_services(const Backend& backend, const Request& /*request*/) {
  json::array array;
  const std::size_t count = backend.engine().policy().services.size();
  for (std::uint32_t i = 0; i < count; ++i) {
    array.push_back(service_json(backend, core::ServiceIndex{i}));
  }
  json::object body;
  body["services"] = std::move(array);
  return json_response(body);
}

Response get_service(const Backend& backend, const Request& request) {
  const auto service = service_named(backend, split(backend, request.arguments.at(0)).service);
  if (!service) return service.error();
  return json_response(service_json(backend, *service));
}

Response start_service(const Backend& backend, const Request& request) {
  return command(backend, request, core::ServiceRequest::Start, "start");
}
Response stop_service(const Backend& backend, const Request& request) {
  return command(backend, request, core::ServiceRequest::Stop, "stop");
}
Response restart_service(const Backend& backend, const Request& request) {
  return command(backend, request, core::ServiceRequest::Restart, "restart");
}
Response reload_service(const Backend& backend, const Request& request) {
  return command(backend, request, core::ServiceRequest::Reload, "reload");
}
Response quarantine_service(const Backend& backend, const Request& request) {
  return command(backend, request, core::ServiceRequest::Quarantine, "quarantine");
}
Response release_service(const Backend& backend, const Request& request) {
  return command(backend, request, core::ServiceRequest::Release, "release");
}

Response beat_service(const Backend& backend, const Request& request) {
  const auto fields = Fields::parse(request, {});
  if (!fields) return fields.error();
  if (!backend.beat) return not_available("heartbeats");
  const auto service = service_named(backend, request.arguments.at(0));
  if (!service) return service.error();
  const std::size_t probes = backend.beat(*service);
  const std::string& name = request.arguments.at(0);
  if (probes == 0) {
    return problem(kConflict, "NO_HEARTBEAT_PROBE",
                   name +
                       " has no heartbeat probe; `- heartbeat: {every: 1m}` under its `probes:` "
                       "makes one");
  }
  json::object body;
  body["accepted"] = true;
  body["service"] = name;
  body["probes"] = probes;
  return json_response(body);
}

Response scale_service(const Backend& backend, const Request& request) {
  const auto fields = Fields::parse(request, {"instances"});
  if (!fields) return fields.error();
  const auto service = service_named(backend, request.arguments.at(0));
  if (!service) return service.error();
  const auto instances = fields->whole("instances");
  if (!instances) {
    return problem(kBadRequest, "BAD_REQUEST", "send {\"instances\": N} with how many to run");
  }
  return ask(backend,
             core::OperatorService{.service = *service,
                                   .request = core::ServiceRequest::Scale,
                                   .actor = request.caller.actor,
                                   .instances = *instances},
             "scale", *service);
}

}  // namespace recover::api
