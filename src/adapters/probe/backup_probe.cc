// What the runner of backups says: made as scheduled, proven in time.
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <utility>

#include "adapters/probe/runners.h"

namespace recover::adapters::probe {
namespace {

struct Class {
  std::string_view code;  // As the worker and the plan name it.
  core::Symptom symptom;
  core::FailureClass failure;
};
constexpr Class kClasses[] = {
    {"UNREACHABLE", core::Symptom::ConnectionRefused, core::FailureClass::Connection},
    {"NOT_FOUND", core::Symptom::ProbeFailed, core::FailureClass::SystemUnavailable},
    {"DISK_FULL", core::Symptom::DiskFull, core::FailureClass::ResourceExhaustion},
    {"WRONG_PASSWORD", core::Symptom::AuthenticationFailed, core::FailureClass::Authentication},
    {"NOT_PERMITTED", core::Symptom::PermissionDenied, core::FailureClass::Permission},
    {"DAMAGED", core::Symptom::DataCorruption, core::FailureClass::DataIntegrity},
    {"LOCKED", core::Symptom::LockContention, core::FailureClass::ServiceFailure},
    {"MEMBER_BEHIND", core::Symptom::ReplicationLag, core::FailureClass::DataInconsistency},
    {"TIMEOUT", core::Symptom::ServiceUnresponsive, core::FailureClass::Timeout},
};

Finding finding_of(core::BackupVerdict verdict) {
  switch (verdict.health) {
    case core::BackupHealth::Unknown: return not_done(std::move(verdict.detail));
    case core::BackupHealth::Good: return passed(std::move(verdict.detail));
    case core::BackupHealth::Bad: break;
  }
  const std::string detail = verdict.code + ": " + verdict.detail;
  for (const Class& known : kClasses) {
    if (known.code == verdict.code) return failed(known.symptom, known.failure, detail);
  }
  return wrong(detail);
}

class BackupRunner final : public ProbeRunner {
 public:
  BackupRunner(core::BackupProbe probe, const Tools& tools)
      : probe_(probe), loop_(tools.loop), backups_(tools.backups) {}

  void run(Found found) override {
    Finding finding =
        backups_ ? finding_of(backups_(probe_)) : not_done("nobody makes backups here");
    boost::asio::post(loop_, [found = std::move(found), finding = std::move(finding)]() mutable {
      found(std::move(finding));
    });
  }
  Finding give_up() override { return not_done("not answered in time"); }

 private:
  const core::BackupProbe probe_;
  boost::asio::io_context& loop_;
  const Backups backups_;
};

}  // namespace

std::unique_ptr<ProbeRunner> make_backup(const core::BackupProbe& probe, const Tools& tools) {
  return std::make_unique<BackupRunner>(probe, tools);
}

}  // namespace recover::adapters::probe
