// start, stop, restart, reload, quarantine, release, scale: each waits until its outcome is known.
#include <boost/json.hpp>

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "apps/recoverctl/commands.h"

namespace recover::apps {

namespace json = boost::json;

namespace {

using Steady = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kServicePoll{200};
// So long a service may be failed after a command before that is its outcome.
constexpr std::chrono::seconds kFailedMax{10};
// So long it must stay well: one that dies of a reload, or right after a start, was not well.
constexpr std::chrono::seconds kStaysMin{1};

std::string requested_path(const std::string& service) {
  return "/services/" + percent_encoded(service);
}

enum class Outcome { Pending, Good, Bad };

// What the state of a service says about a request that the daemon has worked on.
Outcome outcome_of(const std::string& request, const std::string& state) {
  if (request == "stop") return state == "stopped" ? Outcome::Good : Outcome::Pending;
  if (request == "quarantine") return state == "quarantined" ? Outcome::Good : Outcome::Pending;
  if (request == "release") return state != "quarantined" ? Outcome::Good : Outcome::Pending;
  if (state == "healthy") return Outcome::Good;
  // A start may yet become healthy; what was reloaded runs, and is as it is.
  if (request == "reload" && state == "degraded") return Outcome::Bad;
  return state == "failed" || state == "quarantined" || state == "stopped" ? Outcome::Bad
                                                                           : Outcome::Pending;
}

bool runs_on(const std::string& request) {
  return request != "stop" && request != "quarantine" && request != "release";
}

std::vector<long long> pids_of(const json::object& service) {
  std::vector<long long> pids;
  for (const json::value& instance : array_of(service, "instances")) {
    const auto pid = static_cast<long long>(number_of(object_of(instance), "pid"));
    if (pid != 0) pids.push_back(pid);
  }
  return pids;
}

std::size_t stopped_of(const json::object& service) {
  std::size_t stopped = 0;
  for (const json::value& value : array_of(service, "instances")) {
    stopped += text_of(object_of(value), "state") == "stopped" ? 1U : 0U;
  }
  return stopped;
}

// Of one of several instances, "web@2"; empty: that is not what is called so.
std::string instance_state(const json::object& service, std::string_view name) {
  for (const json::value& value : array_of(service, "instances")) {
    const json::object& instance = object_of(value);
    if (text_of(instance, "name") == name && text_of(service, "name") != name) {
      return text_of(instance, "state");
    }
  }
  return {};
}

// What a probe has yet to show since the request took effect; empty: each has looked and saw
// nothing wrong.
std::string not_seen_well(const json::object& service) {
  for (const json::value& value : array_of(service, "probes")) {
    const json::object& probe = object_of(value);
    const std::string kind = text_of(probe, "kind");
    if (!truth_of(probe, "fresh")) return "its " + kind + " probe has not looked since";
    if (text_of(probe, "latest") == "failing") {
      return "the latest look of its " + kind + " probe failed: " + text_of(probe, "detail");
    }
  }
  return {};
}

// Follows one service from a request to its outcome.
class Watch {
 public:
  Watch(const Session& session, ServiceWish wish, std::optional<std::size_t> instances = {})
      : session_(session),
        wish_(std::move(wish)),
        instances_(instances),
        deadline_(Steady::now() + wish_.timeout) {}

  // As it was before the request.
  void before(const json::object& service) {
    pids_ = pids_of(service);
    name_ = text_of(service, "name");
  }
  // Polls until the outcome is clear; shows the way there on a terminal. Throws Failure: it is bad.
  json::value wait(double epoch, const std::string& after);

 private:
  void show(const std::string& state);
  // What became of the command itself, if the daemon has told that it failed.
  void throw_if_refused(const std::string& after) const;
  Outcome judge(const json::object& service, Steady::time_point now);
  bool stays(const json::object& service, Steady::time_point now);
  [[noreturn]] void fail_with(const std::string& what) const;

  const Session& session_;
  ServiceWish wish_;
  std::optional<std::size_t> instances_;  // Of scale.
  Steady::time_point deadline_;
  std::vector<long long> pids_;
  std::string name_;  // Of the service, where the wish is about one of its instances.
  std::string shown_;
  std::optional<Steady::time_point> bad_since_;
  std::optional<Steady::time_point> good_since_;
  std::string unseen_;  // Why what looks good is not believed yet.
};

void Watch::show(const std::string& state) {
  if (!session_.terminal.tty || session_.json || state == shown_) return;
  session_.err << wish_.service << ": " << session_.paint(state) << "\n";
  shown_ = state;
}

void Watch::fail_with(const std::string& what) const {
  throw Failure(Exit::Failed, "RECOVERY_FAILED", what,
                "See `recoverctl services " + wish_.service +
                    "` and `recoverctl logs show --service " + wish_.service + "`.");
}

void Watch::throw_if_refused(const std::string& after) const {
  // A failed start is recovered from, which is worth waiting for; nobody tries the others again.
  if (after.empty() || wish_.request == "start" || wish_.request == "restart") return;
  const std::string& name = name_.empty() ? wish_.service : name_;
  const json::value events = session_.client.get(
      "/events?type=service%3Acommand_failed&limit=1000&service=" + percent_encoded(name) +
      "&after=" + after);
  const std::string begin = name + ": " + wish_.request + ": ";
  for (const json::value& event : array_of(object_of(events), "events")) {
    const std::string message = text_of(object_of(event), "message");
    if (message.starts_with(begin)) {
      fail_with(wish_.request + " of " + wish_.service +
                " failed: " + message.substr(begin.size()));
    }
  }
}

// Whether it was well for long enough, and its probes have looked since.
bool Watch::stays(const json::object& service, Steady::time_point now) {
  if (!runs_on(wish_.request)) return true;
  if (!good_since_) good_since_ = now;
  if (now - *good_since_ < kStaysMin) return false;
  if (wish_.request != "reload") return true;  // A start is healthy only by looks since.
  unseen_ = not_seen_well(service);
  return unseen_.empty();
}

Outcome Watch::judge(const json::object& service, Steady::time_point now) {
  const std::string state = text_of(service, "state");
  const std::vector<long long> pids = pids_of(service);
  if (wish_.request == "reload" && !pids_.empty() && pids != pids_) {
    fail_with("the reload ended a process of " + wish_.service + "; it is " + state +
              " now. If it cannot reload, `recoverctl restart` it instead");
  }
  const std::string alone = instance_state(service, wish_.service);
  // Of one instance only its end says anything; of all others, how the service is.
  Outcome outcome =
      outcome_of(wish_.request, wish_.request == "stop" && !alone.empty() ? alone : state);
  if (instances_) {
    // Those that a person stopped alone stay so.
    const bool right = pids.size() + stopped_of(service) == *instances_;
    outcome = right && (*instances_ == 0 || outcome == Outcome::Good) ? Outcome::Good
              : outcome == Outcome::Good                              ? Outcome::Pending
                                                                      : outcome;
  }
  if (outcome != Outcome::Bad) bad_since_ = std::nullopt;
  if (outcome == Outcome::Bad && !bad_since_) bad_since_ = now;
  if (outcome != Outcome::Good) good_since_ = std::nullopt;
  if (outcome == Outcome::Good && !stays(service, now)) return Outcome::Pending;
  if (outcome == Outcome::Bad && now - *bad_since_ <= kFailedMax) return Outcome::Pending;
  return outcome;
}

json::value Watch::wait(double epoch, const std::string& after) {
  while (true) {
    json::value answer = session_.client.get(requested_path(wish_.service));
    const json::object& service = object_of(answer);
    const std::string state = text_of(service, "state");
    show(state);
    const auto now = Steady::now();
    if (number_of(service, "epoch") >= epoch && !truth_of(service, "busy")) {
      throw_if_refused(after);
      const Outcome outcome = judge(service, now);
      if (outcome == Outcome::Good) return answer;
      if (outcome == Outcome::Bad) deadline_ = now;
    }
    if (now >= deadline_) {
      const bool doubted = good_since_ && !unseen_.empty();
      fail_with(wish_.service + " is " + state + " after `" + wish_.request + "`" +
                (doubted ? ", but " + unseen_ : ""));
    }
    std::this_thread::sleep_for(kServicePoll);
  }
}

// What a request accepted says to look after.
std::string after_of(const json::value& accepted) {
  return std::to_string(static_cast<unsigned long long>(number_of(object_of(accepted), "after")));
}

Exit request(const Session& session, const ServiceWish& wish, const json::object& body,
             std::optional<std::size_t> instances) {
  Watch watch(session, wish, instances);
  if (wish.wait) watch.before(object_of(session.client.get(requested_path(wish.service))));
  const json::value accepted =
      session.client.ask("POST", requested_path(wish.service) + "/" + wish.request, body);
  if (!wish.wait) {
    session.show(accepted, [&](const json::object&) {
      session.out << wish.request << " of " << wish.service << " was accepted; see `recoverctl "
                  << "services " << wish.service << "`\n";
    });
    return Exit::Done;
  }
  const json::value service =
      watch.wait(number_of(object_of(accepted), "epoch"), after_of(accepted));
  session.show(service, [&](const json::object& object) {
    const std::string alone = instance_state(object, wish.service);
    session.out << wish.service << " is "
                << session.paint(alone.empty() ? text_of(object, "state") : alone);
    if (instances) session.out << ", " << pids_of(object).size() << " instances";
    session.out << "\n";
  });
  return Exit::Done;
}

}  // namespace

Command request_command(ServiceWish wish) {
  return [wish = std::move(wish)](const Session& session) {
    return request(session, wish, {}, std::nullopt);
  };
}

Command heartbeat_command(std::string service) {
  return [service = std::move(service)](const Session& session) {
    const json::value answer =
        session.client.ask("POST", requested_path(service) + "/heartbeat", {});
    session.show(answer, [&](const json::object&) {
      session.out << "recoverd heard that " << service << " is alive\n";
    });
    return Exit::Done;
  };
}

Command scale_command(ServiceWish wish, int instances) {
  return [wish = std::move(wish), instances](const Session& session) {
    json::object body;
    body["instances"] = instances;
    return request(session, wish, body, static_cast<std::size_t>(instances));
  };
}

std::string await_healthy(const Session& session, const std::string& service,
                          const std::string& request, std::chrono::seconds timeout) {
  Watch watch(session, {.service = service, .request = request, .wait = true, .timeout = timeout});
  try {
    watch.wait(0, "");
  } catch (const Failure& failure) {
    if (failure.exit() != Exit::Failed) throw;
    return failure.what();
  }
  return {};
}

}  // namespace recover::apps
