// The world recoverd looks after: processes, their configuration, a disk, probes that look at it
// and effectors that act on it, well or badly. Knows the truth; never tells it but through events.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "ports/effector.h"
#include "ports/event_source.h"
#include "sim/agenda.h"
#include "sim/checker.h"
#include "sim/dice.h"
#include "sim/scenario.h"

namespace recover::sim {

class World final : public ports::Effector, public ports::EventSource {
 public:
  // All outlive the world. `post` is ignored while recoverd is away.
  World(const core::Policy& policy, const Scenario& scenario, Agenda& agenda, Checker& checker,
        Dice& dice, std::function<void(core::Event&&)> post);

  // ---- ports
  void perform(const core::Command& command, const core::Policy& policy, ports::Done done) override;
  void cancel(core::CommandId command) override;
  void watch(const core::Policy& policy) override;
  void look(core::ServiceIndex service) override;

  // ---- time
  void set_now(Instant now) { now_ = now; }
  void happen(const Planned& planned);

  // ---- trouble
  void crash(std::uint32_t service);
  void hang(std::uint32_t service);
  void slow(std::uint32_t service);
  void corrupt(std::uint32_t service);
  void flap(std::uint32_t service, Duration time);
  void cut_off(std::uint32_t service, Duration time);
  void fill_disk();
  void make_peace();
  bool at_peace() const { return peace_; }

  // ---- recoverd itself
  // It ends: commands in flight happen or not, and nobody hears of them. `performs` effects are
  // still begun before.
  void lose_engine();
  void begin_engine();  // Who performs commands is there again.
  void announce();      // What its sources find when they first look.
  // From now on only so many commands reach their effector: the crash is between two of them.
  void cut_after(std::uint32_t commands) { cut_ = static_cast<std::int64_t>(commands); }
  void uncut() { cut_ = -1; }
  bool in_doubt() const;

  bool is_well(std::uint32_t service) const;
  WorldTruth truth() const;

 private:
  struct Service {
    bool running = false;
    bool ready = false;
    bool told = false;  // This life of recoverd knows of its process.
    std::int64_t pid = 0;
    bool hung = false;
    bool slow = false;
    bool broken = false;          // Its configuration.
    bool crashes_broken = false;  // With it, it ends at once; otherwise it answers wrongly.
    Instant flaps_until = Instant::min();
    Instant out_until = Instant::min();       // Unreachable, and well again by itself.
    std::map<std::string, bool> checkpoints;  // By name and id: whether they hold a broken one.
  };
  struct Slot {
    core::Command command;
    ports::Done done;
    std::uint32_t engine = 0;  // Which life of recoverd asked.
    bool begun = false;        // The effect was felt.
    bool dropped = false;      // It never will be.
    bool answered = false;
    core::CommandOutcome outcome = core::CommandOutcome::Done;
    std::string checkpoint;
  };
  struct Look {
    Instant started_at;
    core::ProbeOutcome outcome = core::ProbeOutcome::Passed;
    core::Symptom symptom = core::Symptom::ProbeFailed;
    core::FailureClass failure = core::FailureClass::ServiceFailure;
    Duration latency{};
  };

  void begin_look(std::uint32_t service, std::uint32_t probe, bool repeats);
  void answer(const Planned& planned);
  Look see(std::uint32_t service, std::uint32_t probe);
  void feel(Slot& slot);
  void act(const core::Command& command, Slot& slot);
  void finish(std::uint64_t slot);
  void plan_effect(std::uint64_t slot);
  core::CommandOutcome query(const core::Command& command);
  void start(std::uint32_t service);
  void stop(std::uint32_t service, bool expected);
  void set_disk(double ratio);
  bool has(Fault fault) const { return !peace_ && scenario_.has(fault); }

  const core::Policy& policy_;
  const Scenario& scenario_;
  Agenda& agenda_;
  Checker& checker_;
  Dice& dice_;
  std::function<void(core::Event&&)> post_;
  Instant now_;
  std::vector<Service> services_;
  std::vector<Slot> slots_;
  std::vector<Look> looks_;
  double disk_ = 0.5;
  std::int64_t next_pid_ = 100;
  std::uint32_t engine_ = 0;
  std::uint64_t next_checkpoint_ = 1;
  std::int64_t cut_ = -1;
  bool peace_ = false;
  Instant rare_from_ = kNever;  // Nothing is expected but that budgets become free again.
};

}  // namespace recover::sim
