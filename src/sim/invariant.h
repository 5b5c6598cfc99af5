// What must hold in every history. Each is one small class that sees journal entries (with the
// books as they were before), commands as they reach an effector, and the world; never the engine.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/command.h"
#include "sim/books.h"

namespace recover::sim {

// How the world is when everything has become quiet.
struct ServiceTruth {
  bool well = false;         // Its probes would pass.
  bool depends_bad = false;  // Something it needs is not well.
};
struct WorldTruth {
  std::vector<ServiceTruth> services;
  Instant now;
};

struct Violation {
  std::string id;
  std::string what;
};

// What an invariant may ask to see: kinds of entries.
enum class Watchable : std::uint8_t {
  Look,  // A probe that finished: most of a journal.
  Event,
  Notice,
  Command,
  Other,  // Policies and snapshots.
  // Beside entries: on_command(), on_effect(), on_timer_armed().
  Performed,
  Effect,
  Timer,
};
inline constexpr std::size_t kWatchableCount = 8;
constexpr unsigned bit(Watchable what) {
  return 1U << static_cast<unsigned>(what);
}
inline constexpr unsigned kEverything = bit(Watchable::Other) * 2 - 1;  // Of entries.
inline constexpr unsigned kEvents = bit(Watchable::Look) | bit(Watchable::Event);
inline constexpr unsigned kDecisions = bit(Watchable::Notice) | bit(Watchable::Command);

class Invariant {
 public:
  Invariant(std::string_view id, unsigned watching) : id_(id), watching_(watching) {}
  Invariant(const Invariant&) = delete;
  Invariant& operator=(const Invariant&) = delete;
  virtual ~Invariant() = default;

  virtual void on_entry(const Seen& /*seen*/, const Books& /*before*/) {}
  // A command reaches its effector.
  virtual void on_command(const core::Command& /*command*/, const Books& /*books*/) {}
  // The world felt the effect of a command.
  virtual void on_effect(const core::Command& /*command*/) {}
  // recoverd came back; its state must be that of the journal.
  virtual void on_restart(std::uint64_t /*live_hash*/, std::uint64_t /*replayed_hash*/) {}
  // recoverd ended while its journal was only in memory: what was recorded meanwhile is forgotten.
  virtual void on_journal_lost() {}
  // The engine asked to be woken then.
  virtual void on_timer_armed(Instant /*at*/) {}
  // Faults have been off for long enough.
  virtual void on_end(const WorldTruth& /*world*/, const Books& /*books*/) {}

  std::string_view id() const noexcept { return id_; }
  bool watches(Watchable what) const noexcept { return (watching_ & bit(what)) != 0; }
  // Set when it fails. REQUIRES: outlives it.
  void report_to(bool& alarm) noexcept { alarm_ = &alarm; }
  const std::optional<Violation>& violation() const noexcept { return violation_; }

 protected:
  // The first one counts.
  void fail(std::string what) {
    if (!violation_) violation_ = Violation{std::string(id_), std::move(what)};
    if (alarm_ != nullptr) *alarm_ = true;
  }

 private:
  std::string_view id_;
  unsigned watching_;
  bool* alarm_ = nullptr;
  std::optional<Violation> violation_;
};

using Invariants = std::vector<std::unique_ptr<Invariant>>;

void add_budget_invariants(Invariants& all, const core::Policy& policy);  // I06 … I11
void add_effect_invariants(Invariants& all, const core::Policy& policy);  // I01 … I05, I18
void add_gate_invariants(Invariants& all, const core::Policy& policy);  // I12 … I15, I28 … I30
void add_journal_invariants(Invariants& all,
                            const core::Policy& policy);  // I20, I22, I26, I32, I34, I35
void add_saga_invariants(Invariants& all, const core::Policy& policy);      // I16, I17, I19, I23
void add_incident_invariants(Invariants& all, const core::Policy& policy);  // I24, I25, I31
void add_liveness_invariants(Invariants& all, const core::Policy& policy);  // L01, L02, L05

Invariants make_invariants(const core::Policy& policy);

}  // namespace recover::sim
