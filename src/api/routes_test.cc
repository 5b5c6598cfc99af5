// Every route by a call, with the real engine behind it: happy paths, refusals, shapes.
#include "api/routes.h"

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <optional>
#include <set>
#include <string>

#include "api/event_stream.h"
#include "api/repeats.h"
#include "test/api_daemon.h"

namespace recover::api {
namespace {

namespace json = boost::json;
using api_test::Daemon;
using namespace std::chrono_literals;

struct Got {
  unsigned status = 0;
  std::string type;
  json::value body;

  const json::object& object() const { return body.as_object(); }
  std::string text(const char* name) const {
    const json::value* value = object().if_contains(name);
    return value != nullptr && value->is_string() ? value->as_string().c_str() : "";
  }
  std::string code() const { return text("code"); }
};

class Routes : public testing::Test {
 protected:
  Got call(Method method, const std::string& target, const std::string& body = {},
           Role role = Role::Admin) {
    Request request;
    request.method = method;
    EXPECT_TRUE(set_target(request, std::string(kPrefix) + target));
    request.body = body;
    request.caller = {role, "uid:0(root)"};
    std::optional<Response> response;
    dispatch(daemon.backend(), request, [&](Response got) { response = std::move(got); });
    if (!response) return {};
    boost::system::error_code error;
    json::value value = json::parse(response->body, error);
    return {response->status, response->content_type, error ? json::value(json::object()) : value};
  }
  Got get(const std::string& target) { return call(Method::Get, target); }
  Got post(const std::string& target, const std::string& body = {}) {
    return call(Method::Post, target, body);
  }
  std::string state_of(const std::string& service) {
    return get("/services/" + service).text("state");
  }

  Daemon daemon;
};

TEST_F(Routes, ServicesAsPublished) {
  const Got list = get("/services");
  ASSERT_EQ(list.status, 200U);
  ASSERT_EQ(list.object().at("services").as_array().size(), 2U);
  const Got web = get("/services/web");
  for (const char* field : {"name", "kind", "state", "since", "pid", "instances", "priority",
                            "depends_on", "probes", "breaker", "last_checkpoint"}) {
    EXPECT_TRUE(web.object().contains(field)) << field;
  }
  EXPECT_EQ(web.text("kind"), "run");
  EXPECT_EQ(web.text("state"), "healthy");
  EXPECT_EQ(web.text("breaker"), "closed");
  EXPECT_EQ(json::serialize(web.object().at("depends_on")), R"(["db"])");
  EXPECT_EQ(json::serialize(web.object().at("instances")),
            R"([{"name":"web","pid":101,"state":"up","restarts":0}])");
  const json::object& probe = web.object().at("probes").as_array().at(0).as_object();
  EXPECT_EQ(probe.at("kind").as_string(), "tcp");
  EXPECT_EQ(probe.at("state").as_string(), "passing");
  EXPECT_EQ(probe.at("latency_ms").to_number<double>(), 2.0);
}

TEST_F(Routes, UnknownThingsAreProblems) {
  const Got got = get("/services/nope");
  EXPECT_EQ(got.status, 404U);
  EXPECT_EQ(got.type, "application/problem+json");
  EXPECT_EQ(got.code(), "SERVICE_NOT_FOUND");
  EXPECT_EQ(got.text("type"), "urn:recoverd:problem:service-not-found");
  EXPECT_EQ(got.text("title"), "Service not found");
  EXPECT_EQ(got.object().at("status").as_int64(), 404);
  EXPECT_EQ(get("/incidents/inc-9").code(), "INCIDENT_NOT_FOUND");
  EXPECT_EQ(get("/recoveries/rec-9").code(), "RECOVERY_NOT_FOUND");
  EXPECT_EQ(get("/recoveries/rec-9/explain").code(), "RECOVERY_NOT_FOUND");
  EXPECT_EQ(get("/recoveries/x/explain").status, 404U);
  EXPECT_EQ(get("/checkpoints/nope").code(), "CHECKPOINT_NOT_FOUND");
  EXPECT_EQ(get("/nowhere").code(), "NOT_FOUND");
  EXPECT_EQ(post("/services").status, 405U);
  EXPECT_EQ(post("/services/web/recover", R"({"playbook":"nope"})").code(), "PLAYBOOK_NOT_FOUND");
}

TEST_F(Routes, RolesAreKept) {
  for (const Route& route : routes()) {
    if (route.pattern.starts_with(kRoot)) continue;
    const Got got = call(route.method, std::string(route.pattern), {}, Role::Viewer);
    if (route.role > Role::Viewer) {
      EXPECT_EQ(got.status, 403U) << route.pattern;
      EXPECT_EQ(got.code(), "FORBIDDEN");
    } else {
      EXPECT_NE(got.status, 403U) << route.pattern;
    }
  }
  EXPECT_FALSE(call(Method::Get, "/health", {}, Role::Public).object().contains("services"));
  EXPECT_TRUE(get("/health").object().contains("services"));
}

TEST_F(Routes, EveryPostThatChangesNeedsMoreThanAViewer) {
  for (const Route& route : routes()) {
    if (route.method == Method::Get) continue;
    EXPECT_GT(route.role, Role::Viewer) << route.pattern;
  }
}

TEST_F(Routes, CommandsAreAcceptedAndDone) {
  EXPECT_EQ(post("/services/web/stop").status, 202U);
  EXPECT_EQ(state_of("web"), "stopped");
  const Got start = post("/services/web/start");
  EXPECT_EQ(start.status, 202U);
  EXPECT_EQ(start.text("poll"), "/api/v1/recovery/services/web");
  daemon.look_at_all();
  EXPECT_EQ(state_of("web"), "healthy");
  EXPECT_GE(get("/services/web").object().at("epoch").to_number<std::uint64_t>(),
            static_cast<std::uint64_t>(start.object().at("epoch").to_number<double>()));
  EXPECT_EQ(post("/services/web/restart").status, 202U);
  EXPECT_EQ(post("/services/web/reload").status, 202U);
  EXPECT_EQ(post("/services/web/quarantine").status, 202U);
  EXPECT_EQ(state_of("web"), "quarantined");
  EXPECT_EQ(post("/services/web/release").status, 202U);
}

TEST_F(Routes, ScaleStaysWithinWhatIsAllowed) {
  EXPECT_EQ(post("/services/web/scale", R"({"instances":3})").status, 202U);
  EXPECT_EQ(get("/services/web").object().at("instances").as_array().size(), 3U);
  EXPECT_EQ(post("/services/web/scale", R"({"instances":"4"})").status, 202U);
  const Got many = post("/services/web/scale", R"({"instances":9})");
  EXPECT_EQ(many.status, 409U);
  EXPECT_NE(many.text("detail").find("1 to 4"), std::string::npos) << many.text("detail");
  EXPECT_EQ(post("/services/web/scale", R"({"instances":-1})").status, 400U);
  EXPECT_EQ(post("/services/web/scale", R"({"instances":"many"})").status, 400U);
  EXPECT_EQ(post("/services/web/scale").status, 400U);
  EXPECT_EQ(post("/services/nope/scale", R"({"instances":1})").status, 404U);
}

TEST_F(Routes, ARefusalNamesTheRuleAndIsJournaled) {
  daemon.held.insert(core::ActionKind::Restart);
  ASSERT_EQ(post("/services/web/restart").status, 202U);
  const Got again = post("/services/web/restart");
  EXPECT_EQ(again.status, 409U);
  EXPECT_EQ(again.text("rule"), "operator");
  const Got events = get("/events?type=operator:refused");
  ASSERT_EQ(events.object().at("events").as_array().size(), 1U);
  const json::object& event = events.object().at("events").as_array().at(0).as_object();
  EXPECT_EQ(event.at("actor").as_string(), "uid:0(root)");
  EXPECT_EQ(event.at("service").as_string(), "web");
}

TEST_F(Routes, ACrashIsRecoveredAndExplained) {
  daemon.crash(Daemon::kWeb);
  daemon.look_at_all();
  const Got list = get("/recoveries");
  ASSERT_EQ(list.object().at("recoveries").as_array().size(), 1U);
  const json::object& recovery = list.object().at("recoveries").as_array().at(0).as_object();
  for (const char* field :
       {"id", "incident", "service", "playbook", "mode", "state", "reasons", "checkpoint", "steps",
        "validation", "rollback", "started_at", "ended_at", "duration_ms", "rto_met"}) {
    EXPECT_TRUE(recovery.contains(field)) << field;
  }
  EXPECT_EQ(recovery.at("id").as_string(), "rec-1");
  EXPECT_EQ(recovery.at("state").as_string(), "succeeded") << json::serialize(recovery);
  EXPECT_EQ(recovery.at("playbook").as_string(), "restart_it");
  EXPECT_TRUE(recovery.at("rto_met").as_bool());
  const Got incident = get("/incidents/1");
  EXPECT_EQ(incident.text("state"), "resolved");
  EXPECT_EQ(incident.text("class"), "service_failure");
  EXPECT_EQ(json::serialize(incident.object().at("recoveries")), R"(["rec-1"])");
  const Got explained = get("/recoveries/7/explain");
  EXPECT_EQ(explained.status, 404U);
  const Got why = get("/recoveries/1/explain");
  ASSERT_EQ(why.status, 200U);
  std::set<std::string> kinds;
  std::string last;
  for (const json::value& row : why.object().at("chain").as_array()) {
    kinds.insert(row.as_object().at("kind").as_string().c_str());
    if (row.as_object().at("at").is_null()) continue;  // Not yet.
    const std::string at = row.as_object().at("at").as_string().c_str();
    EXPECT_LE(last, at);
    last = at;
  }
  for (const char* kind : {"symptom", "incident", "gate", "step", "validation", "verdict"}) {
    EXPECT_TRUE(kinds.contains(kind)) << kind;
  }
  EXPECT_EQ(why.object().at("chain").as_array().at(0).as_object().at("kind").as_string(),
            "symptom");
  EXPECT_NE(why.text("summary").find("succeeded"), std::string::npos);
}

TEST_F(Routes, ExplainsFromTheJournalAlone) {
  const ports::Entry old{.kind = ports::EntryKind::Notice,
                         .wall_ns = Daemon::kWallStart,
                         .at = Instant(),
                         .type = "recovery:failed",
                         .service = "web",
                         .incident = 77,
                         .recovery = 99,
                         .body = R"({"message":"gave up","reasons":[
                           {"rule":"validation","verdict":"refuse","detail":"not met"}]})"};
  ASSERT_TRUE(daemon.journal().append(std::span(&old, 1), ports::Durability::ProcessCrash));
  const Got why = get("/recoveries/rec-99/explain");
  ASSERT_EQ(why.status, 200U);
  EXPECT_EQ(why.text("source"), "journal");
  EXPECT_EQ(why.text("incident"), "inc-77");
  EXPECT_EQ(json::serialize(why.object().at("chain")),
            R"([{"at":"2026-01-31T12:00:00.000Z","kind":"event","text":"gave up"},)"
            R"({"at":"2026-01-31T12:00:00.000Z","kind":"reason","text":"not met",)"
            R"("rule":"validation","verdict":"refuse"}])");
}

TEST_F(Routes, ApprovalNeedsTheHashOfThePlan) {
  ASSERT_EQ(call(Method::Put, "/mode", R"({"mode":"semi-automatic"})").status, 202U);
  daemon.crash(Daemon::kWeb);
  const Got waiting = get("/recoveries/1");
  ASSERT_EQ(waiting.text("state"), "awaiting_approval") << json::serialize(waiting.body);
  EXPECT_EQ(post("/recoveries/1/approve").code(), "PLAN_HASH_REQUIRED");
  const Got stale = post("/recoveries/1/approve", R"({"plan_hash":"1"})");
  EXPECT_EQ(stale.status, 409U);
  EXPECT_FALSE(stale.text("rule").empty());
  EXPECT_EQ(get("/recoveries/1").text("state"), "awaiting_approval");
  const Got good = post("/recoveries/1/approve",
                        R"({"plan_hash":")" + waiting.text("plan_hash") + R"(","comment":"ok"})");
  EXPECT_EQ(good.status, 202U) << json::serialize(good.body);
  daemon.look_at_all();
  EXPECT_EQ(get("/recoveries/1").text("state"), "succeeded");
  EXPECT_EQ(get("/recoveries/1").text("approved_by"), "uid:0(root)");
}

TEST_F(Routes, RejectionEndsIt) {
  ASSERT_EQ(call(Method::Put, "/mode", R"({"mode":"semi-automatic"})").status, 202U);
  daemon.crash(Daemon::kWeb);
  EXPECT_EQ(post("/recoveries/rec-1/reject", R"({"comment":"no"})").status, 202U);
  EXPECT_EQ(get("/recoveries/1").text("state"), "rejected");
}

TEST_F(Routes, RecoverOnRequest) {
  const Got got = post("/services/web/recover", R"({"playbook":"restart_it"})");
  ASSERT_EQ(got.status, 202U) << json::serialize(got.body);
  EXPECT_EQ(got.text("recovery"), "rec-1");
  daemon.look_at_all();
  EXPECT_EQ(get("/recoveries/rec-1").text("requested_by"), "uid:0(root)");
  EXPECT_EQ(post("/trigger", R"({"service":"db"})").status, 202U);
  EXPECT_EQ(post("/trigger").code(), "BAD_REQUEST");
}

TEST_F(Routes, ADryRunChangesNothing) {
  const std::uint64_t before = daemon.engine().state_hash();
  const Got got = post("/test", R"({"service":"web"})");
  ASSERT_EQ(got.status, 200U) << json::serialize(got.body);
  EXPECT_TRUE(got.object().at("would_run").as_bool());
  EXPECT_EQ(got.object().at("steps").as_array().size(), 1U);
  EXPECT_GE(got.object().at("plan").as_object().at("reasons").as_array().size(), 1U);
  EXPECT_EQ(daemon.engine().state_hash(), before);
}

TEST_F(Routes, ModeAndKillSwitch) {
  EXPECT_EQ(get("/mode").text("mode"), "automatic");
  EXPECT_EQ(call(Method::Put, "/mode", R"({"mode":"shadow","service":"web"})").status, 202U);
  const Got mode = get("/mode");
  EXPECT_EQ(mode.object().at("services").as_array().at(1).as_object().at("effective").as_string(),
            "shadow");
  EXPECT_EQ(call(Method::Put, "/mode", R"({"mode":"manual"})").status, 400U);
  EXPECT_EQ(call(Method::Put, "/kill-switch", R"({"on":true})").status, 202U);
  EXPECT_TRUE(get("/health").object().at("kill_switch").as_bool());
  EXPECT_EQ(get("/health").text("status"), "degraded");
  EXPECT_EQ(call(Method::Put, "/kill-switch", R"({"on":"yes"})").status, 400U);
}

TEST_F(Routes, Maintenance) {
  EXPECT_EQ(post("/maintenance", R"({"service":"web","for":"1h"})").status, 202U);
  const Got list = get("/maintenance");
  ASSERT_EQ(list.object().at("maintenance").as_array().size(), 1U);
  EXPECT_EQ(post("/maintenance", R"({"for":"soon"})").status, 400U);
  EXPECT_EQ(post("/maintenance", R"({"until":"2020-01-01T00:00:00Z"})").status, 400U);
  EXPECT_EQ(post("/maintenance", R"({"until":"2030-01-01T00:00:00Z"})").status, 202U);
  EXPECT_EQ(call(Method::Delete, "/maintenance?service=web").status, 202U);
  EXPECT_EQ(call(Method::Delete, "/maintenance").status, 202U);
  EXPECT_TRUE(get("/maintenance").object().at("maintenance").as_array().empty());
  EXPECT_EQ(call(Method::Delete, "/maintenance?service=x").status, 404U);
}

TEST_F(Routes, BreakersAndPatterns) {
  EXPECT_EQ(get("/circuit-breakers").object().at("circuit_breakers").as_array().size(), 2U);
  EXPECT_EQ(post("/circuit-breakers/web/reset").status, 202U);
  EXPECT_EQ(post("/circuit-breakers/x/reset").status, 404U);
  EXPECT_EQ(post("/circuit-breakers/web/reset", R"({"playbook":"restart_it"})").status, 202U);
  EXPECT_EQ(get("/patterns").object().at("patterns").as_array().size(), 1U);
  EXPECT_EQ(post("/patterns", R"({"id":"api_timeout","pattern":"x"})").code(), "PATTERN_EXISTS");
  EXPECT_EQ(post("/patterns", R"({"id":"new"})").code(), "BAD_REQUEST");
  EXPECT_EQ(post("/patterns", R"({"id":"new","pattern":"("})").code(), "BAD_PATTERN");
  EXPECT_EQ(post("/patterns", R"({"id":"new","pattern":"x","colour":"red"})").status, 400U);
  EXPECT_EQ(post("/patterns", R"({"id":"new","pattern":"x"})").status, 201U);
  EXPECT_NE(daemon.yaml.find("patterns:\n  - {\"id\":\"new\""), std::string::npos) << daemon.yaml;
  EXPECT_NE(daemon.yaml.find("# kept"), std::string::npos);
  EXPECT_EQ(get("/patterns").object().at("patterns").as_array().size(), 2U);
  EXPECT_EQ(post("/patterns", R"({"id":"new","pattern":"x"})").code(), "PATTERN_EXISTS");
  EXPECT_EQ(call(Method::Delete, "/patterns/new").status, 200U);
  EXPECT_EQ(call(Method::Delete, "/patterns/new").code(), "PATTERN_NOT_FOUND");
  EXPECT_EQ(call(Method::Delete, "/patterns/api_timeout").code(), "CANNOT_EDIT");
  EXPECT_TRUE(
      post("/patterns/test", R"({"text":"read timeout"})").object().at("matched").as_bool());
  EXPECT_FALSE(post("/patterns/test", R"({"text":"fine"})").object().at("matched").as_bool());
  EXPECT_EQ(post("/patterns/test", R"({"text":"a","pattern":"("})").code(), "BAD_PATTERN");
}

TEST_F(Routes, EventsPageAndFilter) {
  daemon.crash(Daemon::kWeb);
  const Got all = get("/events");
  ASSERT_FALSE(all.object().at("events").as_array().empty());
  const json::object& first = all.object().at("events").as_array().at(0).as_object();
  for (const char* field : {"id", "time", "type", "severity", "service", "incident", "recovery",
                            "actor", "message", "data"}) {
    EXPECT_TRUE(first.contains(field)) << field;
  }
  const auto next = all.object().at("next_after").to_number<std::uint64_t>();
  EXPECT_TRUE(
      get("/events?after=" + std::to_string(next)).object().at("events").as_array().empty());
  EXPECT_EQ(get("/events?limit=1").object().at("events").as_array().size(), 1U);
  EXPECT_TRUE(get("/events?service=nobody").object().at("events").as_array().empty());
  EXPECT_FALSE(get("/events?kind=event").object().at("events").as_array().empty());
  EXPECT_EQ(get("/events?after=x").status, 400U);
  EXPECT_EQ(get("/events?last=x").status, 400U);
  EXPECT_EQ(get("/events?kind=x").status, 400U);
  EXPECT_EQ(get("/events?last=1h").status, 200U);
}

TEST_F(Routes, ListsArePagedByCursor) {
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(post("/trigger", R"({"service":"db"})").status, 202U);
    daemon.look_at_all();
  }
  const Got first = get("/recoveries?limit=2");
  EXPECT_EQ(first.text("next_after"), "rec-2");
  const Got rest = get("/recoveries?limit=2&after=rec-2");
  ASSERT_EQ(rest.object().at("recoveries").as_array().size(), 1U);
  EXPECT_EQ(rest.object().at("recoveries").as_array()[0].at("id").as_string(), "rec-1");
  EXPECT_TRUE(rest.object().at("next_after").is_null());
  EXPECT_EQ(get("/recoveries?limit=none").status, 400U);
  EXPECT_EQ(get("/recoveries?after=x").status, 400U);
  const Got unknown = get("/recoveries?servce=db");
  EXPECT_EQ(unknown.status, 400U);
  EXPECT_NE(unknown.text("detail").find("servce"), std::string::npos);
  // Events: page by page from the first, none left out.
  std::size_t seen = 0;
  std::uint64_t after = 0;
  const std::size_t all = get("/events?limit=1000").object().at("events").as_array().size();
  for (std::size_t page = 1; page > 0;) {
    const Got got = get("/events?limit=2&after=" + std::to_string(after));
    page = got.object().at("events").as_array().size();
    seen += page;
    after = got.object().at("next_after").to_number<std::uint64_t>();
  }
  EXPECT_EQ(seen, all);
}

TEST_F(Routes, TagsTellWhetherItChanged) {
  Request request;
  request.path = std::string(kPrefix) + "/configuration";
  request.caller = {Role::Admin, "uid:0(root)"};
  const Backend backend = daemon.backend();
  const auto send = [&](const Request& what) {
    Response got;
    dispatch(backend, what, [&](Response response) { got = std::move(response); });
    return got;
  };
  const auto tag_of = [](const Response& response) {
    for (const auto& [name, value] : response.headers) {
      if (name == "ETag") return value;
    }
    return std::string();
  };
  const std::string tag = tag_of(send(request));
  ASSERT_FALSE(tag.empty());
  Request again = request;
  again.if_none_match = "\"other\", W/" + tag;
  EXPECT_EQ(send(again).status, 304U);
  EXPECT_TRUE(send(again).body.empty());
  Request put = request;
  put.method = Method::Put;
  put.body = "version: 1\n";
  put.if_match = "\"stale\"";
  EXPECT_EQ(send(put).status, 412U);
  put.if_match = tag;
  EXPECT_EQ(send(put).status, 200U);
  EXPECT_EQ(send(put).status, 412U);  // It is another one now.
  EXPECT_EQ(send(again).status, 200U);
}

TEST_F(Routes, AnIdempotencyKeyActsOnce) {
  const Backend backend = daemon.backend();
  Repeats repeats;
  Request request;
  request.method = Method::Post;
  request.path = std::string(kPrefix) + "/trigger";
  request.body = R"({"service":"db"})";
  request.idempotency_key = "k1";
  request.caller = {Role::Admin, "uid:0(root)"};
  const auto send = [&](Repeats& to, const Request& what) {
    Response got;
    to.dispatch(backend, what, [&](Response response) { got = std::move(response); });
    return got;
  };
  const Response first = send(repeats, request);
  ASSERT_EQ(first.status, 202U) << first.body;
  daemon.look_at_all();
  EXPECT_EQ(send(repeats, request).body, first.body);
  Request other = request;
  other.body = R"({"service":"web"})";
  EXPECT_EQ(send(repeats, other).status, 422U);
  // Another caller's key is another key, and a new process remembers.
  other.caller.actor = "uid:1";
  EXPECT_EQ(send(repeats, other).status, 202U);
  daemon.look_at_all();
  Repeats reborn;
  const Response replayed = send(reborn, request);
  EXPECT_EQ(replayed.body, first.body);
  EXPECT_EQ(replayed.status, 202U);
  EXPECT_EQ(get("/recoveries").object().at("recoveries").as_array().size(), 2U);
  request.idempotency_key = std::string(300, 'k');
  EXPECT_EQ(send(repeats, request).status, 400U);
}

TEST_F(Routes, StreamResumesAndTellsOfGaps) {
  daemon.crash(Daemon::kWeb);
  const Backend backend = daemon.backend();
  Request request;
  request.query["after"] = "0";
  auto stream = EventStream::open(backend, request);
  ASSERT_TRUE(stream.has_value());
  const std::string text = stream->next();
  EXPECT_EQ(text.rfind("id: ", 0), 0U) << text;
  EXPECT_NE(text.find("\nevent: "), std::string::npos);
  EXPECT_EQ(stream->next(), "");
  request.query["after"] = "x";
  EXPECT_FALSE(EventStream::open(backend, request).has_value());
}

TEST_F(Routes, HistoryAndMachine) {
  EXPECT_EQ(get("/statistics").object().at("services").to_number<int>(), 2);
  EXPECT_EQ(get("/logs?service=web").object().at("logs").as_array().size(), 3U);
  EXPECT_EQ(get("/logs?level=ERROR").object().at("logs").as_array().size(), 1U);
  EXPECT_EQ(get("/logs?last=10m").object().at("logs").as_array().size(), 1U);
  EXPECT_EQ(get("/logs?service=x").status, 404U);
  EXPECT_EQ(get("/logs?lines=x").status, 400U);
  EXPECT_EQ(get("/resources").object().at("resources").as_array().size(), 2U);
  EXPECT_TRUE(get("/journal/verify").object().at("whole").as_bool());
  daemon.journal().broken_at = 3;
  EXPECT_EQ(get("/journal/verify").object().at("broken_at").to_number<int>(), 3);
}

TEST_F(Routes, Configuration) {
  EXPECT_EQ(get("/configuration").type, "application/yaml");
  EXPECT_EQ(post("/configuration/reload").text("summary"), "1 changed");
  EXPECT_EQ(call(Method::Put, "/configuration", "version: 1").status, 200U);
  const Got bad = call(Method::Put, "/configuration", "nonsense: 1");
  EXPECT_EQ(bad.status, 422U);
  EXPECT_EQ(bad.object().at("errors").as_array().size(), 1U);
  EXPECT_EQ(call(Method::Put, "/configuration").status, 400U);
}

TEST_F(Routes, Checkpoints) {
  EXPECT_EQ(get("/checkpoints").object().at("checkpoints").as_array().size(), 1U);
  EXPECT_TRUE(get("/checkpoints?service=db").object().at("checkpoints").as_array().empty());
  EXPECT_EQ(get("/checkpoints/last-good").object().at("paths").as_array().size(), 1U);
  EXPECT_EQ(post("/checkpoints", R"({"name":"before"})").status, 202U);
  EXPECT_EQ(post("/checkpoints", R"({"name":"../x"})").status, 400U);
  EXPECT_EQ(post("/checkpoints", R"({"name":"a","service":"db"})").code(), "NOTHING_TO_HOLD");
  EXPECT_EQ(post("/checkpoints/last-good/restore").text("service"), "web");
  const Got nope = post("/checkpoints/nope/restore", R"({"service":"web"})");
  EXPECT_EQ(nope.code(), "CHECKPOINT_NOT_FOUND");
  EXPECT_NE(nope.text("detail").find("last-good"), std::string::npos) << nope.text("detail");
  EXPECT_EQ(post("/checkpoints/nope/restore").status, 404U);
  EXPECT_EQ(post("/checkpoints/last-good/restore", R"({"service":"nope"})").status, 404U);
  EXPECT_FALSE(get("/events?type=checkpoint:restored").object().at("events").as_array().empty());
  EXPECT_EQ(post("/checkpoints/prune").object().at("removed").to_number<int>(), 1);
}

TEST_F(Routes, BodiesAreChecked) {
  EXPECT_EQ(post("/trigger", "{").status, 400U);
  EXPECT_EQ(post("/trigger", "[]").status, 400U);
  EXPECT_EQ(post("/trigger", R"({"service":3})").status, 400U);
  const Got unknown = post("/trigger", R"({"servce":"web"})");
  EXPECT_EQ(unknown.status, 400U);
  EXPECT_NE(unknown.text("detail").find("servce"), std::string::npos);
  EXPECT_EQ(post("/trigger", std::string(100, '[')).status, 400U);
}

TEST_F(Routes, WithoutAPartItSaysSo) {
  Backend bare = daemon.backend();
  bare.tail = nullptr;
  Request request;
  request.path = std::string(kPrefix) + "/logs";
  request.caller.role = Role::Admin;
  unsigned status = 0;
  dispatch(bare, request, [&](const Response& response) { status = response.status; });
  EXPECT_EQ(status, 501U);
}

TEST_F(Routes, TheDocumentListsEveryRoute) {
  Request request;
  request.path = "/api/v1/openapi.json";
  Response got;
  dispatch(daemon.backend(), request, [&](Response response) { got = std::move(response); });
  const json::value document = json::parse(got.body);
  EXPECT_EQ(document.at("openapi").as_string(), "3.1.0");
  std::set<std::string> ids;
  std::size_t operations = 0;
  for (const auto& path : document.at("paths").as_object()) {
    for (const auto& operation : path.value().as_object()) {
      ++operations;
      ids.insert(operation.value().at("operationId").as_string().c_str());
    }
  }
  EXPECT_EQ(operations, routes().size() + 1);  // And the stream.
  EXPECT_EQ(ids.size(), operations);
  for (const Route& route : routes()) {
    const bool whole = route.pattern.starts_with(kRoot);
    const std::string path = (whole ? "" : std::string(kPrefix)) + std::string(route.pattern);
    std::string method(to_string(route.method));
    std::transform(method.begin(), method.end(), method.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    const json::value* item = document.at("paths").as_object().if_contains(path);
    ASSERT_NE(item, nullptr) << path;
    EXPECT_TRUE(item->as_object().contains(method)) << method << ' ' << path;
  }
}

}  // namespace
}  // namespace recover::api
