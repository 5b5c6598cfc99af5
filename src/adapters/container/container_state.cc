#include "adapters/container/container_state.h"

#include <boost/json.hpp>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <tuple>
#include <utility>

namespace recover::adapters::container {
namespace {

namespace json = boost::json;
using core::OwnerVerdict;
using namespace std::chrono_literals;

constexpr Duration kRestartWait = 60s;  // The engine's pause before a restart is below that.
constexpr std::size_t kDetailMax = 512;
constexpr int kSignalBase = 128;  // As shells have it.

std::optional<json::value> parse(std::string_view text) {
  json::error_code error;
  json::value value = json::parse(json::string_view(text.data(), text.size()), error);
  if (error) return std::nullopt;
  return value;
}

const json::value* at(const json::value& value, std::string_view key) {
  const auto* object = value.if_object();
  return object == nullptr ? nullptr
                           : object->if_contains(json::string_view(key.data(), key.size()));
}
const json::value* at(const json::value& value, std::string_view a, std::string_view b) {
  const json::value* inner = at(value, a);
  return inner == nullptr ? nullptr : at(*inner, b);
}

std::string text(const json::value* value) {
  const json::string* found = value == nullptr ? nullptr : value->if_string();
  return found == nullptr ? std::string() : std::string(found->data(), found->size());
}
std::int64_t number(const json::value* value) {
  if (value == nullptr) return 0;
  if (const auto* whole = value->if_int64()) return *whole;
  if (const auto* whole = value->if_uint64()) return static_cast<std::int64_t>(*whole);
  return 0;
}
bool flag(const json::value* value) {
  const bool* found = value == nullptr ? nullptr : value->if_bool();
  return found != nullptr && *found;
}

std::string cut(std::string long_text) {
  while (!long_text.empty() && (long_text.back() == '\n' || long_text.back() == ' ')) {
    long_text.pop_back();
  }
  if (long_text.size() > kDetailMax) long_text.resize(kDetailMax);
  return long_text;
}

// Docker writes State.Health, older Podman State.Healthcheck.
const json::value* health_of(const json::value& whole) {
  const json::value* state = at(whole, "State");
  if (state == nullptr) return nullptr;
  const json::value* health = at(*state, "Health");
  return health != nullptr ? health : at(*state, "Healthcheck");
}

std::string last_log(const json::value& health) {
  const json::value* log = at(health, "Log");
  const auto* lines = log == nullptr ? nullptr : log->if_array();
  if (lines == nullptr || lines->empty()) return {};
  return cut(text(at(lines->back(), "Output")));
}

bool restarts_itself(const ContainerFacts& facts) {
  if (facts.restart_policy == "always" || facts.restart_policy == "unless-stopped") return true;
  if (facts.restart_policy != "on-failure" || facts.exit_code == 0) return false;
  return facts.restarts_max == 0 || facts.restart_count < facts.restarts_max;
}

void describe_exit(const ContainerFacts& facts, ContainerReport& report) {
  const bool by_signal = facts.exit_code > kSignalBase && facts.exit_code < kSignalBase + 65;
  report.code = by_signal ? -1 : facts.exit_code;
  report.signal = by_signal ? facts.exit_code - kSignalBase : 0;
  report.detail = "container " + facts.name + " ended with " +
                  (by_signal ? "signal " + std::to_string(report.signal)
                             : "exit status " + std::to_string(facts.exit_code));
  if (facts.oom_killed) report.detail += ", out of memory";
  if (!facts.error.empty()) report.detail += ": " + cut(facts.error);
}

ContainerReport judge_down(const ContainerFacts& facts, bool stop_asked, bool ran) {
  ContainerReport report;
  describe_exit(facts, report);
  if (stop_asked) {
    report.verdict = OwnerVerdict::Stopped;
    report.detail = "container " + facts.name + " was stopped on request";
    return report;
  }
  if (ran && restarts_itself(facts)) {
    report.verdict = OwnerVerdict::Healing;
    report.within = kRestartWait;
    report.detail += "; the engine restarts it (" + facts.restart_policy + ")";
    return report;
  }
  // Of one we never saw run, a status that a polite stop leaves says nothing bad.
  const bool polite = facts.exit_code == 0 || report.signal == 15 || report.signal == 9;
  const bool failed = ran || !polite || facts.oom_killed || !facts.error.empty();
  report.verdict = failed ? OwnerVerdict::Failed : OwnerVerdict::Stopped;
  if (facts.status == "created") report.detail = "container " + facts.name + " was never started";
  return report;
}

}  // namespace

std::optional<ContainerFacts> parse_container(std::string_view body) {
  const auto whole = parse(body);
  if (!whole || at(*whole, "State") == nullptr) return std::nullopt;
  ContainerFacts facts;
  facts.id = text(at(*whole, "Id"));
  facts.name = text(at(*whole, "Name"));
  if (facts.name.starts_with('/')) facts.name.erase(0, 1);
  facts.status = text(at(*whole, "State", "Status"));
  facts.started_at = text(at(*whole, "State", "StartedAt"));
  facts.error = text(at(*whole, "State", "Error"));
  facts.pid = number(at(*whole, "State", "Pid"));
  facts.exit_code = static_cast<int>(number(at(*whole, "State", "ExitCode")));
  facts.oom_killed = flag(at(*whole, "State", "OOMKilled"));
  if (const json::value* health = health_of(*whole)) {
    facts.health = text(at(*health, "Status"));
    facts.health_log = last_log(*health);
  }
  facts.restart_count = static_cast<std::uint64_t>(number(at(*whole, "RestartCount")));
  if (const json::value* policy = at(*whole, "HostConfig", "RestartPolicy")) {
    facts.restart_policy = text(at(*policy, "Name"));
    facts.restarts_max = static_cast<std::uint64_t>(number(at(*policy, "MaximumRetryCount")));
  }
  return facts;
}

std::vector<std::string> parse_ids(std::string_view body) {
  const auto whole = parse(body);
  const auto* all = whole ? whole->if_array() : nullptr;
  if (all == nullptr) return {};
  struct Found {
    std::int64_t place = 0;
    std::string name;
    std::string id;
  };
  std::vector<Found> found;
  for (const json::value& each : *all) {
    Found one;
    one.id = text(at(each, "Id"));
    const std::string place = text(at(each, "Labels", "com.docker.compose.container-number"));
    std::from_chars(place.data(), place.data() + place.size(), one.place);
    const json::value* names = at(each, "Names");
    const auto* list = names == nullptr ? nullptr : names->if_array();
    if (list != nullptr && !list->empty()) one.name = text(&list->front());
    if (!one.id.empty()) found.push_back(std::move(one));
  }
  std::ranges::sort(found, [](const Found& a, const Found& b) {
    return std::tie(a.place, a.name) < std::tie(b.place, b.name);
  });
  std::vector<std::string> ids;
  for (Found& one : found) ids.push_back(std::move(one.id));
  return ids;
}

std::optional<EngineEvent> parse_event(std::string_view line) {
  const auto whole = parse(line);
  if (!whole) return std::nullopt;
  EngineEvent event;
  event.action = text(at(*whole, "Action"));
  if (event.action.empty()) event.action = text(at(*whole, "status"));
  if (const json::value* actor = at(*whole, "Actor")) {
    event.id = text(at(*actor, "ID"));
    event.name = text(at(*actor, "Attributes", "name"));
    event.signal = text(at(*actor, "Attributes", "signal"));
    event.compose_service = text(at(*actor, "Attributes", "com.docker.compose.service"));
    event.compose_project = text(at(*actor, "Attributes", "com.docker.compose.project"));
  }
  return event;
}

std::string parse_message(std::string_view body) {
  const auto whole = parse(body);
  const std::string message = whole ? text(at(*whole, "message")) : std::string();
  return cut(message.empty() ? std::string(body) : message);
}

ContainerReport judge(const ContainerFacts& facts, bool stop_asked, bool ran) {
  ContainerReport report;
  report.run = facts.id + facts.started_at;
  report.pid = facts.pid;
  if (facts.status == "restarting") {
    describe_exit(facts, report);
    report.verdict = OwnerVerdict::Healing;
    report.within = kRestartWait;
    report.detail += "; the engine restarts it (" + facts.restart_policy + ")";
    return report;
  }
  if (facts.status == "paused") {
    report.verdict = OwnerVerdict::Stopped;
    report.detail = "container " + facts.name + " is paused";
    return report;
  }
  if (facts.status != "running") return judge_down(facts, stop_asked, ran);
  if (facts.health == "starting") {
    report.verdict = OwnerVerdict::Starting;
  } else if (facts.health == "unhealthy") {
    report.verdict = OwnerVerdict::Failed;
    report.detail = "container " + facts.name + " is unhealthy" +
                    (facts.health_log.empty() ? "" : ": " + facts.health_log);
  } else {
    report.verdict = OwnerVerdict::Up;
  }
  return report;
}

}  // namespace recover::adapters::container
