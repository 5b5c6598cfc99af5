// Everything the loop watches with and acts through, made and wired in one place.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "adapters/backup/backup_runner.h"
#include "adapters/backup/restore_effector.h"
#include "adapters/checkpoint/checkpoint_effector.h"
#include "adapters/checkpoint/repository_store.h"
#include "adapters/checkpoint/state_watch.h"
#include "adapters/container/containers.h"
#include "adapters/observe/observer.h"
#include "adapters/pattern/pattern_watch.h"
#include "adapters/probe/prober.h"
#include "adapters/process/adoption.h"
#include "adapters/process/keeper_link.h"
#include "adapters/process/supervisor.h"
#include "adapters/resource/gauges.h"
#include "adapters/resource/monitor.h"
#include "adapters/systemd/units.h"
#include "apps/recoverd/engine_clock.h"
#include "apps/recoverd/service_router.h"
#include "effects/effects.h"
#include "runtime/loop.h"

namespace recover::apps {

// What the runner of backups is made with.
struct BackupParts {
  core::BackupPolicy policy;
  std::string program;  // Our own path; empty: unknown, nothing can be backed up.
  std::function<std::string(std::string)> redact;
};
// Who owns the policy in force.
using PolicyOwner = std::function<std::shared_ptr<const core::Policy>()>;

struct EdgeParts {
  PolicyOwner owner;
  std::function<bool()> recorded;                   // SupervisorOptions'.
  adapters::process::Adoption* adoption = nullptr;  // SupervisorOptions'.
  BackupParts backups;
};

class Edges {
 public:
  // All outlive the edges. Error: why the checkpoint store cannot be opened.
  static Result<std::unique_ptr<Edges>, std::string> open(boost::asio::io_context& io,
                                                          const EngineClock& clock,
                                                          adapters::process::KeeperLink& keeper,
                                                          const std::string& state_dir,
                                                          const ports::Sink& sink, EdgeParts parts);
  ~Edges();

  std::vector<ports::EventSource*> sources();
  runtime::Effectors effectors();

  adapters::process::Supervisor& supervisor() { return *supervisor_; }
  adapters::pattern::PatternWatch& patterns() { return *patterns_; }
  adapters::probe::Prober& prober() { return *prober_; }
  adapters::resource::ResourceMonitor& resources() { return *resources_; }
  adapters::backup::BackupRunner& backups() { return *backups_; }
  // Backups and restores under way are told to end; `done` once they have.
  void stop_backups(std::function<void()> done);
  bool is_restoring() const { return !restore_effector_->is_idle(); }
  adapters::checkpoint::RepositoryStore& checkpoints() { return *checkpoints_; }
  boost::asio::thread_pool& pool() { return pool_; }

 private:
  static constexpr std::size_t kThreads = 4;  // For what blocks: files, libpq.

  Edges() = default;
  void open_owners(boost::asio::io_context& io, const EngineClock& clock, const ports::Sink& sink);
  void open_backups(const effects::Tools& tools, const std::string& state_dir,
                    const ports::Sink& sink, BackupParts parts);
  std::uint32_t running(core::ServiceIndex service) const;
  std::vector<adapters::probe::Tree> trees(core::ServiceIndex service) const;
  // For the supervisor's: whether every probe passed a look begun from now on.
  std::function<bool()> health_check(core::ServiceIndex service, const EngineClock& clock);

  boost::asio::thread_pool pool_{kThreads};
  // When the latest look that passed began, by service and probe.
  std::map<std::pair<std::uint32_t, std::uint32_t>, Instant> passed_;
  adapters::resource::Gauges gauges_;
  std::unique_ptr<adapters::pattern::PatternWatch> patterns_;
  std::unique_ptr<adapters::process::Supervisor> supervisor_;
  std::unique_ptr<adapters::systemd::Units> units_;
  std::unique_ptr<adapters::container::Containers> containers_;
  std::unique_ptr<adapters::observe::Observer> observer_;
  std::unique_ptr<ServiceRouter> router_;
  std::unique_ptr<adapters::probe::Prober> prober_;
  std::unique_ptr<adapters::resource::ResourceMonitor> resources_;
  std::unique_ptr<adapters::backup::BackupRunner> backups_;
  std::unique_ptr<adapters::backup::RestoreEffector> restore_effector_;
  std::unique_ptr<adapters::checkpoint::RepositoryStore> checkpoints_;
  std::unique_ptr<adapters::checkpoint::CheckpointEffector> checkpoint_effector_;
  std::unique_ptr<adapters::checkpoint::StateWatch> state_watch_;
  std::vector<effects::Effectors> others_;
};

}  // namespace recover::apps
