// Checkpoints: listing what the store holds, and asking the core to take or restore one.
#include <boost/json.hpp>

#include <algorithm>
#include <iterator>
#include <string>
#include <vector>

#include "api/fields.h"
#include "api/handlers.h"
#include "api/json_response.h"
#include "api/problem.h"
#include "api/shapes.h"

namespace recover::api {

namespace json = boost::json;

namespace {

constexpr std::size_t kNameLengthMax = 128;

Response store_failed(const ports::CheckpointError& error) {
  if (error.fault == ports::CheckpointFault::NotFound) {
    return problem(kNotFound, "CHECKPOINT_NOT_FOUND", error.message);
  }
  return problem(500, "CHECKPOINT_STORE_FAILED", error.message);
}

bool is_called(const ports::CheckpointInfo& info, std::string_view id) {
  return info.id == id || std::find(info.names.begin(), info.names.end(), id) != info.names.end();
}

using Infos = Result<std::vector<ports::CheckpointInfo>, Response>;

// Of one service, or of every one.
Infos checkpoints_of(const Backend& backend, std::string_view service) {
  std::vector<ports::CheckpointInfo> all;
  for (const core::ServicePolicy& policy : backend.engine().policy().services) {
    if (!service.empty() && policy.name != service) continue;
    auto some = backend.checkpoints->list(policy.name);
    if (!some) return Unexpected<Response>(store_failed(some.error()));
    all.insert(all.end(), std::make_move_iterator(some->begin()),
               std::make_move_iterator(some->end()));
  }
  return all;
}

// Names become parts of file names somewhere; letters that cannot surprise there are enough.
bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= kNameLengthMax && name.front() != '.' &&
         name.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
             "._-:@") == std::string_view::npos;
}

bool holds_state(const core::ServicePolicy& service) {
  return !service.state.empty();
}

// The service a checkpoint is of, when the caller did not say.
Result<core::ServiceIndex, Response> owner_of(const Backend& backend, const std::string& id) {
  const auto all = checkpoints_of(backend, {});
  if (!all) return Unexpected<Response>(all.error());
  std::string service;
  for (const ports::CheckpointInfo& info : *all) {
    if (!is_called(info, id)) continue;
    if (!service.empty() && service != info.service) {
      return Unexpected<Response>(
          problem(kBadRequest, "AMBIGUOUS",
                  "several services have a checkpoint \"" + id + "\"; add --service"));
    }
    service = info.service;
  }
  if (service.empty()) {
    return Unexpected<Response>(
        problem(kNotFound, "CHECKPOINT_NOT_FOUND",
                "there is no checkpoint \"" + id + "\"; `recoverctl checkpoint list` shows them"));
  }
  return service_named(backend, service);
}

Result<core::ServiceIndex, Response> target_of(const Backend& backend, std::string_view service,
                                               const std::string& id) {
  return service.empty() ? owner_of(backend, id) : service_named(backend, service);
}

// What a recovery under way may want to put back.
std::vector<std::string> in_use(const core::State& state, core::ServiceIndex service) {
  std::vector<std::string> ids;
  for (const auto& [id, recovery] : state.recoveries) {
    if (recovery.service == service && !ended(recovery.state) && !recovery.checkpoint.empty()) {
      ids.push_back(recovery.checkpoint);
    }
  }
  return ids;
}

// Of creation: the named service, or the only one that has state.
Result<core::ServiceIndex, Response> holder_of(const Backend& backend, const std::string& name) {
  if (!name.empty()) return service_named(backend, name);
  const auto& services = backend.engine().policy().services;
  if (std::count_if(services.begin(), services.end(), holds_state) != 1) {
    return Unexpected<Response>(
        problem(kBadRequest, "BAD_REQUEST", "say which service: several or none have `state:`"));
  }
  const auto found = std::find_if(services.begin(), services.end(), holds_state);
  return core::ServiceIndex{static_cast<std::uint32_t>(found - services.begin())};
}

}  // namespace

Response list_checkpoints(const Backend& backend, const Request& request) {
  if (backend.checkpoints == nullptr) return not_available("the checkpoint store");
  const std::string_view service = request.parameter("service");
  if (!service.empty()) {
    if (const auto known = service_named(backend, service); !known) return known.error();
  }
  const auto all = checkpoints_of(backend, service);
  if (!all) return all.error();
  json::array array;
  for (const ports::CheckpointInfo& info : *all) array.push_back(checkpoint_json(info));
  json::object body;
  body["checkpoints"] = std::move(array);
  return json_response(body);
}

Response get_checkpoint(const Backend& backend, const Request& request) {
  if (backend.checkpoints == nullptr) return not_available("the checkpoint store");
  const std::string& id = request.arguments.at(0);
  const auto service = target_of(backend, request.parameter("service"), id);
  if (!service) return service.error();
  const std::string name = service_name(backend.engine().policy(), *service);
  const auto contents = backend.checkpoints->show(name, id);
  if (!contents) return store_failed(contents.error());
  json::object body = checkpoint_json(contents->info);
  json::array paths;
  for (const ports::CheckpointFile& file : contents->files) {
    json::object object;
    object["path"] = file.path;
    object["size"] = file.size;
    object["sha256"] = file.sha256;
    paths.push_back(std::move(object));
  }
  body["paths"] = std::move(paths);
  return json_response(body);
}

Response create_checkpoint(const Backend& backend, const Request& request) {
  const auto fields = Fields::parse(request, {"service", "name"});
  if (!fields) return fields.error();
  if (!is_name(fields->text("name"))) {
    return problem(kBadRequest, "BAD_REQUEST",
                   "\"name\" must be 1 to 128 letters, digits or . _ - : @");
  }
  const auto service = holder_of(backend, fields->text("service"));
  if (!service) return service.error();
  if (!holds_state(backend.engine().policy().service(*service))) {
    return problem(kConflict, "NOTHING_TO_HOLD",
                   "the service has no `state:` paths in the configuration");
  }
  return ask(backend,
             core::OperatorCheckpoint{.service = *service,
                                      .name = fields->text("name"),
                                      .restore = false,
                                      .actor = request.caller.actor},
             "checkpoint", *service);
}

Response restore_checkpoint(const Backend& backend, const Request& request) {
  const auto fields = Fields::parse(request, {"service"});
  if (!fields) return fields.error();
  if (backend.checkpoints == nullptr) return not_available("the checkpoint store");
  const std::string& id = request.arguments.at(0);
  const auto service = target_of(backend, fields->text("service"), id);
  if (!service) return service.error();
  return ask(backend,
             core::OperatorCheckpoint{
                 .service = *service, .name = id, .restore = true, .actor = request.caller.actor},
             "restore", *service);
}

Response prune_checkpoints(const Backend& backend, const Request& /*request*/) {
  if (backend.checkpoints == nullptr) return not_available("the checkpoint store");
  const core::Engine& engine = backend.engine();
  json::array removed;
  for (std::uint32_t i = 0; i < engine.policy().services.size(); ++i) {
    const auto ids = backend.checkpoints->prune({.service = engine.policy().services[i].name,
                                                 .keep = engine.policy().checkpoint.keep,
                                                 .in_use = in_use(engine.state(), {i})});
    if (!ids) return store_failed(ids.error());
    for (const std::string& id : *ids) removed.emplace_back(id);
  }
  json::object body;
  body["removed"] = removed.size();
  body["ids"] = std::move(removed);
  return json_response(body);
}

}  // namespace recover::api
