#include "adapters/checkpoint/checkpoint_effector.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>

#include <algorithm>
#include <map>
#include <stop_token>
#include <utility>

#include "core/policy.h"

namespace recover::adapters::checkpoint {
namespace {

namespace asio = boost::asio;
using core::ActionKind;
using core::Command;
using core::CommandFinished;
using core::CommandOutcome;
using core::Part;
using core::Policy;
using ports::CheckpointError;
using ports::CheckpointFault;
using ports::CheckpointStore;

constexpr std::size_t kThreads = 2;
constexpr std::size_t kDetailBytesMax = 4'096;
constexpr std::size_t kPathsTold = 20;

// The CheckpointAction the command comes from, if it names one.
const core::CheckpointAction* action_of(const Command& command, const Policy& policy) {
  if (!command.playbook) return nullptr;
  const core::PlaybookPolicy& playbook = policy.playbook(*command.playbook);
  const auto in = [&command](const std::vector<core::StepPolicy>& steps, bool undo) {
    const core::ActionSpec* spec = nullptr;
    if (command.index < steps.size()) {
      spec = undo ? &steps[command.index].undo_with : &steps[command.index].with;
    }
    return spec == nullptr ? nullptr : std::get_if<core::CheckpointAction>(spec);
  };
  switch (command.part) {
    case Part::Supervision:
    case Part::Checkpoint: return nullptr;
    case Part::Step: return in(playbook.steps, false);
    case Part::Undo: return in(playbook.steps, true);
    case Part::Rollback: return in(playbook.rollback, false);
  }
  return nullptr;
}

std::string checkpoint_name(const Command& command, const Policy& policy) {
  if (!command.text.empty()) return command.text;
  if (const auto* action = action_of(command, policy)) return action->name;
  if (command.recovery && command.action == ActionKind::Checkpoint) {
    return "recovery-" + std::to_string(command.recovery.value);
  }
  return std::string(ports::kLastGood);
}

// What the work needs, copied: the policy may be gone when it is done.
struct Job {
  Command command;
  std::string service;
  std::string name;
  std::vector<std::string> paths;
  ports::CheckpointFacts facts;
  std::uint32_t keep = 0;
};

CommandFinished finished(const Job& job, CommandOutcome outcome, std::string detail) {
  if (detail.size() > kDetailBytesMax) detail.resize(kDetailBytesMax);
  return {
      .command = job.command.id, .outcome = outcome, .detail = std::move(detail), .checkpoint = {}};
}

CommandFinished failed(const Job& job, const CheckpointError& error) {
  if (error.touched) {
    return finished(job, CommandOutcome::Unknown,
                    error.message + " (part of the state was restored; restoring again helps)");
  }
  return finished(
      job,
      error.fault == CheckpointFault::NotFound || error.fault == CheckpointFault::Refused
          ? CommandOutcome::Refused
          : CommandOutcome::Failed,
      error.message);
}

CommandFinished take(const Job& job, CheckpointStore& store, ports::CheckpointLimits limits) {
  if (job.command.settle) {
    return finished(job, CommandOutcome::Unknown, "the checkpoint may have been taken or not");
  }
  const auto taken = store.take({.service = job.service,
                                 .name = job.name,
                                 .paths = job.paths,
                                 .facts = job.facts,
                                 .limits = std::move(limits)});
  if (!taken) return failed(job, taken.error());
  std::string detail = "checkpoint " + taken->id + " (" + job.name +
                       "): " + std::to_string(taken->files) + " files, " +
                       std::to_string(taken->bytes) + " bytes, " +
                       (taken->new_state ? "new state" : "no new state");
  const auto pruned =
      store.prune({.service = job.service, .keep = job.keep, .in_use = {taken->id}});
  if (!pruned) detail += "; old ones stay: " + pruned.error().message;
  CommandFinished done = finished(job, CommandOutcome::Done, std::move(detail));
  done.checkpoint = taken->id;
  return done;
}

bool has(CheckpointStore& store, const std::string& service, std::string_view name) {
  const auto all = store.list(service);
  return all && std::ranges::any_of(*all, [name](const ports::CheckpointInfo& info) {
           return std::ranges::find(info.names, name) != info.names.end();
         });
}

// Gives a checkpoint that is there already its name. What is called kLastGoodStarted is last-good
// too; a last-good that nobody is known to have read leaves the one before in reach.
CommandFinished name(const Job& job, CheckpointStore& store) {
  const std::string& id = job.command.checkpoint;
  std::vector<std::string> names = {job.name};
  if (job.name == ports::kLastGoodStarted) names.emplace_back(ports::kLastGood);
  if (job.name == ports::kLastGood && !has(store, job.service, ports::kLastGoodStarted)) {
    // The first time there is none before either: then this one will do.
    if (!store.name(job.service, ports::kLastGood, ports::kLastGoodStarted)) {
      names.emplace_back(ports::kLastGoodStarted);
    }
  }
  for (const std::string& each : names) {
    if (const auto named = store.name(job.service, id, each); !named) {
      return failed(job, named.error());
    }
  }
  CommandFinished done =
      finished(job, CommandOutcome::Done, "checkpoint " + id + " is " + job.name + " now");
  done.checkpoint = id;
  return done;
}

std::string told(const char* what, const std::vector<std::string>& paths) {
  if (paths.empty()) return "";
  std::string text = "; " + std::to_string(paths.size()) + " " + what + ":";
  for (std::size_t i = 0; i < paths.size() && i < kPathsTold; ++i) text += " " + paths[i];
  return paths.size() > kPathsTold ? text + " …" : text;
}

std::string undo_text(const ports::RestoreReport& report) {
  if (!report.no_undo.empty()) return "; what was there before is lost: " + report.no_undo;
  return report.undo.empty() ? "" : "; what was there before is checkpoint " + report.undo;
}

CommandFinished restore(const Job& job, CheckpointStore& store, ports::CheckpointLimits limits) {
  ports::RestoreRequest request{.service = job.service,
                                .checkpoint = job.name,
                                .paths = {},
                                .dry_run = job.command.settle,
                                .limits = std::move(limits)};
  auto report = store.restore(request);
  if (!report) return failed(job, report.error());
  const std::string undo = undo_text(*report);
  bool as_held = report->written.empty() && report->removed.empty();
  if (as_held && job.name == ports::kLastGood && !job.command.settle) {
    // What is there is what went wrong: back to what a start has proven, if that is another one.
    request.checkpoint = ports::kLastGoodStarted;
    auto older = store.restore(request);
    if (!older && older.error().fault != CheckpointFault::NotFound) {
      return failed(job, older.error());
    }
    if (older) report = std::move(older);
    as_held = report->written.empty() && report->removed.empty();
  }
  const bool done = as_held || !job.command.settle;
  CommandFinished result =
      finished(job, done ? CommandOutcome::Done : CommandOutcome::Unknown,
               "checkpoint " + report->id + " (" + job.name + ")" +
                   told(job.command.settle ? "differ" : "restored", report->written) +
                   told(job.command.settle ? "too many" : "removed", report->removed) +
                   told("left alone", report->left) + "; " + std::to_string(report->unchanged) +
                   " unchanged" + (as_held ? "" : undo));
  result.checkpoint = report->id;
  return result;
}

}  // namespace

// Threads, and what runs on them. perform(), cancel() and the posted results are on the loop's
// thread, so the maps need no lock.
class CheckpointEffector::Pool {
 public:
  explicit Pool(asio::io_context& loop) : loop_(loop.get_executor()) {}
  ~Pool() {
    for (auto& [id, stop] : state_->stops) stop.request_stop();
    threads_.join();
  }

  using Work = std::function<CommandFinished(std::stop_token)>;
  void run(core::CommandId id, const std::string& service, Work work, ports::Done done) {
    std::stop_source& stop = state_->stops[id];
    auto strand = strands_.try_emplace(service, asio::make_strand(threads_.get_executor())).first;
    auto report = [state = std::weak_ptr(state_), id,
                   done = std::move(done)](CommandFinished result) {
      if (const auto alive = state.lock()) alive->stops.erase(id);
      done(std::move(result));
    };
    asio::post(strand->second, [loop = asio::make_work_guard(loop_), work = std::move(work),
                                token = stop.get_token(), report = std::move(report)]() mutable {
      CommandFinished result = work(std::move(token));
      asio::post(loop.get_executor(),
                 [report = std::move(report), result = std::move(result)]() mutable {
                   report(std::move(result));
                 });
    });
  }

  void cancel(core::CommandId id) {
    const auto stop = state_->stops.find(id);
    if (stop != state_->stops.end()) stop->second.request_stop();
  }

  void answer(CommandFinished result, ports::Done done) {
    asio::post(loop_, [result = std::move(result), done = std::move(done)]() mutable {
      done(std::move(result));
    });
  }

 private:
  struct State {
    std::map<core::CommandId, std::stop_source> stops;
  };
  asio::io_context::executor_type loop_;
  std::shared_ptr<State> state_ = std::make_shared<State>();
  asio::thread_pool threads_{kThreads};
  // One a service that was ever asked for: as many as the configuration has names.
  std::map<std::string, asio::strand<asio::thread_pool::executor_type>> strands_;
};

CheckpointEffector::CheckpointEffector(asio::io_context& loop, CheckpointStore& store,
                                       CheckpointEffectorOptions options)
    : pool_(std::make_unique<Pool>(loop)), store_(store), options_(std::move(options)) {}

CheckpointEffector::~CheckpointEffector() = default;

void CheckpointEffector::perform(const Command& command, const Policy& policy, ports::Done done) {
  Job job{.command = command, .service = {}, .name = {}, .paths = {}, .facts = {}};
  const bool takes = command.action == ActionKind::Checkpoint;
  if (!takes && command.action != ActionKind::RestoreCheckpoint) {
    pool_->answer(finished(job, CommandOutcome::Refused, "not an action on checkpoints"),
                  std::move(done));
    return;
  }
  const core::ServicePolicy& service = policy.service(command.service);
  job.service = service.name;
  job.name = checkpoint_name(command, policy);
  job.paths = service.state;
  job.keep = policy.checkpoint.keep;
  if (takes && options_.facts) job.facts = options_.facts(command.service);
  const std::string strand = job.service;
  pool_->run(
      command.id, strand,
      [job = std::move(job), takes, &store = store_](std::stop_token stop) {
        ports::CheckpointLimits limits{.stop = std::move(stop), .deadline = job.command.deadline};
        if (takes && !job.command.checkpoint.empty()) return name(job, store);
        return takes ? take(job, store, std::move(limits)) : restore(job, store, std::move(limits));
      },
      std::move(done));
}

void CheckpointEffector::cancel(core::CommandId command) {
  pool_->cancel(command);
}

}  // namespace recover::adapters::checkpoint
