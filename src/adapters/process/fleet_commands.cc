// The part of Fleet that carries out commands and the end of everything.
#include <algorithm>
#include <charconv>
#include <string>
#include <utility>

#include "adapters/process/fleet.h"
#include "base/secret.h"

namespace recover::adapters::process {
namespace {

using core::ActionKind;
using core::CommandOutcome;

constexpr std::size_t kDetailMax = 4096;
constexpr std::size_t kSecretMin = 6;  // Shorter values are not worth, or not possible, to hide.
constexpr std::chrono::seconds kKillWait{5};  // After the KILL of a shutdown.

// "0,2": the instances a start, stop or restart is about. Empty: all.
std::vector<std::uint32_t> instances_in(std::string_view text) {
  std::vector<std::uint32_t> numbers;
  while (!text.empty()) {
    std::uint32_t number = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc()) return {};
    numbers.push_back(number);
    text.remove_prefix(static_cast<std::size_t>(stop - text.data()));
    if (!text.empty()) text.remove_prefix(1);
  }
  return numbers;
}

}  // namespace

std::string redacted(std::string text, const core::RunSpec& spec) {
  for (const auto& [name, secret] : spec.environment) {
    const std::string& value = secret.reveal();
    if (value.size() < kSecretMin) continue;
    for (auto at = text.find(value); at != std::string::npos; at = text.find(value, at)) {
      text.replace(at, value.size(), base::kRedacted);
      at += base::kRedacted.size();
    }
  }
  if (text.size() > kDetailMax) text.resize(kDetailMax);
  return text;
}

// ---- commands --------------------------------------------------------------------------------

void Fleet::report(const core::Command& command, const ports::Done& done, CommandOutcome outcome,
                   std::string detail) {
  core::CommandFinished finished{
      .command = command.id, .outcome = outcome, .detail = std::move(detail), .checkpoint = {}};
  later([done, finished = std::move(finished)] { done(finished); });
}

void Fleet::perform(const core::Command& command, const core::Policy& policy, ports::Done done) {
  const core::ServicePolicy& wanted = policy.service(command.service);
  const auto* spec = std::get_if<core::RunSpec>(&wanted.spec);
  const auto known = services_.find(wanted.name);
  if (spec == nullptr || known == services_.end()) {
    return report(command, done, CommandOutcome::Refused, wanted.name + " is not a run service");
  }
  Service& service = known->second;
  if (command.epoch < service.epoch) {
    return report(command, done, CommandOutcome::Refused, "a newer command was given meanwhile");
  }
  service.epoch = command.epoch;
  if (command.settle) return settle(service, command, done);
  if (command.action == ActionKind::Reload) {
    return signal_all(service, spec->reload_signal, command, done);
  }
  if (command.action == ActionKind::Signal) {
    const core::SignalWish wish = core::signal_of(command, policy);
    return signal_all(service, wish.signal, command, done, wish.instance);
  }
  if (command.action == ActionKind::Freeze || command.action == ActionKind::Thaw) {
    return freeze_all(service, command, done);
  }
  const bool known_action =
      command.action == ActionKind::Start || command.action == ActionKind::Stop ||
      command.action == ActionKind::Restart || command.action == ActionKind::Scale;
  const bool stopping = shutdown_ && !shutdown_->removed_only;
  if (!known_action || stopping) {
    return report(command, done, CommandOutcome::Refused,
                  stopping ? "recoverd is stopping" : "not an action on processes");
  }
  set_spec(service, *spec);
  if (command.action == ActionKind::Scale) return scale(service, command, policy, std::move(done));
  begin(service, command, std::move(done));
}

void Fleet::begin(Service& service, const core::Command& command, ports::Done done) {
  if (service.job) {
    end_job(service, CommandOutcome::Failed,
            "superseded by " + std::string(core::to_string(command.action)));
  }
  service.job = std::make_unique<Job>(loop_, command, std::move(done));
  const bool stops = command.action == ActionKind::Stop || command.action == ActionKind::Restart;
  service.job->stage = stops ? Stage::Stopping : Stage::Starting;
  if (command.action != ActionKind::Scale) service.job->only = instances_in(command.text);
  if (can_roll(service, command)) service.job->stage = Stage::Rolling;
  service.job->deadline_at = command.deadline;
  if (command.deadline != kNever) {
    const Duration left = command.deadline - std::chrono::steady_clock::now();
    service.job->deadline.set(std::max(left, Duration::zero()),
                              [this, &service] { deadline_passed(service); });
  }
  advance(service);
}

// What is known after a crash without doing anything.
void Fleet::settle(Service& service, const core::Command& command, const ports::Done& done) {
  const bool scales = command.action == ActionKind::Scale;
  const auto only = scales ? std::vector<std::uint32_t>() : instances_in(command.text);
  std::uint32_t up = 0;
  std::uint32_t concerned = 0;
  for (std::uint32_t i = 0; i < wanted(service); ++i) {
    if (!starts(command, only, i)) continue;
    ++concerned;
    const bool there = i < service.instances.size();
    up += there && service.instances[i]->phase() == Phase::Up ? 1U : 0U;
  }
  if (command.action == ActionKind::Start || scales) {
    return report(command, done, up == concerned ? CommandOutcome::Done : CommandOutcome::Failed,
                  std::to_string(up) + " of " + std::to_string(concerned) + " instances are up");
  }
  const bool all_stopped = std::ranges::none_of(service.instances, [&only](const auto& each) {
    return (only.empty() || std::ranges::find(only, each->number()) != only.end()) && each->runs();
  });
  if (command.action == ActionKind::Stop && all_stopped) {
    return report(command, done, CommandOutcome::Done, "nothing runs");
  }
  report(command, done, CommandOutcome::Unknown, "it cannot be seen whether this was done");
}

void Fleet::signal_all(Service& service, int number, const core::Command& command,
                       const ports::Done& done, std::optional<std::uint32_t> instance) {
  const auto reached =
      std::count_if(service.instances.begin(), service.instances.end(), [&](const auto& each) {
        return (!instance || each->number() == *instance) && each->signal(number);
      });
  report(command, done, reached > 0 ? CommandOutcome::Done : CommandOutcome::Failed,
         reached > 0
             ? "signal " + std::to_string(number) + " to " + std::to_string(reached) + " processes"
             : "nothing runs");
}

void Fleet::freeze_all(Service& service, const core::Command& command, const ports::Done& done) {
  const bool still = command.action == ActionKind::Freeze;
  const auto reached = std::count_if(service.instances.begin(), service.instances.end(),
                                     [&](const auto& each) { return each->freeze(still); });
  report(command, done, reached > 0 ? CommandOutcome::Done : CommandOutcome::Failed,
         reached > 0
             ? std::to_string(reached) + (still ? " instances stand still" : " instances go on")
             : "nothing runs");
}

bool Fleet::all_down(const Service& service) {
  return std::none_of(service.instances.begin(), service.instances.end(),
                      [](const auto& each) { return each->runs(); });
}

bool Fleet::stop_concerned(Service& service) {
  const std::vector<std::uint32_t>& only = service.job->only;
  bool down = true;
  for (const auto& each : service.instances) {
    if (!only.empty() && std::ranges::find(only, each->number()) == only.end()) continue;
    each->stop();
    down = down && !each->runs();
  }
  return down;
}

// A restart starts whatever is down, but what a person stopped.
bool Fleet::starts(const core::Command& command, const std::vector<std::uint32_t>& only,
                   std::uint32_t number) {
  if (std::ranges::find(command.held, number) != command.held.end()) return false;
  return command.action != ActionKind::Start || only.empty() ||
         std::ranges::find(only, number) != only.end();
}

void Fleet::advance(Service& service) {
  if (!service.job) return;
  if (service.job->stage == Stage::Rolling) return advance_roll(service);
  if (service.job->command.action == ActionKind::Scale) return advance_scale(service);
  if (service.job->stage == Stage::Stopping) {
    if (!stop_concerned(service)) return;
    if (service.job->command.action == ActionKind::Stop) {
      // Its siblings may be down only for now.
      if (service.job->only.empty() && all_down(service)) release_channels(service);
      for (const std::uint32_t number : service.job->command.held) {
        if (number < service.instances.size() && !service.instances[number]->runs()) {
          service.instances[number]->store().clear();
        }
      }
      return end_job(service, CommandOutcome::Done, "stopped");
    }
    service.job->stage = Stage::Starting;
  }
  advance_start(service);
}

void Fleet::advance_start(Service& service) {
  Job& job = *service.job;
  job.attempted.resize(wanted(service));
  bool all_up = true;
  std::uint32_t concerned = 0;
  for (std::uint32_t i = 0; i < wanted(service); ++i) {
    if (!starts(job.command, job.only, i)) continue;
    ++concerned;
    Instance& each = instance(service, i);
    const bool down = each.phase() == Phase::Down;
    const bool failed = down && (job.attempted[i] || !each.start(service.spec));
    job.attempted[i] = job.attempted[i] || down;
    if (failed) {
      const std::string detail = each.name() + ": " + each.failure();
      undo_start(service);
      return end_job(service, CommandOutcome::Failed, detail);
    }
    all_up = all_up && each.phase() == Phase::Up;
  }
  if (!all_up) return;
  end_job(service, CommandOutcome::Done, std::to_string(concerned) + " instances are up");
}

void Fleet::undo_start(Service& service) {
  const std::vector<bool>& attempted = service.job->attempted;
  for (std::size_t i = 0; i < attempted.size() && i < service.instances.size(); ++i) {
    Instance& each = *service.instances[i];
    if (attempted[i] && each.phase() == Phase::Starting) each.kill();
  }
}

void Fleet::deadline_passed(Service& service) {
  if (!service.job) return;
  if (service.job->stage == Stage::Stopping) {
    return end_job(service, CommandOutcome::Unknown, "processes are left at the deadline");
  }
  std::string detail = "not ready at the deadline:";
  for (const auto& each : service.instances) {
    if (!starts(service.job->command, service.job->only, each->number())) continue;
    if (each->phase() != Phase::Up) detail += " " + each->name() + " " + each->failure();
  }
  undo_start(service);
  end_job(service, CommandOutcome::Failed, detail);
}

void Fleet::end_job(Service& service, CommandOutcome outcome, std::string detail) {
  const auto job = std::move(service.job);
  if (job->scaled_from && outcome != CommandOutcome::Done) {
    const auto saved = scale_.set(service.name, service.spec->instances, *job->scaled_from);
    if (!saved) problem_ = saved.error();
  }
  report(job->command, job->done, outcome, redacted(std::move(detail), *service.spec));
}

void Fleet::cancel(core::CommandId id) {
  for (auto& [name, service] : services_) {
    if (!service.job || service.job->command.id != id) continue;
    if (service.job->stage == Stage::Starting) undo_start(service);
    end_job(service, CommandOutcome::Unknown, "cancelled");
  }
}

// ---- the end ---------------------------------------------------------------------------------

void Fleet::stop_all(Duration timeout, std::function<void()> done, bool removed_only) {
  end_shutdown();
  shutdown_ = std::make_unique<Shutdown>(loop_);
  shutdown_->done = std::move(done);
  shutdown_->removed_only = removed_only;
  for (auto& [name, service] : services_) {
    if (service.job && (!removed_only || !service.index)) {
      end_job(service, CommandOutcome::Unknown, "recoverd is stopping");
    }
  }
  shutdown_->deadline.set(timeout, [this] {
    for (auto& [name, service] : services_) {
      if (shutdown_->removed_only && service.index) continue;
      for (const auto& each : service.instances) each->kill();
    }
    shutdown_->deadline.set(kKillWait, [this] { end_shutdown(); });
  });
  later([this] { begin_shutdown(); });
}

void Fleet::begin_shutdown() {
  if (!shutdown_) return;
  for (auto& [name, service] : services_) {
    if (shutdown_->removed_only && service.index) continue;
    if (all_down(service)) {
      release_channels(service);
      continue;
    }
    shutdown_->left.insert(name);
    for (const std::string& needed : service.depends_on) ++shutdown_->dependents[needed];
  }
  for (const std::string& name : shutdown_->left) stop_unneeded(name);
  if (shutdown_->left.empty()) end_shutdown();
}

// Of services that leave, each goes at once; else dependents before what they depend on.
void Fleet::stop_unneeded(std::string_view name) {
  const auto dependents = shutdown_->dependents.find(name);
  const bool needed = dependents != shutdown_->dependents.end() && dependents->second > 0;
  if (needed && !shutdown_->removed_only) return;
  for (const auto& each : services_.find(name)->second.instances) each->stop();
}

void Fleet::advance_shutdown(Service& ended) {
  if (!shutdown_ || !all_down(ended) || shutdown_->left.erase(ended.name) == 0) return;
  release_channels(ended);
  for (const std::string& needed : ended.depends_on) {
    --shutdown_->dependents[needed];
    if (shutdown_->left.contains(needed)) stop_unneeded(needed);
  }
  if (shutdown_->left.empty()) end_shutdown();
}

void Fleet::end_shutdown() {
  const auto ended = std::move(shutdown_);
  if (ended && !ended->removed_only && ended->left.empty()) all_stopped_ = true;
  if (ended && ended->done) later(ended->done);
}

}  // namespace recover::adapters::process
