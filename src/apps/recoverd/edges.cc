#include "apps/recoverd/edges.h"

#include <algorithm>
#include <utility>

#include "adapters/command/effectors.h"
#include "adapters/database/effectors.h"
#include "adapters/files/effectors.h"
#include "adapters/process/proc_file.h"
#include "adapters/process/process_tree.h"
#include "adapters/resource/limits_effector.h"
#include "apps/recoverd/companion.h"
#include "apps/recoverd/log.h"

namespace recover::apps {

using core::ActionKind;

Result<std::unique_ptr<Edges>, std::string> Edges::open(boost::asio::io_context& io,
                                                        const EngineClock& clock,
                                                        adapters::process::KeeperLink& keeper,
                                                        const std::string& state_dir,
                                                        const ports::Sink& sink, EdgeParts parts) {
  std::unique_ptr<Edges> edges(new Edges);
  const auto now = [&clock] { return clock.now(); };
  auto store = adapters::checkpoint::RepositoryStore::open(
      {.root = state_dir + "/checkpoints", .worker = companion(own_path(), "recoverd-backup")});
  if (!store) return Unexpected(store.error().message);
  edges->checkpoints_ = std::move(*store);
  edges->patterns_ = std::make_unique<adapters::pattern::PatternWatch>(sink, now);
  edges->supervisor_ = std::make_unique<adapters::process::Supervisor>(
      io,
      adapters::process::SupervisorOptions{
          .state_dir = state_dir,
          .keeper = &keeper,
          .adoption = parts.adoption,
          .on_line = [own = edges.get()](
                         core::ServiceIndex service, std::uint32_t,
                         std::string_view line) { own->patterns_->read(service, line); },
          .health_check =
              [own = edges.get(), &clock](core::ServiceIndex service) {
                return own->health_check(service, clock);
              },
          .policy = std::move(parts.owner),
          .recorded = std::move(parts.recorded)},
      sink);
  edges->open_owners(io, clock, sink);
  const effects::Tools tools{io, edges->pool_, now};
  edges->open_backups(tools, state_dir, sink, std::move(parts.backups));
  const auto heard = [own = edges.get(), sink](core::Event event) {
    const auto* look = std::get_if<core::ProbeFinished>(&event);
    if (look != nullptr && look->outcome == core::ProbeOutcome::Passed) {
      own->passed_[{look->service.value, look->probe}] = look->started_at;
    }
    sink(std::move(event));
  };
  edges->prober_ = std::make_unique<adapters::probe::Prober>(
      io, edges->pool_,
      adapters::probe::Prober::Options{
          .sink = heard,
          .now = now,
          .running =
              [own = edges.get()](core::ServiceIndex service) { return own->running(service); },
          .trees = [own = edges.get()](core::ServiceIndex service) { return own->trees(service); },
          .measure = [own = edges.get()](
                         const core::ResourceProbe& probe) { return own->gauges_.used(probe); },
          .backups =
              [own = edges.get()](core::ServiceIndex service, const core::BackupProbe& probe) {
                return own->backups_->verdict(service, probe);
              }});
  edges->resources_ = std::make_unique<adapters::resource::ResourceMonitor>(
      io, edges->pool_, edges->gauges_, sink, now);
  edges->checkpoint_effector_ =
      std::make_unique<adapters::checkpoint::CheckpointEffector>(io, *edges->checkpoints_);
  edges->state_watch_ = std::make_unique<adapters::checkpoint::StateWatch>(io, edges->pool_, sink);
  edges->others_.push_back(adapters::command::make_effectors(tools, state_dir));
  edges->others_.push_back(adapters::database::make_effectors(tools));
  edges->others_.push_back(adapters::files::make_effectors(tools));
  edges->others_.emplace_back().emplace(
      ActionKind::AdjustLimits,
      adapters::resource::make_adjust_limits(
          tools, [own = edges.get()](core::ServiceIndex service) {
            std::vector<std::string> leaves;
            for (const auto& instance : own->supervisor_->instances(service)) {
              if (instance.running) leaves.push_back(instance.cgroup);
            }
            return leaves;
          }));
  return edges;
}

// Those who keep services that are not ours.
void Edges::open_owners(boost::asio::io_context& io, const EngineClock& clock,
                        const ports::Sink& sink) {
  const auto now = [&clock] { return clock.now(); };
  const auto start_time = [](std::int64_t pid) -> std::uint64_t {
    const auto stat = adapters::process::read_stat(static_cast<pid_t>(pid));
    return stat && stat->state != 'Z' ? stat->start_time : 0;
  };
  const auto problem = [](const std::string& text) { log(Level::Warning, text); };
  units_ = std::make_unique<adapters::systemd::Units>(
      io, adapters::systemd::UnitsOptions{
              .sink = sink, .now = now, .start_time_of = start_time, .problem = problem});
  containers_ = std::make_unique<adapters::container::Containers>(
      io, adapters::container::ContainersOptions{
              .sink = sink, .now = now, .start_time_of = start_time, .problem = problem});
  observer_ = std::make_unique<adapters::observe::Observer>(
      io, adapters::observe::ObserverOptions{.sink = sink, .start_time_of = start_time});
  router_ = std::make_unique<ServiceRouter>(
      io, ServiceRouter::Hands{supervisor_.get(), units_.get(), containers_.get(), observer_.get(),
                               nullptr});
}

void Edges::open_backups(const effects::Tools& tools, const std::string& state_dir,
                         const ports::Sink& sink, BackupParts parts) {
  const std::string program = parts.program.empty() ? "recoverd" : parts.program;
  backups_ = std::make_unique<adapters::backup::BackupRunner>(
      tools.loop,
      adapters::backup::RunnerOptions{
          .state_dir = state_dir,
          .worker = {program, "backup-worker"},
          .sink = sink,
          .wall_ns = [] { return EngineClock::wall_ns(); },
          .kill_all =
              [](const std::string& token) {
                adapters::process::ProcessTree tree;
                tree.token = token;
                tree.kill();
              },
          .redact = std::move(parts.redact),
          .problem = [](const std::string& text) { log(Level::Warning, text); }},
      std::move(parts.policy));
  restore_effector_ = std::make_unique<adapters::backup::RestoreEffector>(
      tools, std::vector<std::string>{program, "backup-worker"},
      [this]() -> const core::BackupPolicy& { return backups_->policy(); }, state_dir + "/backups");
}

void Edges::stop_backups(std::function<void()> done) {
  restore_effector_->stop(
      [this, done = std::move(done)]() mutable { backups_->stop(std::move(done)); });
}

Edges::~Edges() {
  pool_.join();
}

std::uint32_t Edges::running(core::ServiceIndex service) const {
  const auto instances = supervisor_->instances(service);
  return static_cast<std::uint32_t>(
      std::ranges::count_if(instances, &adapters::process::InstanceView::running));
}

std::vector<adapters::probe::Tree> Edges::trees(core::ServiceIndex service) const {
  std::vector<adapters::probe::Tree> found;
  for (const adapters::process::InstanceView& instance : supervisor_->instances(service)) {
    if (!instance.running) continue;
    found.push_back({.pid = instance.incarnation.pid, .cgroup = instance.cgroup});
  }
  return found;
}

std::function<bool()> Edges::health_check(core::ServiceIndex service, const EngineClock& clock) {
  return [this, service, since = clock.now()] {
    const auto probes = static_cast<std::uint32_t>(prober_->latest(service).size());
    for (std::uint32_t probe = 0; probe < probes; ++probe) {
      const auto passed = passed_.find({service.value, probe});
      if (passed != passed_.end() && passed->second >= since) continue;
      prober_->look(service);
      return false;
    }
    return true;
  };
}

std::vector<ports::EventSource*> Edges::sources() {
  return {patterns_.get(), supervisor_.get(), units_.get(),     containers_.get(), observer_.get(),
          backups_.get(),  prober_.get(),     resources_.get(), state_watch_.get()};
}

runtime::Effectors Edges::effectors() {
  runtime::Effectors table{};
  const auto set = [&table](ActionKind action, ports::Effector* effector) {
    table[static_cast<std::size_t>(action)] = effector;
  };
  for (const ActionKind action :
       {ActionKind::Start, ActionKind::Stop, ActionKind::Restart, ActionKind::Reload,
        ActionKind::Signal, ActionKind::Scale, ActionKind::Freeze, ActionKind::Thaw}) {
    set(action, router_.get());
  }
  set(ActionKind::RestoreBackup, restore_effector_.get());
  set(ActionKind::Checkpoint, checkpoint_effector_.get());
  set(ActionKind::RestoreCheckpoint, checkpoint_effector_.get());
  for (const auto& effectors : others_) {
    for (const auto& [action, effector] : effectors) set(action, effector.get());
  }
  return table;
}

}  // namespace recover::apps
