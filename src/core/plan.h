// Which playbook, and why that one: pure functions of policy, state and incident.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/policy.h"
#include "core/state.h"

namespace recover::core {

// How well the playbook's triggers fit: 1.0 by symptom or pattern, 0.8 by failure class only, 0.0
// not at all.
double match(const Policy& policy, const PlaybookPolicy& playbook, const Incident& incident);

struct Choice {
  std::optional<PlaybookIndex> playbook;
  double score = 0.0;
  std::vector<Reason> reasons;  // The choice, and each refusal.
  // Without a choice: why the first playbook that is for this failure was refused; empty: none is.
  std::string obstacle = {};
};
// The best of the playbooks that the incident's pattern names, by urgency, and of the service's
// own: match times learned factor, that order among equals. One that was tried in this incident
// comes again only when nothing else is left.
Choice choose_playbook(const Policy& policy, const State& state, const Incident& incident);

// Neither broken nor demoted nor without a standby it needs: a person may name it for the service.
bool is_usable(const Policy& policy, const State& state, PlaybookIndex playbook,
               ServiceIndex service);

// Who takes the service's place in a failover step; nullopt: nobody.
std::optional<ServiceIndex> successor_of(const Policy& policy, const StepPolicy& step,
                                         ServiceIndex service);

// Identifies what would be done, so that an approval is for exactly that. 64-bit FNV-1a; secrets
// are left out.
std::uint64_t plan_hash(const Policy& policy, PlaybookIndex playbook, ServiceIndex service);

// FNV-1a, continued from `hash`.
inline constexpr std::uint64_t kFnvBasis = 14'695'981'039'346'656'037ULL;
std::uint64_t fnv1a(std::string_view bytes, std::uint64_t hash = kFnvBasis) noexcept;

}  // namespace recover::core
