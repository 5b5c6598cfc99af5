// The one loop: gather -> decide -> record -> perform.
//
// Knows no clock, thread or socket of its own: the composition root calls turn() when something
// was posted or the returned instant has come. Invariant: nothing is performed before what led to
// it is recorded.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "core/engine.h"
#include "ports/effector.h"
#include "ports/event_source.h"
#include "ports/journal.h"
#include "runtime/record.h"

namespace recover::runtime {

inline constexpr std::size_t kActionCount = static_cast<std::size_t>(core::ActionKind::Thaw) + 1;
// Events waiting; beyond them probe results are dropped and counted, since the next look repeats
// them. Everything else is always taken.
inline constexpr std::size_t kInboxMax = 65'536;
// Events in one journal transaction.
inline constexpr std::size_t kBatchMax = 1'024;
// Bytes of a matching line that are recorded. Cut here, after secrets were taken out whole.
inline constexpr std::size_t kPatternTextMax = 200;
// Recorded events from one snapshot to the next: what a replay must go through at most, twice.
inline constexpr std::size_t kSnapshotEvery = 5'000;
// So many, and one a service, are gone through as quickly as a snapshot is written.
inline constexpr std::size_t kReplayShort = 64;

// Who performs each kind of action; null: nobody, the command is refused.
using Effectors = std::array<ports::Effector*, kActionCount>;

// All outlive the loop.
struct Edges {
  ports::Journal* journal = nullptr;
  Effectors effectors{};
  std::vector<ports::EventSource*> sources;
  std::function<Stamp()> now;  // `at` never goes backwards.
  // Asks for a turn() soon, on the loop's thread and not from within this call.
  std::function<void()> wake;
  // Takes secrets out of what others wrote (a probe's detail, a program's output) before anything
  // is recorded or told. Empty: there are none.
  std::function<std::string(std::string)> redact = {};
  // Hears the text of what failed, redacted: a probe's detail, a command's output. On the loop's
  // thread; may post. Empty: nobody.
  std::function<void(core::ServiceIndex, std::string_view)> on_error_text = {};
  // Hears every notice, after it was recorded: log lines, event streams.
  std::function<void(const core::Notice&, Stamp)> publish;
  Codec* codec = nullptr;  // Null: the journal's JSON.
};

struct LoopMetrics {
  std::uint64_t events = 0;    // Stepped.
  std::uint64_t recorded = 0;  // Journal entries.
  std::uint64_t batches = 0;
  std::uint64_t dropped = 0;        // Probe results beyond kInboxMax.
  std::uint64_t record_failed = 0;  // Batches the journal refused.
};

// One thread.
class Loop {
 public:
  Loop(core::Engine engine, Edges edges);

  // Records the policy the engine has (its text: encode(PolicyText) in replay.h) and its state,
  // and lets the sources watch. Call once, first, when the edges can take it.
  void begin(std::string policy_body);
  // The same for an engine that was restored and differs in nothing from what a restore would find
  // again: this policy body, no entry that could not be read. Records nothing while the journal
  // holds less than half of kSnapshotEvery entries since its snapshot.
  void go_on(std::string policy_body, std::uint64_t since_snapshot);

  // Nothing happens: the state is recorded if a restart would have to go through much.
  void rest();

  // Hands an event in; it is decided upon in a later turn().
  void post(core::Event event);

  // Decides upon everything that waits, and upon timers that are due. Returns when to be called
  // again at the latest; kNever: not before the next post().
  Instant turn();

  // Goes on under another policy. Performs what the engine makes of it.
  void replace_policy(core::Policy policy, std::string policy_body);

  const core::Engine& engine() const noexcept { return engine_; }
  const LoopMetrics& metrics() const noexcept { return metrics_; }
  // Everything posted was decided upon, and the journal took what came of it.
  bool recorded() const noexcept { return inbox_.empty() && stored_; }

 private:
  struct Batch {
    std::vector<ports::Entry> entries;
    std::vector<core::Command> commands;
    std::vector<core::CommandId> cancels;
    std::vector<core::ProbeRequest> probes;
    std::vector<core::Notice> notices;
    void clear();
  };

  void redact(core::Event& event) const;
  void decide(const core::Event& event, Stamp stamp);
  void collect();
  // `event` is null for output that no event caused.
  void note(const core::Event* event, Stamp stamp);
  void watch();
  bool is_replay_long() const;
  void record_state();
  void add_snapshot(Stamp stamp);
  // False: nothing was recorded.
  bool store(Stamp stamp);
  void perform(Stamp stamp);
  void perform(const core::Command& command);
  void refuse(const core::Command& command, std::string why);
  void report(core::CommandFinished finished);
  // The end of a command that was performed under that policy.
  void finish(const core::Command& command, const core::Policy* policy,
              core::CommandFinished finished);

  core::Engine engine_;
  Edges edges_;
  // The current one last; those before it while commands decided under them are in flight.
  std::vector<std::shared_ptr<const core::Policy>> policies_;
  std::size_t in_flight_ = 0;
  std::deque<core::Event> inbox_;
  core::Output output_;
  Batch batch_;
  std::string policy_body_;
  std::size_t since_snapshot_ = 0;
  bool stored_ = true;  // The latest batch that had something to record.
  LoopMetrics metrics_;
};

}  // namespace recover::runtime
