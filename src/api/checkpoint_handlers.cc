// Checkpoints: listing what the store holds, and asking the core to take or restore one.
#include <boost/json.hpp>

#include <algorithm>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/fields.h"
#include "api/foresight.h"
#include "api/handlers.h"
#include "api/json_response.h"
#include "api/problem.h"
#include "api/routes.h"
#include "api/shapes.h"
#include "core/last_good.h"

namespace recover::api {

namespace json = boost::json;

namespace {

constexpr std::size_t kNameLengthMax = 128;

bool is_called(const ports::CheckpointInfo& info, std::string_view id) {
  return (id.size() >= kCheckpointPrefixMin && info.id.starts_with(id)) || info.id == id ||
         std::find(info.names.begin(), info.names.end(), id) != info.names.end();
}

using Infos = Result<std::vector<ports::CheckpointInfo>, Response>;

// Of one service, or of every one.
Infos checkpoints_of(const Backend& backend, std::string_view service) {
  std::vector<ports::CheckpointInfo> all;
  for (const core::ServicePolicy& policy : backend.engine().policy().services) {
    if (!service.empty() && policy.name != service) continue;
    auto some = backend.checkpoints->list(policy.name);
    if (!some) return Unexpected<Response>(checkpoint_failed(some.error()));
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

// What an automatic recovery trusts is named by the engine alone.
bool is_reserved(std::string_view name) {
  return name == core::kCandidate || name == ports::kLastGood || name == ports::kLastGoodStarted ||
         name == ports::kBeforeRestore || name.starts_with("before-recovery-");
}

bool holds_state(const core::ServicePolicy& service) {
  return !service.state.empty();
}

struct Found {
  core::ServiceIndex service;
  std::string checkpoint;  // The name that was asked for, or the whole id.
};

// "there is no checkpoint …": with those there are, so that nobody has to ask again.
Response no_checkpoint(const std::vector<ports::CheckpointInfo>& all, std::string_view id,
                       std::string_view service) {
  constexpr std::size_t kNamesTold = 10;
  std::vector<std::string> names;
  for (const ports::CheckpointInfo& info : all) {
    const std::string of = service.empty() ? " (" + info.service + ")" : "";
    for (const std::string& name : info.names) names.push_back(name + of);
    if (info.names.empty()) names.push_back(info.id + of);
  }
  std::string there = names.empty() ? "none yet" : "";
  for (std::size_t i = 0; i < std::min(names.size(), kNamesTold); ++i) {
    there += (i == 0 ? "" : ", ") + names[i];
  }
  if (names.size() > kNamesTold) there += ", …";
  return problem(kNotFound, "CHECKPOINT_NOT_FOUND",
                 "there is no checkpoint \"" + std::string(id) + "\"" +
                     (service.empty() ? "" : " of " + std::string(service)) +
                     "; there are: " + there);
}

Response ambiguous(std::string_view id, const std::string& services) {
  return problem(
      kBadRequest, "AMBIGUOUS",
      "several have a checkpoint \"" + std::string(id) + "\" (" + services + "); add --service");
}

// The checkpoint `id` stands for: of `service`, or of the only one that has it.
Result<Found, Response> checkpoint_named(const Backend& backend, std::string_view service,
                                         const std::string& id) {
  if (!service.empty()) {
    if (auto known = service_named(backend, service); !known) {
      return Unexpected<Response>(known.error());
    }
  }
  const auto all = checkpoints_of(backend, service);
  if (!all) return Unexpected<Response>(all.error());
  std::vector<const ports::CheckpointInfo*> fitting;
  std::string services;
  for (const ports::CheckpointInfo& info : *all) {
    if (!is_called(info, id)) continue;
    fitting.push_back(&info);
    services += (services.empty() ? "" : ", ") + info.service;
  }
  if (fitting.empty()) return Unexpected<Response>(no_checkpoint(*all, id, service));
  if (fitting.size() > 1) return Unexpected<Response>(ambiguous(id, services));
  const ports::CheckpointInfo& info = *fitting.front();
  const bool by_name = std::find(info.names.begin(), info.names.end(), id) != info.names.end();
  const auto index = service_named(backend, info.service);
  if (!index) return Unexpected<Response>(index.error());
  return Found{*index, by_name ? id : info.id};
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

// Of creation: the named service, or every one that has state.
Result<std::vector<core::ServiceIndex>, Response> holders_of(const Backend& backend,
                                                             const std::string& name) {
  std::vector<core::ServiceIndex> holders;
  const auto& services = backend.engine().policy().services;
  if (!name.empty()) {
    const auto service = service_named(backend, name);
    if (!service) return Unexpected<Response>(service.error());
    if (holds_state(services[service->value])) holders.push_back(*service);
  } else {
    for (std::uint32_t i = 0; i < services.size(); ++i) {
      if (holds_state(services[i])) holders.push_back({i});
    }
  }
  if (!holders.empty()) return holders;
  return Unexpected<Response>(
      problem(kConflict, "NOTHING_TO_HOLD",
              (name.empty() ? std::string("no service has") : name + " has no") +
                  " `state:` paths in the configuration: they are what a checkpoint holds"));
}

// Asks for the same of each service; nothing is asked for when one is refused.
Response ask_each(const Backend& backend, const std::vector<core::OperatorCheckpoint>& events) {
  for (const core::OperatorCheckpoint& event : events) {
    const Foresight foresight = foresee(backend, event);
    if (const core::Reason* reason = foresight.refused()) {
      backend.post(event);  // The journal shows that somebody asked.
      return refusal(*reason);
    }
  }
  const std::string after = std::to_string(newest_sequence(backend));
  json::array services;
  for (const core::OperatorCheckpoint& event : events) {
    services.emplace_back(service_name(backend.engine().policy(), event.service));
    backend.post(event);
  }
  json::object body;
  body["accepted"] = true;
  body["request"] = events.front().restore ? "restore" : "checkpoint";
  body["name"] = events.front().name;
  body["service"] = services.size() == 1 ? services.front() : json::value(nullptr);
  body["services"] = services;
  const std::string poll =
      std::string(kPrefix) + "/events?type=checkpoint%3A&limit=1000&after=" + after;
  body["poll"] = poll;
  Response response = json_response(body, kAccepted);
  response.headers.emplace_back("Location", poll);
  return response;
}

}  // namespace

Response checkpoint_failed(const ports::CheckpointError& error) {
  if (error.fault == ports::CheckpointFault::NotFound) {
    return problem(kNotFound, "CHECKPOINT_NOT_FOUND", error.message);
  }
  return problem(500, "CHECKPOINT_STORE_FAILED", error.message);
}

void aside(const Backend& backend, std::function<void()> work, std::function<void()> done) {
  if (backend.aside) return backend.aside(std::move(work), std::move(done));
  work();
  done();
}

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

void get_checkpoint(const Backend& backend, const Request& request, Reply reply) {
  if (backend.checkpoints == nullptr) return reply(not_available("the checkpoint store"));
  const auto found =
      checkpoint_named(backend, request.parameter("service"), request.arguments.at(0));
  if (!found) return reply(found.error());
  using Contents = Result<ports::CheckpointContents, ports::CheckpointError>;
  auto contents = std::make_shared<std::optional<Contents>>();
  aside(
      backend,
      [contents, store = backend.checkpoints, checkpoint = found->checkpoint,
       name = service_name(backend.engine().policy(), found->service)] {
        contents->emplace(store->show(name, checkpoint));
      },
      [contents, reply = std::move(reply)] {
        const Contents& read = **contents;
        if (!read) return reply(checkpoint_failed(read.error()));
        json::object body = checkpoint_json(read->info);
        json::array paths;
        for (const ports::CheckpointFile& file : read->files) {
          json::object object;
          object["path"] = file.path;
          object["size"] = file.size;
          object["sha256"] = file.sha256;
          paths.push_back(std::move(object));
        }
        body["paths"] = std::move(paths);
        reply(json_response(body));
      });
}

Response create_checkpoint(const Backend& backend, const Request& request) {
  const auto fields = Fields::parse(request, {"service", "name"});
  if (!fields) return fields.error();
  if (is_reserved(fields->text("name"))) {
    return problem(kBadRequest, "NAME_RESERVED",
                   "recoverd gives the name \"" + fields->text("name") + "\" itself");
  }
  if (!is_name(fields->text("name"))) {
    return problem(kBadRequest, "BAD_REQUEST",
                   "\"name\" must be 1 to 128 letters, digits or . _ - : @");
  }
  const auto holders = holders_of(backend, fields->text("service"));
  if (!holders) return holders.error();
  std::vector<core::OperatorCheckpoint> events;
  for (const core::ServiceIndex service : *holders) {
    events.push_back({.service = service,
                      .name = fields->text("name"),
                      .restore = false,
                      .actor = request.caller.actor});
  }
  return ask_each(backend, events);
}

Response restore_checkpoint(const Backend& backend, const Request& request) {
  const auto fields = Fields::parse(request, {"service"});
  if (!fields) return fields.error();
  if (backend.checkpoints == nullptr) return not_available("the checkpoint store");
  const std::string& id = request.arguments.at(0);
  const auto found = checkpoint_named(backend, fields->text("service"), id);
  if (!found) return found.error();
  return ask_each(backend, {{.service = found->service,
                             .name = found->checkpoint,
                             .restore = true,
                             .actor = request.caller.actor}});
}

Response prune_checkpoints(const Backend& backend, const Request& /*request*/) {
  if (backend.checkpoints == nullptr) return not_available("the checkpoint store");
  const core::Engine& engine = backend.engine();
  json::array removed;
  for (std::uint32_t i = 0; i < engine.policy().services.size(); ++i) {
    const auto ids = backend.checkpoints->prune({.service = engine.policy().services[i].name,
                                                 .keep = engine.policy().checkpoint.keep,
                                                 .in_use = in_use(engine.state(), {i}),
                                                 .make_room = true});
    if (!ids) return checkpoint_failed(ids.error());
    for (const std::string& id : *ids) removed.emplace_back(id);
  }
  json::object body;
  body["removed"] = removed.size();
  body["ids"] = std::move(removed);
  return json_response(body);
}

}  // namespace recover::api
