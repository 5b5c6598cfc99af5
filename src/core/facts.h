// What playbooks may ask about a service, read from the state: see fact_names().
#pragma once

#include "core/expression.h"
#include "core/policy.h"
#include "core/state.h"

namespace recover::core {

// Facts of one service now. With a recovery, only looks that began after its last effect count for
// health_check_passing, error_rate and response_time. REQUIRES: all of it outlives this.
class ServiceFacts final : public Facts {
 public:
  ServiceFacts(const Policy& policy, const State& state, ServiceIndex service, Instant now,
               const Recovery* recovery = nullptr)
      : policy_(policy), state_(state), service_(service), now_(now), recovery_(recovery) {}

  Fact value(std::string_view name) const override;

 private:
  const ServiceHealth& health() const { return state_.services.at(service_.value); }
  bool counts(const ProbeHealth& probe) const;
  Fact running() const;
  Fact passing() const;
  Fact any_passing() const;
  Fact error_rate() const;
  Fact response_time() const;
  Fact restarts() const;
  Fact used(Symptom symptom) const;
  Fact queue_depth() const;

  const Policy& policy_;
  const State& state_;
  ServiceIndex service_;
  Instant now_;
  const Recovery* recovery_;
};

bool in_maintenance(const State& state, ServiceIndex service, Instant now);

// The expression asks only for what probes measure; without probes it says nothing.
bool needs_probes(const Expression& expression);

}  // namespace recover::core
