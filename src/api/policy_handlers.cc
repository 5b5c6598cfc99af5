// How recoverd behaves: mode, kill switch, maintenance, breakers, configuration.
#include <boost/json.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "api/fields.h"
#include "api/handlers.h"
#include "api/json_response.h"
#include "api/problem.h"
#include "api/routes.h"
#include "api/shapes.h"
#include "api/times.h"
#include "core/safety.h"

namespace recover::api {

namespace json = boost::json;

namespace {

template <class Enum>
std::string names_of() {
  std::string names;
  for (std::size_t i = 0; i < core::count_of<Enum>(); ++i) {
    names += (i == 0 ? "" : ", ") + std::string(core::to_string(static_cast<Enum>(i)));
  }
  return names;
}

// ?service= or "service": none, or one that exists.
Result<std::optional<core::ServiceIndex>, Response> optional_service(const Backend& backend,
                                                                     std::string_view name) {
  if (name.empty()) return std::optional<core::ServiceIndex>();
  const auto service = service_named(backend, name);
  if (!service) return Unexpected<Response>(service.error());
  return std::optional(*service);
}

Result<Instant, Response> until_of(const Backend& backend, const Fields& fields) {
  const Instant now = backend.now();
  if (fields.has("for")) {
    if (const auto duration = parse_duration(fields.text("for"))) {
      return saturating_add(now, *duration);
    }
    return Unexpected<Response>(
        problem(kBadRequest, "BAD_REQUEST", "\"for\" must be a duration such as 30m, 1h or 2d"));
  }
  if (!fields.has("until")) return kNever;
  const auto wall = parse_rfc3339(fields.text("until"));
  const std::int64_t wall_now = backend.wall_ns(now);
  if (!wall || *wall <= wall_now) {
    return Unexpected<Response>(
        problem(kBadRequest, "BAD_REQUEST", "\"until\" must be an RFC 3339 time in the future"));
  }
  return saturating_add(now, Duration(*wall - wall_now));
}

json::object window_json(const Backend& backend, json::value service, Instant until) {
  json::object object;
  object["service"] = std::move(service);
  object["until"] = time_json(backend, until);
  return object;
}

Response maintenance(const Backend& backend, const Request& request, std::string_view service_name,
                     bool start, Instant until) {
  const auto service = optional_service(backend, service_name);
  if (!service) return service.error();
  return ask(
      backend,
      core::OperatorMaintenance{
          .service = *service, .start = start, .until = until, .actor = request.caller.actor},
      start ? "maintenance start" : "maintenance stop", *service);
}

json::array names_json(const std::vector<std::string>& names) {
  return json::array(names.begin(), names.end());
}

Response changed(const Reloaded& reloaded) {
  json::object body;
  body["accepted"] = true;
  body["summary"] = reloaded.summary;
  body["added"] = names_json(reloaded.added);
  body["removed"] = names_json(reloaded.removed);
  body["restarted"] = names_json(reloaded.restarted);
  body["changed"] = names_json(reloaded.changed);
  body["sections"] = names_json(reloaded.sections);
  return json_response(body);
}

}  // namespace

Response get_mode(const Backend& backend, const Request& /*request*/) {
  const core::Engine& engine = backend.engine();
  const core::Mode configured = engine.policy().recovery.mode;
  const core::Mode global = engine.state().mode.value_or(configured);
  json::object body;
  body["mode"] = core::to_string(global);
  body["configured"] = core::to_string(configured);
  body["set_by_operator"] = engine.state().mode.has_value();
  json::array services;
  for (std::size_t i = 0; i < engine.policy().services.size(); ++i) {
    const auto own = engine.state().services.at(i).mode ? engine.state().services.at(i).mode
                                                        : engine.policy().services[i].mode;
    json::object object;
    object["service"] = engine.policy().services[i].name;
    object["mode"] = own ? json::value(core::to_string(*own)) : json::value(nullptr);
    object["effective"] = core::to_string(core::effective_mode(
        engine.policy(), engine.state(), core::ServiceIndex{static_cast<std::uint32_t>(i)}));
    services.push_back(std::move(object));
  }
  body["services"] = std::move(services);
  return json_response(body);
}

Response set_mode(const Backend& backend, const Request& request) {
  const auto fields = Fields::parse(request, {"mode", "service"});
  if (!fields) return fields.error();
  const auto mode = core::parse<core::Mode>(fields->text("mode"));
  if (!mode) {
    return problem(kBadRequest, "BAD_REQUEST", "\"mode\" must be one of " + names_of<core::Mode>());
  }
  const auto service = optional_service(backend, fields->text("service"));
  if (!service) return service.error();
  return ask(
      backend,
      core::OperatorSetMode{.service = *service, .mode = *mode, .actor = request.caller.actor},
      "mode", *service);
}

Response set_kill_switch(const Backend& backend, const Request& request) {
  const auto fields = Fields::parse(request, {"on"});
  if (!fields) return fields.error();
  const auto on = fields->truth("on");
  if (!on) return problem(kBadRequest, "BAD_REQUEST", "send {\"on\": true} or {\"on\": false}");
  return ask(backend, core::OperatorKillSwitch{.on = *on, .actor = request.caller.actor},
             "kill-switch", std::nullopt);
}

Response list_maintenance(const Backend& backend, const Request& /*request*/) {
  const core::Engine& engine = backend.engine();
  const Instant now = backend.now();
  json::array windows;
  if (engine.state().maintenance_until > now) {
    windows.push_back(window_json(backend, nullptr, engine.state().maintenance_until));
  }
  for (std::size_t i = 0; i < engine.state().services.size(); ++i) {
    const Instant until = engine.state().services[i].maintenance_until;
    if (until <= now) continue;
    windows.push_back(
        window_json(backend, json::value(engine.policy().services.at(i).name), until));
  }
  json::object body;
  body["maintenance"] = std::move(windows);
  return json_response(body);
}

Response start_maintenance(const Backend& backend, const Request& request) {
  const auto fields = Fields::parse(request, {"service", "for", "until"});
  if (!fields) return fields.error();
  const auto until = until_of(backend, *fields);
  if (!until) return until.error();
  return maintenance(backend, request, fields->text("service"), true, *until);
}

Response stop_maintenance(const Backend& backend, const Request& request) {
  return maintenance(backend, request, request.parameter("service"), false, backend.now());
}

namespace {

// Services the playbook failed for since it last helped them.
json::array rows_json(const core::Policy& policy, const core::PlaybookHealth& playbook) {
  json::array services;
  for (const auto& [service, row] : playbook.rows) {
    json::object object;
    object["service"] = policy.service(service).name;
    object["state"] =
        core::to_string(row.breaker_open ? core::BreakerState::Open : core::BreakerState::Closed);
    object["failures_in_row"] = row.failures;
    services.push_back(std::move(object));
  }
  return services;
}

}  // namespace

Response list_breakers(const Backend& backend, const Request& /*request*/) {
  const core::Engine& engine = backend.engine();
  json::array services;
  for (std::size_t i = 0; i < engine.state().services.size(); ++i) {
    const core::ServiceHealth& health = engine.state().services[i];
    json::object object;
    object["service"] = engine.policy().services.at(i).name;
    object["state"] = core::to_string(health.breaker);
    object["failures"] = health.breaker_failures.size();
    object["threshold"] = engine.policy().safety.circuit_breaker.failure_threshold;
    object["open_until"] = health.breaker == core::BreakerState::Open
                               ? time_json(backend, health.breaker_until)
                               : json::value(nullptr);
    services.push_back(std::move(object));
  }
  json::array playbooks;
  for (std::size_t i = 0; i < engine.state().playbooks.size(); ++i) {
    const core::PlaybookHealth& health = engine.state().playbooks[i];
    json::object object;
    object["playbook"] = engine.policy().playbooks.at(i).id;
    object["state"] = core::to_string(health.breaker_open ? core::BreakerState::Open
                                                          : core::BreakerState::Closed);
    object["failures_in_row"] = health.failures_in_row;
    object["demoted"] = health.demoted;
    object["services"] = rows_json(engine.policy(), health);
    playbooks.push_back(std::move(object));
  }
  json::object body;
  body["circuit_breakers"] = std::move(services);
  body["playbooks"] = std::move(playbooks);
  return json_response(body);
}

Response reset_breaker(const Backend& backend, const Request& request) {
  const auto fields = Fields::parse(request, {"playbook"});
  if (!fields) return fields.error();
  const auto service = service_named(backend, request.arguments.at(0));
  if (!service) return service.error();
  core::OperatorResetBreaker event{
      .service = *service, .playbook = {}, .actor = request.caller.actor};
  if (fields->has("playbook")) {
    const auto playbook = playbook_named(backend, fields->text("playbook"));
    if (!playbook) return playbook.error();
    event.service = std::nullopt;
    event.playbook = *playbook;
  }
  return ask(backend, std::move(event), "breaker reset", *service);
}

Response get_configuration(const Backend& backend, const Request& /*request*/) {
  if (!backend.configuration) return not_available("reading the configuration");
  Response response;
  response.content_type = "application/yaml";
  response.body = backend.configuration();
  return response;
}

Response put_configuration(const Backend& backend, const Request& request) {
  if (!backend.replace_configuration) return not_available("replacing the configuration");
  if (request.body.empty()) {
    return problem(kBadRequest, "BAD_REQUEST", "send the whole configuration as YAML");
  }
  const auto summary = backend.replace_configuration(request.body);
  return summary ? changed(*summary) : configuration_problem(summary.error());
}

Response reexec_daemon(const Backend& backend, const Request& /*request*/) {
  if (!backend.reexec) return not_available("executing anew");
  const auto begun = backend.reexec();
  if (!begun) return problem(kConflict, "REEXEC_REFUSED", begun.error());
  return json_response({{"accepted", true}, {"summary", "executing anew; services run on"}});
}

Response reload_configuration(const Backend& backend, const Request& /*request*/) {
  if (!backend.reload) return not_available("reloading");
  const auto summary = backend.reload();
  return summary ? changed(*summary) : configuration_problem(summary.error());
}

}  // namespace recover::api
