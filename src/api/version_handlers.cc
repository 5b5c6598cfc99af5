// Versions: how the configuration, or a service's state, was before, and what differs between two.
#include <boost/json.hpp>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/handlers.h"
#include "api/json_response.h"
#include "api/problem.h"
#include "api/routes.h"
#include "api/shapes.h"
#include "api/times.h"
#include "base/rfc3339.h"

namespace recover::api {

namespace json = boost::json;

namespace {

struct History {
  std::string of;                               // As the store calls it.
  std::vector<ports::CheckpointInfo> versions;  // Newest first.
};

Result<History, Response> history_of(const Backend& backend, std::string_view service) {
  if (backend.checkpoints == nullptr || (service.empty() && !backend.configuration_history)) {
    return Unexpected<Response>(not_available("the history of the configuration"));
  }
  if (!service.empty()) {
    if (const auto known = service_named(backend, service); !known) {
      return Unexpected<Response>(known.error());
    }
  }
  History history{.of = service.empty() ? backend.configuration_history() : std::string(service),
                  .versions = {}};
  auto listed = backend.checkpoints->list(history.of);
  if (!listed) return Unexpected<Response>(checkpoint_failed(listed.error()));
  history.versions = std::move(*listed);
  return history;
}

// By id, the beginning of one, a name, or "latest".
Result<std::size_t, Response> place_of(const History& history, std::string_view word) {
  for (std::size_t i = 0; i < history.versions.size(); ++i) {
    const ports::CheckpointInfo& info = history.versions[i];
    const bool begins = word.size() >= kCheckpointPrefixMin && info.id.starts_with(word);
    const bool named = std::find(info.names.begin(), info.names.end(), word) != info.names.end();
    if (begins || named || word == "latest") return i;
  }
  return Unexpected<Response>(problem(
      kNotFound, "CHECKPOINT_NOT_FOUND",
      "there is no version \"" + std::string(word) + "\"; `recoverctl config history` lists them"));
}

json::object version_json(const ports::CheckpointInfo& info) {
  json::object object;
  object["id"] = info.id;
  object["taken_at"] = rfc3339(info.wall_ns);
  object["files"] = info.files;
  object["bytes"] = info.bytes;
  object["names"] = json::array(info.names.begin(), info.names.end());
  object["paths"] = json::array(info.paths.begin(), info.paths.end());
  for (const auto& [name, value] : info.facts) object[name] = value;
  return object;
}

}  // namespace

Response list_versions(const Backend& backend, const Request& request) {
  const auto history = history_of(backend, request.parameter("service"));
  if (!history) return history.error();
  json::array versions;
  for (const ports::CheckpointInfo& info : history->versions) {
    versions.push_back(version_json(info));
  }
  json::object body;
  body["versions"] = std::move(versions);
  return json_response(body);
}

void get_difference(const Backend& backend, const Request& request, Reply reply) {
  const auto history = history_of(backend, request.parameter("service"));
  if (!history) return reply(history.error());
  const std::string_view to = request.parameter("to");
  const auto later = place_of(*history, to.empty() ? "latest" : to);
  if (!later) return reply(later.error());
  const std::string_view from = request.parameter("from");
  const auto earlier =
      from.empty() ? Result<std::size_t, Response>(*later + 1) : place_of(*history, from);
  if (!earlier) return reply(earlier.error());
  if (*earlier >= history->versions.size()) {
    return reply(problem(kNotFound, "CHECKPOINT_NOT_FOUND", "there is no version before that one"));
  }
  using Difference = Result<std::string, ports::CheckpointError>;
  auto difference = std::make_shared<std::optional<Difference>>();
  const std::string before = history->versions[*earlier].id;
  const std::string after = history->versions[*later].id;
  aside(
      backend,
      [difference, store = backend.checkpoints, of = history->of, before, after] {
        difference->emplace(store->difference(of, before, after));
      },
      [difference, before, after, reply = std::move(reply)] {
        const Difference& found = **difference;
        if (!found) return reply(checkpoint_failed(found.error()));
        json::object body;
        body["from"] = before;
        body["to"] = after;
        body["text"] = *found;
        reply(json_response(body));
      });
}

}  // namespace recover::api
