// The fields of every event, named once for both directions of the journal's JSON.
//
// Adding a field: name it here; an entry written before then decodes to the field's default.
#pragma once

#include "core/event.h"

namespace recover::runtime {

template <class Archive>
void fields(Archive& a, core::Incarnation& v) {
  a("pid", v.pid);
  a("start_time", v.start_time);
}
template <class Archive>
void fields(Archive& a, core::ProcessStarted& v) {
  a("service", v.service);
  a("instance", v.instance);
  a("incarnation", v.incarnation);
  a("adopted", v.adopted);
}
template <class Archive>
void fields(Archive& a, core::ProcessReady& v) {
  a("service", v.service);
  a("instance", v.instance);
  a("incarnation", v.incarnation);
}
template <class Archive>
void fields(Archive& a, core::ProcessExited& v) {
  a("service", v.service);
  a("instance", v.instance);
  a("incarnation", v.incarnation);
  a("code", v.code);
  a("signal", v.signal);
  a("expected", v.expected);
  a("output", v.output);
}
template <class Archive>
void fields(Archive& a, core::TimeExtended& v) {
  a("service", v.service);
  a("by_ns", v.by);
}
template <class Archive>
void fields(Archive& a, core::WatchdogExpired& v) {
  a("service", v.service);
  a("instance", v.instance);
}
template <class Archive>
void fields(Archive& a, core::ProbeFinished& v) {
  a("service", v.service);
  a("probe", v.probe);
  a("outcome", v.outcome);
  a("latency_ns", v.latency);
  a("started_at_ns", v.started_at);
  a("symptom", v.symptom);
  a("failure", v.failure);
  a("detail", v.detail);
  a("queue_depth", v.queue_depth);
}
template <class Archive>
void fields(Archive& a, core::ResourceLevelChanged& v) {
  a("symptom", v.symptom);
  a("what", v.what);
  a("ratio", v.ratio);
  a("level", v.level);
}
template <class Archive>
void fields(Archive& a, core::StateSeen& v) {
  a("service", v.service);
  a("fingerprint", v.fingerprint);
}
template <class Archive>
void fields(Archive& a, core::PatternSeen& v) {
  a("pattern", v.pattern);
  a("service", v.service);
  a("text", v.text);
}
template <class Archive>
void fields(Archive& a, core::CommandFinished& v) {
  a("command", v.command);
  a("outcome", v.outcome);
  a("detail", v.detail);
  a("checkpoint", v.checkpoint);
}
template <class Archive>
void fields(Archive& a, core::OperatorRecover& v) {
  a("service", v.service);
  a("playbook", v.playbook);
  a("actor", v.actor);
}
template <class Archive>
void fields(Archive& a, core::OperatorApprove& v) {
  a("recovery", v.recovery);
  a("plan_hash", v.plan_hash);
  a("actor", v.actor);
  a("comment", v.comment);
}
template <class Archive>
void fields(Archive& a, core::OperatorReject& v) {
  a("recovery", v.recovery);
  a("actor", v.actor);
  a("comment", v.comment);
}
template <class Archive>
void fields(Archive& a, core::OperatorSetMode& v) {
  a("service", v.service);
  a("mode", v.mode);
  a("actor", v.actor);
}
template <class Archive>
void fields(Archive& a, core::OperatorKillSwitch& v) {
  a("on", v.on);
  a("actor", v.actor);
}
template <class Archive>
void fields(Archive& a, core::OperatorMaintenance& v) {
  a("service", v.service);
  a("start", v.start);
  a("until_ns", v.until);
  a("actor", v.actor);
}
template <class Archive>
void fields(Archive& a, core::OperatorService& v) {
  a("service", v.service);
  a("request", v.request);
  a("actor", v.actor);
  if (v.request == core::ServiceRequest::Scale) a("instances", v.instances);
  if (v.request == core::ServiceRequest::Signal) a("signal", v.signal);
  if (v.request != core::ServiceRequest::Scale) a("instance", v.instance);
}
template <class Archive>
void fields(Archive& a, core::OperatorResetBreaker& v) {
  a("service", v.service);
  a("playbook", v.playbook);
  a("actor", v.actor);
}
template <class Archive>
void fields(Archive& a, core::OperatorCheckpoint& v) {
  a("service", v.service);
  a("name", v.name);
  a("restore", v.restore);
  a("actor", v.actor);
}
template <class Archive>
void fields(Archive& a, core::OperatorNote& v) {
  a("service", v.service);
  a("actor", v.actor);
  a("message", v.message);
}
template <class Archive>
void fields(Archive& a, core::BackupReported& v) {
  a("service", v.service);
  a("stage", v.stage);
  a("run", v.run);
  a("actor", v.actor);
  a("message", v.message);
}
template <class Archive>
void fields(Archive& /*a*/, core::TimerFired& /*v*/) {}
template <class Archive>
void fields(Archive& a, core::EngineStarted& v) {
  a("first", v.first);
}
template <class Archive>
void fields(Archive& a, core::JournalDegraded& v) {
  a("degraded", v.degraded);
}
template <class Archive>
void fields(Archive& a, core::OwnerReported& v) {
  a("service", v.service);
  a("instance", v.instance);
  a("verdict", v.verdict);
  a("incarnation", v.incarnation);
  a("code", v.code);
  a("signal", v.signal);
  a("within_ns", v.within);
  a("detail", v.detail);
}

}  // namespace recover::runtime
