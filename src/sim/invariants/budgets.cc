// How much may happen at once, how often, and how many times.
#include <algorithm>
#include <cmath>

#include "sim/invariant.h"

namespace recover::sim {
namespace {

// A checker of the moment a recovery starts.
class AtStart : public Invariant {
 public:
  AtStart(std::string_view id, const core::Policy& policy)
      : Invariant(id, bit(Watchable::Notice)), policy_(policy) {}
  void on_entry(const Seen& seen, const Books& before) final {
    if (!before.is_start(seen)) return;
    check(seen, *before.recovery(seen.recovery), before);
  }

 protected:
  virtual void check(const Seen& seen, const BookRecovery& starting, const Books& books) = 0;
  const core::Policy& policy_;
};

class BlastRadius final : public AtStart {  // I06
 public:
  explicit BlastRadius(const core::Policy& policy) : AtStart("I06", policy) {}
  void check(const Seen& /*seen*/, const BookRecovery& starting, const Books& books) override {
    const double services = static_cast<double>(policy_.services.size());
    const auto limit = std::max(
        1U, static_cast<std::uint32_t>(std::floor(policy_.safety.blast_radius * services)));
    const BookIncident* own = books.incident(starting.incident);
    const std::uint32_t others = books.unhealthy() - (own != nullptr && !own->suppressed ? 1 : 0);
    if (others + 1 <= limit || books.in_effect() == 0) return;
    fail(std::to_string(others + 1) + " services hit, " + std::to_string(limit) +
         " allowed, and a recovery starts beside another");
  }
};

class Concurrency final : public AtStart {  // I07
 public:
  explicit Concurrency(const core::Policy& policy) : AtStart("I07", policy) {}
  void check(const Seen& /*seen*/, const BookRecovery& /*starting*/, const Books& books) override {
    if (books.in_effect() < policy_.recovery.max_concurrent_recoveries) return;
    fail(std::to_string(books.in_effect()) + " recoveries are in effect already");
  }
};

class Cooldown final : public AtStart {  // I08
 public:
  explicit Cooldown(const core::Policy& policy) : AtStart("I08", policy) {}
  void check(const Seen& seen, const BookRecovery& starting, const Books& books) override {
    const auto last = books.last_ended.find({starting.service, starting.playbook});
    if (last == books.last_ended.end()) return;
    const Duration own = policy_.playbooks.at(static_cast<std::size_t>(starting.playbook)).cooldown;
    const Duration cooldown = own > Duration::zero() ? own : policy_.safety.cooldown;
    if (seen.at < last->second + cooldown) fail("it starts within the cooldown");
  }
};

class HourlyRate final : public AtStart {  // I09
 public:
  explicit HourlyRate(const core::Policy& policy) : AtStart("I09", policy) {}
  void check(const Seen& seen, const BookRecovery& /*starting*/, const Books& books) override {
    const auto within = std::ranges::count_if(
        books.starts, [&](Instant at) { return at + core::hours{1} > seen.at; });
    if (within < policy_.safety.max_recoveries_per_hour) return;
    fail(std::to_string(within + 1) + " recoveries start within an hour");
  }
};

class Attempts final : public Invariant {  // I10
 public:
  explicit Attempts(const core::Policy& policy)
      : Invariant("I10", bit(Watchable::Notice)), policy_(policy) {}
  void on_entry(const Seen& seen, const Books& before) override {
    if (seen.type == "incident:escalated") {
      const BookIncident* incident = before.incident(seen.incident);
      if (incident != nullptr && incident->escalated) fail("an incident is escalated twice");
    }
    if (!before.is_start(seen)) return;
    const BookRecovery& starting = *before.recovery(seen.recovery);
    const BookIncident* incident = before.incident(starting.incident);
    // A half-open breaker allows trials beside the attempts.
    if (incident == nullptr || starting.requested || incident->breaker_opened) return;
    if (incident->starts < policy_.recovery.max_attempts) return;
    fail("attempt " + std::to_string(incident->starts + 1) + " of one incident");
  }

 private:
  const core::Policy& policy_;
};

}  // namespace

void add_budget_invariants(Invariants& all, const core::Policy& policy) {
  all.push_back(std::make_unique<BlastRadius>(policy));
  all.push_back(std::make_unique<Concurrency>(policy));
  all.push_back(std::make_unique<Cooldown>(policy));
  all.push_back(std::make_unique<HourlyRate>(policy));
  all.push_back(std::make_unique<Attempts>(policy));
}

}  // namespace recover::sim
