// Tells the engine a story, an event at a time, fires its timers on the way, and keeps what came of
// it: the stories of src/core/*_test.cc.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/engine.h"

namespace recover::core {

inline constexpr ServiceIndex kFirst{0};
inline constexpr ServiceIndex kSecond{1};

inline ProbePolicy tcp_probe() {
  ProbePolicy probe;
  probe.spec = TcpProbe{.host = "127.0.0.1", .port = 80};
  return probe;
}

inline ServicePolicy run_service(std::string name, std::vector<ServiceIndex> depends_on = {},
                                 std::size_t probes = 1) {
  ServicePolicy service;
  service.name = std::move(name);
  service.spec = RunSpec{};
  service.depends_on = std::move(depends_on);
  for (std::size_t i = 0; i < probes; ++i) service.probes.push_back(tcp_probe());
  service.playbooks = {PlaybookIndex{0}};
  return service;
}

inline StepPolicy step_of(ActionKind action) {
  StepPolicy step;
  step.name = to_string(action);
  step.action = action;
  return step;
}

// One restart; running and healthy for a second.
inline PlaybookPolicy restart_playbook(std::string id = "restart") {
  PlaybookPolicy playbook;
  playbook.id = std::move(id);
  TriggerPolicy by_class;
  by_class.failure = FailureClass::ServiceFailure;
  TriggerPolicy by_symptom;
  by_symptom.symptom = Symptom::ProcessCrash;
  playbook.triggers = {by_class, by_symptom};
  playbook.steps = {step_of(ActionKind::Restart)};
  playbook.validation.within = seconds{20};
  playbook.validation.stable_for = seconds{1};
  playbook.validation.success_criteria = {*Expression::parse("service_running == true"),
                                          *Expression::parse("health_check_passing == true")};
  return playbook;
}

inline Policy story_policy(std::vector<ServicePolicy> services) {
  Policy policy;
  policy.recovery.mode = Mode::Automatic;
  policy.recovery.retry_delay = seconds{10};
  policy.safety.blast_radius = 1.0;
  policy.services = std::move(services);
  policy.playbooks = {restart_playbook()};
  return policy;
}

class Story {
 public:
  explicit Story(Policy policy) : engine_(std::move(policy), now_) {}
  // Goes on with an engine that was restored.
  Story(Engine engine, Instant now) : now_(now), engine_(std::move(engine)) {}

  const Output& tell(const Event& event) {
    engine_.step(event, now_, output_);
    for (const Command& command : output_.commands) pending.push_back(command);
    for (const Command& command : output_.commands) sent.push_back(command);
    for (const Notice& notice : output_.notices) notices.push_back(notice);
    for (const CommandId id : output_.cancels) cancelled.push_back(id);
    for (const ProbeRequest& request : output_.probes) looks.push_back(request.service);
    return output_;
  }
  // Lets time pass; the engine's timers fire when they are due.
  void pass(Duration time) {
    const Instant until = now_ + time;
    while (engine_.next_timer() <= until) {
      now_ = std::max(now_, engine_.next_timer());
      tell(TimerFired{});
    }
    now_ = until;
  }

  void run(ServiceIndex service, std::int64_t pid) {
    tell(ProcessStarted{service, 0, {pid, 1}, false});
    tell(ProcessReady{service, 0, {pid, 1}});
  }
  void crash(ServiceIndex service, std::int64_t pid) {
    ProcessExited event;
    event.service = service;
    event.incarnation = {pid, 1};
    event.signal = 9;
    event.code = -1;
    tell(event);
  }
  const Output& probe(ServiceIndex service, bool passed, std::uint32_t index = 0) {
    ProbeFinished event;
    event.service = service;
    event.probe = index;
    event.outcome = passed ? ProbeOutcome::Passed : ProbeOutcome::Failed;
    event.started_at = now_;
    event.latency = milliseconds{3};
    event.detail = passed ? "" : "wrong answer";
    return tell(event);
  }
  // Until the probe fails or passes for good.
  void probe_all(ServiceIndex service, bool passed) {
    const auto count = engine_.policy().service(service).probes.size();
    for (int row = 0; row < 3; ++row) {
      pass(milliseconds{1});
      for (std::uint32_t index = 0; index < count; ++index) probe(service, passed, index);
    }
  }
  // Answers the oldest command without an answer.
  Command answer(CommandOutcome outcome = CommandOutcome::Done, std::string checkpoint = {}) {
    RECOVER_CHECK(!pending.empty());
    const Command command = pending.front();
    pending.erase(pending.begin());
    CommandFinished event;
    event.command = command.id;
    event.outcome = outcome;
    event.detail = outcome == CommandOutcome::Done ? "" : "it did not work";
    event.checkpoint = std::move(checkpoint);
    tell(event);
    return command;
  }
  void bring_up(ServiceIndex service, std::int64_t pid) {
    while (!pending.empty() && pending.front().service == service) answer();
    run(service, pid);
    probe_all(service, true);
  }

  Engine& engine() { return engine_; }
  const State& state() const { return engine_.state(); }
  const ServiceHealth& health(ServiceIndex service) const {
    return state().services.at(service.value);
  }
  const Incident& incident(std::uint64_t id) const { return state().incidents.at(IncidentId{id}); }
  const Recovery& recovery(std::uint64_t id) const { return state().recoveries.at(RecoveryId{id}); }
  Instant now() const { return now_; }
  std::size_t count(std::string_view type) const {
    return static_cast<std::size_t>(
        std::ranges::count_if(notices, [type](const Notice& n) { return n.type == type; }));
  }
  bool gave(const std::vector<Reason>& reasons, Rule rule, Verdict verdict) const {
    return std::ranges::any_of(reasons, [&](const Reason& reason) {
      return reason.rule == rule && reason.verdict == verdict;
    });
  }

  std::vector<Command> pending;  // Without an answer.
  std::vector<Command> sent;
  std::vector<Notice> notices;
  std::vector<CommandId> cancelled;
  std::vector<ServiceIndex> looks;

 private:
  Instant now_{hours{1}};
  Engine engine_;
  Output output_;
};

}  // namespace recover::core
