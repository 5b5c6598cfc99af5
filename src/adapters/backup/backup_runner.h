// Makes the backups of the configuration: starts a worker for each run that is due, hears how it
// goes, remembers what became of it.
//
// Decides nothing about time: core::BackupPlan does. Invariant: what is under way is in the state
// file before its worker runs, so that a run cut short is always found and tried again.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <boost/json/object.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "adapters/backup/guards.h"
#include "adapters/backup/reports.h"
#include "adapters/backup/run_story.h"
#include "adapters/backup/scratch.h"
#include "clients/child_run.h"
#include "core/backup_plan.h"
#include "ports/backup_desk.h"
#include "ports/event_source.h"

namespace boost::asio {
class io_context;
}

namespace recover::adapters::backup {

struct RunnerOptions {
  std::string state_dir;            // `backups` below it is ours.
  std::vector<std::string> worker;  // The command that takes a job.
  ports::Sink sink;
  std::function<std::int64_t()> wall_ns;
  // Kills every process whose environment holds kTokenVariable=token.
  std::function<void(const std::string& token)> kill_all;
  std::function<std::string(std::string)> redact;
  std::function<void(const std::string&)> problem;  // For the log.
};

// Environment variable that all processes of a run have.
inline constexpr const char* kTokenVariable = "RECOVERD_INSTANCE";
// What a worker's environment holds.
std::vector<std::string> worker_variables(const std::string& token);

// Loop thread throughout.
class BackupRunner final : public ports::EventSource, public ports::BackupDesk {
 public:
  static constexpr Duration kStopTime = std::chrono::seconds{5};  // For a worker to end by itself.
  static constexpr Duration kLookMax = std::chrono::seconds{20};  // A clock that jumps is noticed.

  // `loop` outlives the runner. Nothing starts before the first watch().
  BackupRunner(boost::asio::io_context& loop, RunnerOptions options, core::BackupPolicy policy);
  ~BackupRunner() override;

  void watch(const core::Policy& policy) override;
  void look(core::ServiceIndex /*service*/) override {}

  // Goes on under another policy, before watch() tells of its services. Runs under way go on.
  void replace(core::BackupPolicy policy);
  core::BackupVerdict verdict(core::ServiceIndex service, const core::BackupProbe& probe) const;
  // Starts nothing any more and ends what runs; `done` is called once all has ended.
  void stop(std::function<void()> done);

  // As it is in force.
  const core::BackupPolicy& policy() const { return plan_ ? plan_->policy() : waiting_; }

  std::int64_t now() const override;
  std::vector<ports::BackupTypeView> types() const override;
  std::optional<std::uint64_t> request(std::string_view type, core::BackupTask task,
                                       std::string actor) override;
  std::optional<ports::BackupRunView> run(std::uint64_t run) const override;
  std::vector<std::string> drills(std::size_t most) const override;

 private:
  struct Active {
    core::BackupStart start;
    std::string token;
    std::string repository;
    std::string scratch;  // Empty: none.
    std::shared_ptr<clients::ChildRun> child;
    std::string progress;                       // The latest status line.
    std::optional<boost::json::object> result;  // The last word.
  };

  void open();
  void turn();
  void turn_soon();  // From the loop, not from within a call.
  void arm();
  void save();
  void begin(const core::BackupStart& start);
  void hear(const core::BackupKey& key, std::string_view line);
  void ended(const core::BackupKey& key, clients::ChildEnd end);
  void settle(const Active& active, core::BackupEnd end);
  void tell_told();
  void tell_stopped();
  void report(core::BackupStage stage, const core::BackupKey& key, std::uint64_t run,
              std::string actor, std::string message);
  void problem(const std::string& text) const;
  // In place of a worker that cannot be started; told from the loop.
  void cannot_begin(const core::BackupKey& key, std::string why);
  // By what is wanted of a drill; `facts` is told of that.
  core::BackupEnd judged_drill(core::BackupEnd end, ReportFacts& facts) const;
  core::BackupVerdict made(std::uint32_t type) const;
  ports::BackupTaskView view_of(const core::BackupSlot& slot) const;
  ports::BackupTypeView view_of(std::uint32_t type) const;

  boost::asio::io_context& loop_;
  RunnerOptions options_;
  std::string folder_;
  Reports reports_;
  Scratch scratch_;
  std::unique_ptr<core::BackupPlan> plan_;  // None: before the first type is configured.
  std::map<std::string, core::ServiceIndex> services_;  // By type.
  std::map<core::BackupKey, Active> active_;
  Guards guards_;
  boost::asio::steady_timer timer_;
  boost::asio::steady_timer stop_timer_;
  std::string saved_;  // As it stands in the file.
  bool watching_ = false;
  bool save_failed_ = false;
  std::function<void()> stopped_;  // Set: we are stopping.
  core::BackupPolicy waiting_;     // Until there is a plan.
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace recover::adapters::backup
