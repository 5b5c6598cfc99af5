// One instance of a `run:` service: from the start of its process until nothing of it is left.
//
// Down → Starting → Up → Stopping → Clearing → Down. Clearing: the leader has ended, the rest of
// its tree is being removed; only then may it start again. `before` commands run while Starting,
// without a process yet; `after` commands while Clearing. A oneshot is Up without a process.
// Decides nothing about when to start or stop, and tells its host everything it sees. Invariant:
// while not Down, row() is in the runtime table; Down, unburied_row() until its end is recorded.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <recover/result.h>
#include <recover/time.h>

#include "adapters/process/adoption.h"
#include "adapters/process/cgroup.h"
#include "adapters/process/error_output.h"
#include "adapters/process/event_loop.h"
#include "adapters/process/fd_store.h"
#include "adapters/process/hooks.h"
#include "adapters/process/keeper_link.h"
#include "adapters/process/listen_sockets.h"
#include "adapters/process/notify_socket.h"
#include "adapters/process/output_log.h"
#include "adapters/process/output_pipe.h"
#include "adapters/process/process.h"
#include "adapters/process/process_tree.h"
#include "adapters/process/runtime_table.h"
#include "adapters/process/spawn.h"
#include "adapters/process/supervisor.h"
#include "core/policy.h"

namespace recover::adapters::process {

class Instance;

enum class Phase : std::uint8_t { Down, Starting, Up, Stopping, Clearing };

// Who owns instances. Called from within their functions: must not call back before returning.
class InstanceHost {
 public:
  InstanceHost() = default;
  InstanceHost(const InstanceHost&) = delete;
  InstanceHost& operator=(const InstanceHost&) = delete;
  virtual ~InstanceHost() = default;

  virtual void on_started(const Instance& instance, bool adopted) = 0;
  virtual void on_ready(const Instance& instance) = 0;
  virtual void on_exited(const Instance& instance, ExitStatus status, bool expected) = 0;
  virtual void on_watchdog(const Instance& instance) = 0;
  // It asked for more time, from now.
  virtual void on_extended(const Instance& instance, Duration by) = 0;
  virtual void on_line(const Instance& instance, std::string_view line) = 0;
  // row() or runs() changed: the table must be written before this returns.
  virtual void on_changed(const Instance& instance) = 0;
  // How a process that is about to start for it gets into the table by itself.
  virtual ProcessRecord record_of(const Instance& instance) = 0;
  // The process could not do that: the whole table must be written, elsewhere if need be.
  virtual void on_unrecorded() = 0;
  virtual void on_down(const Instance& instance) = 0;
  // Everything on_exited() told is kept where the next engine finds it.
  virtual bool has_recorded() const = 0;
};

// What every instance is given; outlives it.
struct Surroundings {
  Loop& loop;
  KeeperLink& keeper;
  InstanceHost& host;
  std::optional<CgroupFolder> cgroups;
  ListenSockets sockets;
  OutputPipes pipes = {};
};

class Instance {
 public:
  // `number` counts from 0; people see name@number+1.
  Instance(Surroundings& surroundings, std::string service, std::uint32_t number);
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;
  // Whatever runs runs on.
  ~Instance();

  const std::string& service() const noexcept { return row_.service; }
  std::uint32_t number() const noexcept { return row_.instance; }
  std::string name() const;  // "web@1"
  Phase phase() const noexcept { return phase_; }
  // Something of it is there.
  bool runs() const noexcept { return phase_ != Phase::Down; }
  const RuntimeRow& row() const noexcept { return row_; }
  // Of what ended by itself while nobody may have recorded that; null: there is no such.
  const RuntimeRow* unburied_row() const noexcept { return dead_row_.get(); }
  core::Incarnation incarnation() const noexcept { return row_.incarnation; }
  // Why the last start did not make it, or how it ended; with the last lines it printed.
  std::string failure() const;
  // Of both outputs, in the order of their time.
  std::vector<std::string> tail(std::size_t lines = kTailLinesMax) const;
  std::vector<std::string> tail_of(Stream stream) const;
  std::uint64_t recorded(Stream stream) const noexcept;
  void clear_output();
  std::uint64_t dropped_lines() const noexcept;
  const std::string& status() const noexcept { return status_; }  // What it last said of itself.
  bool reloading() const noexcept { return reloading_; }
  // Descriptors it asked to be kept.
  FdStore& store() noexcept { return store_; }

  // How it was started.
  const std::shared_ptr<const core::RunSpec>& spec() const noexcept { return spec_; }
  // REQUIRES: equal to spec(). The same, kept elsewhere.
  void share(std::shared_ptr<const core::RunSpec> spec) noexcept { spec_ = std::move(spec); }

  // REQUIRES: Down. Error: for people, of the stage that failed.
  Result<void, std::string> start(std::shared_ptr<const core::RunSpec> spec);
  // REQUIRES: Down, fresh. Takes over what an earlier engine started; if it ended meanwhile, says
  // how and clears up after it.
  void adopt(LeftRunning left, std::shared_ptr<const core::RunSpec> spec);
  // The stop sequence; nothing when it is under way or Down.
  void stop();
  // The whole tree, at once.
  void kill();
  // The whole tree stands still, or goes on. False: it does not run.
  bool freeze(bool still);
  // To the leader. False: it does not run.
  bool signal(int number);
  // Forgets what ended: in the table and in the kernel. Put off until its end is recorded.
  void bury();

 private:
  Result<SpawnRequest, std::string> request(const core::RunSpec& spec) const;
  static const std::shared_ptr<const core::RunSpec>& no_spec();
  bool prepares() const noexcept { return hooks_ && hooks_->running(); }
  Hooks& hooks();
  Result<void, std::string> launch();
  Result<void, std::string> pass_channels(SpawnRequest& wanted);
  Result<void, std::string> not_started(std::string why);
  void prepare();
  void give_up(std::string why);
  void run_after();
  void renew_leaf();
  void enter_leaf(const core::LimitPolicy& limits);
  void remove_leftover();
  void kill_tree();
  void attach();
  void watch_output();
  void await_ready();
  void become_ready();
  void not_ready_in_time();
  void read_output();
  void flush_output();
  // As the spec wants it, without a pipe yet.
  void make_errors();
  void read_notifications();
  void heed(Notification& notification);
  void follow(pid_t main_pid);
  void extend(Duration by);
  void read_ready_line();
  bool trusts(const Notification& notification) const;
  void feed_watchdog();
  void leader_ended();
  void bury_when_recorded();
  void ended(ExitStatus status);
  void clear_turn();
  void finish();
  bool may_bury_later() const;
  void complete();
  std::string label(std::string_view kind) const;
  void note(const std::string& text);

  Surroundings& around_;
  RuntimeRow row_;
  Phase phase_ = Phase::Down;
  std::shared_ptr<const core::RunSpec> spec_ = no_spec();
  Process process_;
  ProcessTree tree_;
  Descriptor pipe_;
  NotifySocket notify_;
  OutputLog output_;
  std::unique_ptr<ErrorOutput> errors_;  // Null: stderr goes where stdout goes.
  Watch process_watch_;
  Watch pipe_watch_;
  Watch notify_watch_;
  Alarm ready_alarm_;
  Alarm start_alarm_;
  Alarm watchdog_alarm_;
  Alarm end_alarm_;  // KILL after the stop timeout; turns of Clearing.
  std::string failure_;
  FdStore store_;
  std::unique_ptr<Hooks> hooks_;  // Null: it has none.
  Descriptor hook_output_;
  Descriptor ready_line_;  // The reading end of its notification-fd.
  Descriptor ready_writer_;
  Watch ready_watch_;
  Process dead_;                                // Ended, and still to be collected.
  std::unique_ptr<const RuntimeRow> dead_row_;  // Null: nothing is to be buried.
  Alarm burial_alarm_;
  std::uint32_t burial_tries_ = 0;
  Process former_;  // The leader before MAINPID named another.
  Watch former_watch_;
  std::string status_;
  bool reloading_ = false;
  bool completed_ = false;  // A oneshot: Up, with nothing running.
  bool after_ran_ = false;
  Duration watchdog_{};  // Zero: none.
  std::uint32_t status_tries_ = 0;
  bool killed_ = false;         // Its tree, since the start.
  bool frozen_ = false;         // Or perhaps so.
  bool leaf_is_clean_ = false;  // Empty and never killed: to be entered again.
  Duration clear_pause_{};
  Instant kill_at_;  // Of Clearing.
};

}  // namespace recover::adapters::process
