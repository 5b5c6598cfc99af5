// From what was seen to what it means: a pure table, total over Symptom x FailureClass.
#pragma once

#include <string_view>

#include "core/policy.h"
#include "core/vocabulary.h"

namespace recover::core {

struct Classification {
  FailureClass failure = FailureClass::ServiceFailure;
  Severity severity = Severity::Medium;
};

// `observed` is what the probe or pattern believed; symptoms that say more overrule it.
// A severity is that of the symptom, raised for critical services and lowered for low ones.
Classification classify(Symptom symptom, FailureClass observed, Priority priority) noexcept;

// What is done about a class unless a playbook says otherwise; a sentence for people.
std::string_view default_strategy(FailureClass failure) noexcept;

// What it means when so much of the resource is in use.
Symptom symptom_of(const ResourceProbe& probe) noexcept;

// The service answers, but not as it should: degraded rather than failed.
bool is_partial(Symptom symptom) noexcept;

}  // namespace recover::core
