#include "core/classify.h"

#include <algorithm>

namespace recover::core {
namespace {

FailureClass class_of(Symptom symptom, FailureClass observed) {
  switch (symptom) {
    case Symptom::ProcessCrash:
    case Symptom::CrashLoop:
    case Symptom::StartFailed:
    case Symptom::WatchdogTimeout: return FailureClass::ServiceFailure;
    case Symptom::AuthenticationFailed: return FailureClass::Authentication;
    case Symptom::PermissionDenied: return FailureClass::Permission;
    case Symptom::DiskFull:
    case Symptom::MemoryPressure:
    case Symptom::CpuPressure:
    case Symptom::FilesExhausted:
    case Symptom::QueueBacklog:
    case Symptom::LockContention: return FailureClass::ResourceExhaustion;
    case Symptom::ReplicationLag: return FailureClass::DataInconsistency;
    case Symptom::DataCorruption: return FailureClass::DataIntegrity;
    case Symptom::SlowResponse: return FailureClass::Timeout;
    case Symptom::ServiceUnresponsive:
    case Symptom::ConnectionRefused:
    case Symptom::ProbeFailed:
    case Symptom::HighErrorRate:
    case Symptom::PatternMatched:
    case Symptom::Flapping:
    case Symptom::RecoveryRequested: return observed;
  }
  return observed;
}

Severity severity_of(Symptom symptom) {
  switch (symptom) {
    case Symptom::SlowResponse:
    case Symptom::QueueBacklog:
    case Symptom::CpuPressure:
    case Symptom::PatternMatched:
    case Symptom::LockContention:
    case Symptom::RecoveryRequested:
    case Symptom::ReplicationLag: return Severity::Medium;
    case Symptom::ProcessCrash:
    case Symptom::StartFailed:
    case Symptom::ServiceUnresponsive:
    case Symptom::ConnectionRefused:
    case Symptom::ProbeFailed:
    case Symptom::AuthenticationFailed:
    case Symptom::PermissionDenied:
    case Symptom::HighErrorRate:
    case Symptom::DiskFull:
    case Symptom::MemoryPressure:
    case Symptom::FilesExhausted:
    case Symptom::WatchdogTimeout:
    case Symptom::Flapping: return Severity::High;
    case Symptom::CrashLoop:
    case Symptom::DataCorruption: return Severity::Critical;
  }
  return Severity::High;
}

int raised_by(Priority priority) {
  switch (priority) {
    case Priority::Critical: return 1;
    case Priority::High:
    case Priority::Medium: return 0;
    case Priority::Low: return -1;
  }
  return 0;
}

}  // namespace

Classification classify(Symptom symptom, FailureClass observed, Priority priority) noexcept {
  const int level = static_cast<int>(severity_of(symptom)) + raised_by(priority);
  return {.failure = class_of(symptom, observed),
          .severity = static_cast<Severity>(std::clamp(level, static_cast<int>(Severity::Low),
                                                       static_cast<int>(Severity::Critical)))};
}

std::string_view default_strategy(FailureClass failure) noexcept {
  switch (failure) {
    case FailureClass::Connection: return "reconnect, then restart or fail over";
    case FailureClass::Timeout: return "relieve the load, then restart";
    case FailureClass::Authentication: return "renew the credentials; a person decides";
    case FailureClass::Permission: return "a person corrects the permissions";
    case FailureClass::ResourceExhaustion: return "free resources, adjust limits, restart";
    case FailureClass::DataIntegrity: return "stop, then restore verified data";
    case FailureClass::ServiceFailure: return "restart and validate";
    case FailureClass::SystemUnavailable: return "wait, then fail over";
    case FailureClass::DataInconsistency: return "synchronise again and verify";
    case FailureClass::BuildFailure: return "restore the last good version";
    case FailureClass::DependencyFailure: return "recover the dependency first";
  }
  return "";
}

Symptom symptom_of(const ResourceProbe& probe) noexcept {
  switch (probe.resource) {
    case Resource::Disk:
    case Resource::Inodes: return Symptom::DiskFull;
    case Resource::Memory: return Symptom::MemoryPressure;
    case Resource::Cpu: return Symptom::CpuPressure;
    // Without a name it is the worst of processor and memory: the graver of the two.
    case Resource::Pressure:
      return probe.path == "cpu" || probe.path == "io" ? Symptom::CpuPressure
                                                       : Symptom::MemoryPressure;
    case Resource::Files: return Symptom::FilesExhausted;
  }
  return Symptom::DiskFull;
}

bool is_partial(Symptom symptom) noexcept {
  return symptom == Symptom::SlowResponse || symptom == Symptom::HighErrorRate ||
         symptom == Symptom::QueueBacklog || symptom == Symptom::LockContention ||
         symptom == Symptom::ReplicationLag;
}

}  // namespace recover::core
