#include "api/repeats.h"

#include <boost/json.hpp>

#include <algorithm>
#include <array>

#include "api/problem.h"
#include "api/routes.h"
#include "api/times.h"
#include "core/plan.h"

namespace recover::api {

namespace json = boost::json;

namespace {

constexpr std::string_view kType = "api:answered";

std::uint64_t hash_of(const Request& request) {
  std::uint64_t hash = core::fnv1a(to_string(request.method));
  hash = core::fnv1a(request.path, hash);
  for (const auto& [name, value] : request.query) {
    hash = core::fnv1a(value, core::fnv1a("=", core::fnv1a(name, core::fnv1a("&", hash))));
  }
  return core::fnv1a(request.body, core::fnv1a("\n", hash));
}

ports::Entry row_of(const Backend& backend, const std::pair<std::string, std::string>& key,
                    std::uint64_t request, const Response& response) {
  std::string location;
  for (const auto& [name, value] : response.headers) {
    if (name == "Location") location = value;
  }
  json::object body;
  body["severity"] = "low";
  body["actor"] = key.first;
  body["message"] = "answered " + std::to_string(response.status);
  body["reasons"] = json::array();
  body["key"] = key.second;
  body["request"] = hex64(request);
  body["status"] = response.status;
  body["content_type"] = response.content_type;
  body["location"] = location;
  body["answer"] = response.body;
  const Instant now = backend.now();
  return {.kind = ports::EntryKind::Notice,
          .wall_ns = backend.wall_ns(now),
          .at = now,
          .type = std::string(kType),
          .body = json::serialize(body)};
}

std::string text_in(const json::object& body, std::string_view name) {
  const json::value* value = body.if_contains(name);
  return value != nullptr && value->is_string() ? std::string(value->get_string().c_str())
                                                : std::string();
}

}  // namespace

void Repeats::read_journal(const Backend& backend) {
  read_ = true;
  ports::Filter filter;
  filter.kind = ports::EntryKind::Notice;
  filter.type = kType;
  filter.since_wall_ns = backend.wall_ns(backend.now()) - kKeptFor.count();
  filter.limit = kKeptMax;
  const auto rows = backend.journal->find(filter);
  if (!rows) return;
  for (const ports::StoredEntry& row : *rows) {
    boost::system::error_code error;
    const json::value value = json::parse(row.entry.body, error);
    if (error || !value.is_object()) continue;
    const json::object& body = value.get_object();
    const auto request = parse_hex64(text_in(body, "request"));
    const json::value* status = body.if_contains("status");
    if (!request || status == nullptr || !status->is_int64()) continue;
    Response response;
    response.status = static_cast<unsigned>(status->get_int64());
    response.content_type = text_in(body, "content_type");
    response.body = text_in(body, "answer");
    const std::string location = text_in(body, "location");
    if (!location.empty()) response.headers.emplace_back("Location", location);
    known_[{text_in(body, "actor"), text_in(body, "key")}] = {*request, std::move(response),
                                                              row.entry.wall_ns};
  }
}

void Repeats::forget_old(std::int64_t now) {
  std::erase_if(known_, [now](const auto& item) {
    return item.second.response && item.second.wall_ns + kKeptFor.count() < now;
  });
  while (known_.size() >= kKeptMax) {
    known_.erase(std::min_element(known_.begin(), known_.end(), [](const auto& a, const auto& b) {
      return a.second.wall_ns < b.second.wall_ns;
    }));
  }
}

void Repeats::keep(const Backend& backend, const Key& key, Known known) {
  // What did not go through, or is too long to keep, may be tried again.
  const bool worth =
      known.response && known.response->status < 500 && known.response->body.size() <= kAnswerMax;
  if (!worth) {
    known_.erase(key);
    return;
  }
  const std::array row{row_of(backend, key, known.request, *known.response)};
  // Without a journal it is remembered as long as we live.
  (void)backend.journal->append(row, ports::Durability::ProcessCrash);
  known_[key] = std::move(known);
}

void Repeats::dispatch(const Backend& backend, Request request, const Reply& reply) {
  if (request.method != Method::Post || request.idempotency_key.empty()) {
    return api::dispatch(backend, std::move(request), reply);
  }
  if (request.idempotency_key.size() > kKeyMax) {
    return reply(problem(400, "BAD_REQUEST", "an Idempotency-Key has at most 255 bytes"));
  }
  if (!read_) read_journal(backend);
  const std::int64_t now = backend.wall_ns(backend.now());
  forget_old(now);
  const Key key{request.caller.actor, request.idempotency_key};
  const std::uint64_t hash = hash_of(request);
  const auto found = known_.find(key);
  if (found != known_.end()) {
    const Known& known = found->second;
    if (known.request != hash) {
      return reply(problem(422, "IDEMPOTENCY_KEY_REUSED",
                           "this Idempotency-Key came with another request; use a new one"));
    }
    if (!known.response) {
      return reply(problem(409, "IDEMPOTENCY_KEY_IN_USE",
                           "the first request with this Idempotency-Key is still being answered"));
    }
    Response again = *known.response;
    again.headers.emplace_back("Idempotency-Replayed", "true");
    return reply(std::move(again));
  }
  known_[key] = {hash, std::nullopt, now};
  api::dispatch(backend, std::move(request),
                [this, &backend, key, hash, now, reply](Response response) {
                  keep(backend, key, {hash, response, now});
                  reply(std::move(response));
                });
}

}  // namespace recover::api
