#include "core/owner.h"

#include <algorithm>

#include "core/flapping.h"
#include "core/health.h"
#include "core/incident.h"

namespace recover::core {
namespace {

bool is_starting(const ServiceHealth& health) {
  return std::ranges::any_of(health.instances, [](const InstanceHealth& instance) {
    return instance.state == InstanceState::Starting;
  });
}

// Somebody of ours is at it: a recovery in effect, or a start or stop that was asked for.
bool in_our_hands(Turn& turn, ServiceIndex service) {
  if (turn.health(service).supervision) return true;
  const Recovery* recovery = turn.active_recovery(service);
  return recovery != nullptr && recovery->started_at != kNever;
}

void enter(Turn& turn, InstanceHealth& instance, InstanceState state) {
  instance.state = state;
  instance.since = turn.now;
  instance.hung = false;
}

bool on_up(Turn& turn, const OwnerReported& event, InstanceHealth& instance, bool first) {
  ServiceHealth& health = turn.health(event.service);
  const bool same = instance.incarnation == event.incarnation;
  if (instance.state == InstanceState::Up && same) return false;
  if (!first && !same) {
    if (instance.incarnation.pid != 0) ++instance.restarts;
    // What was seen of the process before says nothing about this one.
    for (ProbeHealth& probe : health.probes) probe = ProbeHealth{};
    health.counts_from = turn.now;
    begin_start(turn, event.service, start_timeout(turn.service(event.service)));
  }
  instance.incarnation = event.incarnation;
  instance.adopted = first;
  enter(turn, instance, InstanceState::Up);
  health.wanted = true;
  turn.look(event.service);
  return true;
}

bool on_starting(Turn& turn, const OwnerReported& event, InstanceHealth& instance) {
  ServiceHealth& health = turn.health(event.service);
  const bool healing = event.verdict == OwnerVerdict::Healing;
  if (instance.state == InstanceState::Starting && !healing) return false;
  const bool new_failure = healing && instance.state != InstanceState::Starting;
  enter(turn, instance, InstanceState::Starting);
  if (!healing) health.wanted = true;
  const Duration within =
      event.within > Duration::zero() ? event.within : start_timeout(turn.service(event.service));
  begin_start(turn, event.service, within);
  if (!new_failure || !health.wanted) return true;
  turn.notice("service:healing", Severity::Medium, event.service,
              text({turn.service(event.service).name, ": ", event.detail}))
      .reasons = {{Rule::Suppression, Verdict::Wait,
                   text({"its owner restarts it, at most ", shown(within), ": ", event.detail})}};
  note_flapping(turn, event.service);
  return true;
}

bool on_down(Turn& turn, const OwnerReported& event, InstanceHealth& instance, bool first) {
  ServiceHealth& health = turn.health(event.service);
  const bool failed = event.verdict == OwnerVerdict::Failed;
  const bool was_starting = instance.state == InstanceState::Starting;
  const bool known = !first && instance.state == InstanceState::Down;
  // The same again: the owner was asked anew.
  if (known && (!health.wanted || (failed && health.incident))) return false;
  enter(turn, instance, InstanceState::Down);
  instance.exit_code = event.code;
  instance.exit_signal = event.signal;
  const bool ours = in_our_hands(turn, event.service);
  if (!failed) {
    if (!ours) health.wanted = false;
    return true;
  }
  if (!ours) health.start_deadline = kNever;
  report(turn, event.service,
         {.symptom = was_starting || first ? Symptom::StartFailed : Symptom::ProcessCrash,
          .detail = event.detail,
          .began_at = turn.now});
  return true;
}

bool on_lost(Turn& turn, const OwnerReported& event) {
  ServiceHealth& health = turn.health(event.service);
  if (health.instances.empty()) return false;
  health.instances.clear();
  health.start_deadline = kNever;
  turn.notice("service:unseen", Severity::Medium, event.service,
              text({turn.service(event.service).name, ": ", event.detail}));
  return true;
}

}  // namespace

bool on_owner_reported(Turn& turn, const OwnerReported& event) {
  if (event.service.value >= turn.state.services.size()) return false;
  if (event.instance >= kInstancesMax) return false;
  if (kind_of(turn.service(event.service).spec) == ServiceKind::Run) return false;
  ServiceHealth& health = turn.health(event.service);
  bool changed = false;
  if (event.verdict == OwnerVerdict::Lost) {
    changed = on_lost(turn, event);
  } else {
    const bool first = event.instance >= health.instances.size();
    if (first) health.instances.resize(event.instance + 1);
    InstanceHealth& instance = health.instances[event.instance];
    switch (event.verdict) {
      case OwnerVerdict::Up: changed = on_up(turn, event, instance, first); break;
      case OwnerVerdict::Starting:
      case OwnerVerdict::Healing: changed = on_starting(turn, event, instance); break;
      case OwnerVerdict::Stopped:
      case OwnerVerdict::Failed: changed = on_down(turn, event, instance, first); break;
      case OwnerVerdict::Lost: break;
    }
  }
  if (changed) refresh(turn, event.service);
  return changed;
}

bool waits_for_owner(Turn& turn, Incident& incident) {
  const ServiceHealth& health = turn.seen(incident.service);
  if (kind_of(turn.service(incident.service).spec) == ServiceKind::Run) return false;
  if (health.start_deadline == kNever || !is_starting(health)) return false;
  add_reason(incident.reasons,
             {Rule::Suppression, Verdict::Wait, "its owner starts it right now: not twice"});
  return true;
}

}  // namespace recover::core
