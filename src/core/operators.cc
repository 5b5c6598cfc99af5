#include "core/operators.h"

#include <algorithm>

#include "core/breaker.h"
#include "core/health.h"
#include "core/hold.h"
#include "core/incident.h"
#include "core/plan.h"
#include "core/recovery.h"
#include "core/supervision.h"

namespace recover::core {
namespace {

void refuse(Turn& turn, ServiceIndex service, const std::string& actor, std::string why,
            Rule rule = Rule::Operator) {
  Notice& notice = turn.notice("operator:refused", Severity::Medium, service, why);
  notice.actor = actor;
  notice.reasons = {{rule, Verdict::Refuse, std::move(why)}};
}

void acknowledge(Turn& turn, std::optional<ServiceIndex> service, const std::string& actor,
                 std::string type, std::string message) {
  Notice& notice = turn.notice(std::move(type), Severity::Low, std::move(message));
  notice.service = service;
  notice.actor = actor;
}

// Of one that runs its steps: a second hand at the same service makes two wrongs.
bool refused_by_recovery(Turn& turn, ServiceIndex service, const std::string& actor) {
  const Recovery* recovery = turn.active_recovery(service);
  if (recovery == nullptr || recovery->started_at == kNever) return false;
  refuse(turn, service, actor,
         text({"recovery ", std::to_string(recovery->id.value), " of the service is running"}));
  return true;
}

// In quarantine a service is left alone; only what ends its process, or the quarantine, is done.
bool refused_by_quarantine(Turn& turn, const OperatorService& event) {
  const bool allowed = event.request == ServiceRequest::Stop ||
                       event.request == ServiceRequest::Quarantine ||
                       event.request == ServiceRequest::Release;
  if (allowed || !turn.state.services.at(event.service.value).quarantined) return false;
  const std::string& name = turn.service(event.service).name;
  refuse(turn, event.service, event.actor,
         text({name, " is in quarantine and left alone; `recoverctl release ", name,
               "` lifts that, then ask again"}),
         Rule::Quarantine);
  return true;
}

// Why no playbook can be chosen for a recovery that was asked for without naming one; empty: one
// can. Where nothing failed, only what is for the failure of a service in general fits.
std::string why_none_fits(Turn& turn, ServiceIndex service) {
  const Incident* known = turn.incident(turn.health(service).incident);
  Incident asked = known != nullptr ? *known : Incident{};
  if (known == nullptr) {
    asked.service = service;
    asked.symptoms = {Symptom::RecoveryRequested};
  }
  const Choice choice = choose_playbook(turn.policy, turn.state, asked);
  if (choice.playbook) return {};
  if (!choice.obstacle.empty()) return choice.obstacle;
  std::string named;
  for (const PlaybookIndex index : turn.policy.service(service).playbooks) {
    if (!is_usable(turn.policy, turn.state, index, service)) continue;
    named += text({named.empty() ? "" : ", ", turn.policy.playbook(index).id});
  }
  return text(
      {known == nullptr ? "nothing is known to be wrong, and no playbook is for class "
                        : "no playbook is for class ",
       to_string(asked.failure),
       named.empty() ? ", and none could be named" : "; name one of these with --playbook: ",
       named});
}

std::string name_of(const Turn& turn, std::optional<ServiceIndex> service) {
  return service ? turn.service(*service).name : "every service";
}

// Why that cannot be done to one of several instances; empty: it can.
std::string why_not_alone(const Turn& turn, const OperatorService& event, ActionKind action) {
  const ServiceHealth& health = turn.state.services.at(event.service.value);
  const std::string& name = turn.service(event.service).name;
  if (action == ActionKind::Reload) {
    return text(
        {"one instance can be started, stopped and restarted; to reload is for all of ", name});
  }
  const bool starts = action == ActionKind::Start;
  if (!health.wanted && !starts) return "the service is stopped; start it first";
  if (*event.instance < health.desired) return {};
  return text({"there is no ", name, "@", std::to_string(*event.instance + 1), "; ",
               std::to_string(health.desired), " run"});
}

// What a person wants of instances from now on; true: the request is about one of several alone.
bool note_holds(ServiceHealth& health, const OperatorService& event, ActionKind action) {
  if (!event.instance) {
    if (action == ActionKind::Start || action == ActionKind::Stop) release_all(health);
    return false;
  }
  if (action == ActionKind::Stop) return hold(health, *event.instance);
  release(health, *event.instance);
  return true;
}

void command(Turn& turn, const OperatorService& event, ActionKind action) {
  ServiceHealth& health = turn.health(event.service);
  if (health.supervision) {
    return refuse(turn, event.service, event.actor, "another request for it is under way");
  }
  const ServiceKind kind = kind_of(turn.service(event.service).spec);
  if (kind == ServiceKind::Observe || kind == ServiceKind::Backup) {
    return refuse(turn, event.service, event.actor,
                  kind == ServiceKind::Observe
                      ? "it is somebody else's process: seen, not started or stopped"
                      : "a backup is not started or stopped: `recoverctl backup create`");
  }
  const std::string unfit = event.instance ? why_not_alone(turn, event, action) : std::string();
  if (!unfit.empty()) return refuse(turn, event.service, event.actor, unfit);
  const bool alone = note_holds(health, event, action);
  const bool stops = action == ActionKind::Stop && !alone;
  health.wanted = !stops && (action != ActionKind::Reload || health.wanted);
  if (health.wanted && action != ActionKind::Reload) health.replaced_by = std::nullopt;
  if (stops) {
    health.start_pending = false;
    health.start_deadline = kNever;
  }
  acknowledge(turn, event.service, event.actor, "operator:service",
              text({to_string(action), " ", turn.service(event.service).name,
                    event.instance ? text({"@", std::to_string(*event.instance + 1)}) : ""}));
  // One that waits for its dependencies has nothing yet that could be started alone.
  const bool whole = !alone || (health.start_pending && action != ActionKind::Stop);
  supervise(turn, event.service, action, whole ? std::string() : std::to_string(*event.instance));
}

// The process edge starts and stops instances; how many are wanted changes once it has.
void scale(Turn& turn, const OperatorService& event) {
  ServiceHealth& health = turn.health(event.service);
  const RunSpec* run = std::get_if<RunSpec>(&turn.service(event.service).spec);
  if (run == nullptr) {
    return refuse(turn, event.service, event.actor, "only a `run:` service has instances to scale");
  }
  if (health.supervision) {
    return refuse(turn, event.service, event.actor, "another request for it is under way");
  }
  if (!health.wanted) {
    return refuse(turn, event.service, event.actor, "the service is stopped; start it first");
  }
  if (event.instances < run->scale_min || event.instances > run->scale_max) {
    return refuse(turn, event.service, event.actor,
                  text({"`scale:` allows ", std::to_string(run->scale_min), " to ",
                        std::to_string(run->scale_max), " instances"}));
  }
  if (!leaves_one(health, event.instances)) {
    const std::string& name = turn.service(event.service).name;
    return refuse(turn, event.service, event.actor,
                  text({"the instances that would be left were stopped by a person; `recoverctl ",
                        "start ", name, "` first"}));
  }
  acknowledge(
      turn, event.service, event.actor, "operator:service",
      text({"scale ", turn.service(event.service).name, " to ", std::to_string(event.instances)}));
  Command command = supervision_command(turn.policy, event.service, ActionKind::Scale, turn.now);
  command.text = std::to_string(event.instances);
  health.supervision = turn.send(std::move(command));
  refresh(turn, event.service);
}

// The number, and which instance, stand in the command's text: see signal_of().
void signal(Turn& turn, const OperatorService& event) {
  const std::string& name = turn.service(event.service).name;
  ServiceHealth& health = turn.health(event.service);
  if (health.supervision) {
    return refuse(turn, event.service, event.actor, "another request for it is under way");
  }
  if (event.signal < 1 || event.signal > kSignalNumberMax) {
    return refuse(turn, event.service, event.actor,
                  text({"there is no signal ", std::to_string(event.signal)}));
  }
  Command command = supervision_command(turn.policy, event.service, ActionKind::Signal, turn.now);
  command.idempotent = false;
  command.text = std::to_string(event.signal);
  if (event.instance) command.text += text({" ", std::to_string(*event.instance)});
  acknowledge(turn, event.service, event.actor, "operator:service",
              text({"signal ", std::to_string(event.signal), " to ", name,
                    event.instance ? text({"@", std::to_string(*event.instance + 1)}) : ""}));
  health.supervision = turn.send(std::move(command));
  refresh(turn, event.service);
}

void quarantine(Turn& turn, const OperatorService& event, bool on) {
  if (event.instance) {
    return refuse(turn, event.service, event.actor,
                  text({"one instance can be started, stopped and restarted; to quarantine and to "
                        "release is for all of ",
                        turn.service(event.service).name}));
  }
  turn.health(event.service).quarantined = on;
  acknowledge(turn, event.service, event.actor, on ? "operator:quarantine" : "operator:release",
              turn.service(event.service).name);
  refresh(turn, event.service);
}

// What a playbook was judged by is forgotten, or the next failure would take it out again.
template <class Matches>
void forget_outcomes(State& state, const Matches& matches) {
  for (std::map<Signature, Outcomes>* known : {&state.outcomes, &state.learned}) {
    std::erase_if(*known, [&matches](const auto& item) { return matches(item.first); });
  }
}

// The breakers of playbooks that are open for this service alone; true when there was one.
bool reset_playbooks_for(Turn& turn, ServiceIndex service) {
  bool any = false;
  for (std::uint32_t index = 0; index < turn.state.playbooks.size(); ++index) {
    PlaybookHealth& playbook = turn.state.playbooks[index];
    const auto row = playbook.rows.find(service);
    if (row == playbook.rows.end() || !row->second.breaker_open) continue;
    playbook.failures_in_row -= std::min(playbook.failures_in_row, row->second.counted);
    playbook.rows.erase(row);
    forget_outcomes(turn.state, [&](const Signature& signature) {
      return signature.playbook.value == index && signature.service == service;
    });
    Incident* incident = turn.incident(turn.health(service).incident);
    if (incident != nullptr) std::erase(incident->refused, PlaybookIndex{index});
    any = true;
  }
  return any;
}

}  // namespace

bool on_recover(Turn& turn, const OperatorRecover& event) {
  if (refused_by_recovery(turn, event.service, event.actor)) return true;
  if (!turn.health(event.service).wanted) {
    refuse(turn, event.service, event.actor, "the service is stopped; start it instead");
    return true;
  }
  if (event.playbook && event.playbook->value >= turn.policy.playbooks.size()) return false;
  if (!event.playbook) {
    const std::string unfit = why_none_fits(turn, event.service);
    if (!unfit.empty()) {
      refuse(turn, event.service, event.actor, unfit, Rule::PlaybookChoice);
      return true;
    }
  }
  if (Recovery* pending = turn.active_recovery(event.service)) {
    reject(turn, *pending, Rule::Operator, text({"replaced at the wish of ", event.actor}));
  }
  acknowledge(turn, event.service, event.actor, "operator:recover",
              text({"recover ", turn.service(event.service).name}));
  Incident& incident = incident_on_request(turn, event.service, event.actor);
  plan_requested(turn, incident, event.playbook, event.actor);
  return true;
}

bool on_set_mode(Turn& turn, const OperatorSetMode& event) {
  (event.service ? turn.health(*event.service).mode : turn.state.mode) = event.mode;
  acknowledge(turn, event.service, event.actor, "operator:mode",
              text({"mode ", to_string(event.mode), " for ", name_of(turn, event.service)}));
  return true;
}

bool on_kill_switch(Turn& turn, const OperatorKillSwitch& event) {
  turn.state.kill_switch = event.on;
  acknowledge(turn, std::nullopt, event.actor, "operator:kill_switch",
              event.on ? "every effect is paused" : "effects go on");
  return true;
}

bool on_maintenance(Turn& turn, const OperatorMaintenance& event) {
  const Instant until = event.start ? event.until : Instant::min();
  (event.service ? turn.health(*event.service).maintenance_until : turn.state.maintenance_until) =
      until;
  acknowledge(turn, event.service, event.actor, "operator:maintenance",
              text({event.start ? "maintenance of " : "end of maintenance of ",
                    name_of(turn, event.service)}));
  return true;
}

bool on_service_request(Turn& turn, const OperatorService& event) {
  if (event.request != ServiceRequest::Release &&
      refused_by_recovery(turn, event.service, event.actor)) {
    return true;
  }
  if (refused_by_quarantine(turn, event)) return true;
  switch (event.request) {
    case ServiceRequest::Start: command(turn, event, ActionKind::Start); break;
    case ServiceRequest::Stop: command(turn, event, ActionKind::Stop); break;
    case ServiceRequest::Restart: command(turn, event, ActionKind::Restart); break;
    case ServiceRequest::Reload: command(turn, event, ActionKind::Reload); break;
    case ServiceRequest::Quarantine: quarantine(turn, event, true); break;
    case ServiceRequest::Release: quarantine(turn, event, false); break;
    case ServiceRequest::Scale: scale(turn, event); break;
    case ServiceRequest::Signal: signal(turn, event); break;
  }
  return true;
}

bool on_reset_breaker(Turn& turn, const OperatorResetBreaker& event) {
  if (event.service) {
    reset_breaker(turn, *event.service, event.actor);
    const bool again = reset_playbooks_for(turn, *event.service);
    Incident* incident = turn.incident(turn.health(*event.service).incident);
    const bool freed =
        incident != nullptr && (incident->escalated_by == Rule::ServiceBreaker ||
                                (again && incident->escalated_by == Rule::PlaybookChoice));
    if (freed && incident->state == IncidentState::Escalated) {
      incident->state = IncidentState::Open;
      incident->escalated_by = std::nullopt;
    }
  }
  if (event.playbook && event.playbook->value < turn.state.playbooks.size()) {
    turn.state.playbooks[event.playbook->value] = PlaybookHealth{};
    forget_outcomes(turn.state, [&event](const Signature& signature) {
      return signature.playbook == *event.playbook;
    });
  }
  acknowledge(turn, event.service, event.actor, "operator:reset_breaker",
              event.service ? turn.service(*event.service).name : "a playbook");
  return true;
}

bool on_checkpoint_request(Turn& turn, const OperatorCheckpoint& event) {
  if (refused_by_recovery(turn, event.service, event.actor)) return true;
  Command command = supervision_command(
      turn.policy, event.service,
      event.restore ? ActionKind::RestoreCheckpoint : ActionKind::Checkpoint, turn.now);
  command.text = event.name;
  turn.send(std::move(command));
  acknowledge(turn, event.service, event.actor, "operator:checkpoint",
              text({event.restore ? "restore " : "take ", event.name}));
  return true;
}

bool on_backup(Turn& turn, const BackupReported& event) {
  const bool failed = event.stage == BackupStage::Failed;
  const bool odd = event.stage != BackupStage::Started && event.stage != BackupStage::Succeeded;
  Notice& notice = turn.notice(text({"backup:", to_string(event.stage)}),
                               failed ? Severity::High : (odd ? Severity::Medium : Severity::Low),
                               event.message);
  notice.service = event.service;
  notice.actor = event.actor;
  return true;
}

bool on_note(Turn& turn, const OperatorNote& event) {
  acknowledge(turn, event.service, event.actor, "operator:note", event.message);
  return true;
}

}  // namespace recover::core
