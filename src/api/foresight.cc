#include "api/foresight.h"

namespace recover::api {

namespace {

// Whether that rule can refuse an operator; the others explain choices among playbooks.
bool refuses_operators(core::Rule rule) {
  switch (rule) {
    case core::Rule::Mode:
    case core::Rule::Conditions:
    case core::Rule::Maintenance:
    case core::Rule::Quarantine:
    case core::Rule::ServiceBreaker:
    case core::Rule::PlaybookBreaker:
    case core::Rule::Cooldown:
    case core::Rule::ConcurrentRecoveries:
    case core::Rule::RecoveriesPerHour:
    case core::Rule::BlastRadius:
    case core::Rule::Prerequisites:
    case core::Rule::RiskAndApproval:
    case core::Rule::KillSwitch:
    case core::Rule::Storm:
    case core::Rule::JournalDegraded:
    case core::Rule::Operator: return true;
    case core::Rule::Detection:
    case core::Rule::Classification:
    case core::Rule::RootCause:
    case core::Rule::Suppression:
    case core::Rule::PlaybookChoice:
    case core::Rule::PlaybookRefusal:
    case core::Rule::Attempts:
    case core::Rule::Step:
    case core::Rule::Validation:
    case core::Rule::Rollback:
    case core::Rule::Escalation:
    case core::Rule::Learning: return false;
  }
  return false;
}

}  // namespace

const core::Reason* first_refusal(const std::vector<core::Reason>& reasons) {
  for (const core::Reason& reason : reasons) {
    if (reason.verdict == core::Verdict::Refuse && refuses_operators(reason.rule)) return &reason;
  }
  return nullptr;
}

const core::Reason* Foresight::refused() const {
  for (const core::Notice& notice : output.notices) {
    if (const core::Reason* reason = first_refusal(notice.reasons)) return reason;
  }
  return nullptr;
}

const core::Recovery* Foresight::planned(const core::State& before,
                                         core::ServiceIndex service) const {
  const auto& recoveries = engine.state().recoveries;
  for (auto item = recoveries.lower_bound(core::RecoveryId{before.next_recovery});
       item != recoveries.end(); ++item) {
    if (item->second.service == service) return &item->second;
  }
  return nullptr;
}

Foresight foresee(const Backend& backend, const core::Event& event) {
  Foresight foresight{backend.engine(), {}};
  foresight.engine.step(event, backend.now(), foresight.output);
  return foresight;
}

}  // namespace recover::api
