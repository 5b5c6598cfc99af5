// All instances of all `run:` services, and the commands in flight for them.
//
// The inside of Supervisor. A service has at most one start, stop or restart in flight: a newer one
// ends the older. Events and outcomes leave through later turns of the loop, in order.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "adapters/process/event_loop.h"
#include "adapters/process/instance.h"
#include "adapters/process/keeper_link.h"
#include "adapters/process/runtime_table.h"
#include "adapters/process/scale_table.h"
#include "adapters/process/supervisor.h"
#include "core/command.h"
#include "core/policy.h"
#include "ports/effector.h"
#include "ports/event_source.h"

namespace recover::adapters::process {

// What a service prints may hold its secrets; what we hand on must not. Cut to 4 KiB.
std::string redacted(std::string text, const core::RunSpec& spec);

class Fleet final : public InstanceHost {
 public:
  Fleet(Loop& loop, SupervisorOptions options, ports::Sink sink);
  ~Fleet() override;

  void watch(const core::Policy& policy);
  void perform(const core::Command& command, const core::Policy& policy, ports::Done done);
  void cancel(core::CommandId id);
  void stop_all(Duration timeout, std::function<void()> done, bool removed_only);
  std::vector<InstanceView> instances(core::ServiceIndex index) const;
  std::vector<std::string> tail(core::ServiceIndex index, std::uint32_t number) const;
  std::vector<std::string> tail_of(core::ServiceIndex index, std::uint32_t number,
                                   Stream stream) const;
  std::uint64_t recorded(core::ServiceIndex index, std::uint32_t number, Stream stream) const;
  void clear_output(core::ServiceIndex index, std::uint32_t number);
  const std::string& problem() const noexcept { return problem_; }

 private:
  enum class Stage : std::uint8_t { Stopping, Starting, Rolling };
  struct Job {
    Job(Loop& loop, core::Command wanted, ports::Done report)
        : command(std::move(wanted)), done(std::move(report)), deadline(loop), pause(loop) {}
    core::Command command;
    ports::Done done;
    Alarm deadline;
    Alarm pause;
    Stage stage = Stage::Starting;
    std::vector<bool> attempted;      // By instance number.
    std::vector<std::uint32_t> only;  // The instances it is about; empty: all.
    Instant deadline_at = kNever;
    std::optional<std::uint32_t> scaled_from;  // Of Scale: what to go back to.
    // Of Rolling: which instance, whether it was stopped, and whether it is well again.
    std::uint32_t rolling = 0;
    bool rolled = false;
    std::function<bool()> well;
    Instant well_by = kNever;
  };
  struct Service {
    std::string name;
    std::optional<core::ServiceIndex> index;    // None: not in the policy any more.
    std::shared_ptr<const core::RunSpec> spec;  // Shared with those that were started so.
    std::vector<std::string> depends_on;
    std::vector<std::unique_ptr<Instance>> instances;
    std::unique_ptr<Job> job;
    std::uint64_t epoch = 0;
  };
  struct Shutdown {
    explicit Shutdown(Loop& loop) : deadline(loop) {}
    Alarm deadline;
    std::function<void()> done;
    bool removed_only = false;
    std::set<std::string, std::less<>> left;                     // Services with something running.
    std::map<std::string, std::size_t, std::less<>> dependents;  // Of those, by what they need.
  };

  void on_started(const Instance& instance, bool adopted) override;
  void on_ready(const Instance& instance) override;
  void on_exited(const Instance& instance, ExitStatus status, bool expected) override;
  void on_watchdog(const Instance& instance) override;
  void on_extended(const Instance& instance, Duration by) override;
  void on_line(const Instance& instance, std::string_view line) override;
  void on_changed(const Instance& instance) override;
  ProcessRecord record_of(const Instance& instance) override;
  void on_unrecorded() override;
  void on_down(const Instance& instance) override;
  bool has_recorded() const override;

  Service& service_of(const Instance& instance);
  const Service* find(core::ServiceIndex index) const;
  Instance& instance(Service& service, std::uint32_t number);
  static void set_spec(Service& service, const core::RunSpec& spec);
  static void share_spec(Service& service, std::shared_ptr<const core::RunSpec> spec);
  void adopt();
  void save_table();
  void emit(core::Event event);
  void later(std::function<void()> function);

  void begin(Service& service, const core::Command& command, ports::Done done);
  void settle(Service& service, const core::Command& command, const ports::Done& done);
  void signal_all(Service& service, int number, const core::Command& command,
                  const ports::Done& done, std::optional<std::uint32_t> instance = {});
  void freeze_all(Service& service, const core::Command& command, const ports::Done& done);
  void advance(Service& service);
  static bool all_down(const Service& service);
  // Of those the job is about, nothing runs any more.
  static bool stop_concerned(Service& service);
  // It is about starting that one, too.
  static bool starts(const core::Command& command, const std::vector<std::uint32_t>& only,
                     std::uint32_t number);
  void advance_start(Service& service);
  // How many instances it should have: scaled, or as configured.
  std::uint32_t wanted(const Service& service) const;
  void scale(Service& service, const core::Command& command, const core::Policy& policy,
             ports::Done done);
  void advance_scale(Service& service);
  static bool can_roll(const Service& service, const core::Command& command);
  void advance_roll(Service& service);
  bool is_well_again(Service& service);
  void release_channels(Service& service);
  void deadline_passed(Service& service);
  void undo_start(Service& service);
  void end_job(Service& service, core::CommandOutcome outcome, std::string detail);
  void report(const core::Command& command, const ports::Done& done, core::CommandOutcome outcome,
              std::string detail);

  void begin_shutdown();
  void advance_shutdown(Service& ended);
  void end_shutdown();
  void stop_unneeded(std::string_view name);
  void keeper_spoke();
  void be_alone();
  void collect_strays();
  bool is_stray(pid_t pid) const;

  Loop& loop_;
  SupervisorOptions options_;
  ports::Sink sink_;
  KeeperLink no_keeper_;
  RuntimeTable table_;
  ScaleTable scale_;
  Surroundings around_;
  std::map<std::string, Service, std::less<>> services_;
  std::vector<const Service*> by_index_;  // Null: not a `run:` service.
  std::unique_ptr<Shutdown> shutdown_;
  Watch keeper_watch_;
  Alarm stray_alarm_;
  std::deque<pid_t> sessions_;  // Of processes we had, the newest kSessionsMax.
  bool watched_ = false;
  bool adopting_ = false;
  bool all_stopped_ = false;  // Nothing is left for a next engine.
  std::uint64_t untold_ = 0;  // Events on their way to the sink.
  std::string problem_;       // With the table on disk; empty: none.
  // Calls queued in the loop hold it weakly.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace recover::adapters::process
