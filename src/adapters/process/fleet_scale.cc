// The part of Fleet that changes how many instances there are, and restarts them one by one.
#include <algorithm>
#include <charconv>
#include <string>
#include <utility>

#include "adapters/process/fleet.h"

namespace recover::adapters::process {
namespace {

using core::ActionKind;
using core::CommandOutcome;

constexpr std::chrono::milliseconds kWellPause{100};  // Between two questions whether it is well.

// None: the command does not say a number.
std::optional<std::int64_t> target_of(const core::Command& command, const core::Policy& policy,
                                      std::uint32_t now) {
  if (const auto* with = std::get_if<core::ScaleAction>(&core::arguments_of(command, policy))) {
    return std::int64_t{now} + with->by;
  }
  std::int64_t number = 0;
  const char* const end = command.text.data() + command.text.size();
  const auto [stop, error] = std::from_chars(command.text.data(), end, number);
  return error == std::errc() && stop == end ? std::optional(number) : std::nullopt;
}

}  // namespace

std::uint32_t Fleet::wanted(const Service& service) const {
  const core::RunSpec& spec = *service.spec;
  const auto scaled = scale_.wanted(service.name, spec.instances);
  return scaled ? std::clamp(*scaled, spec.scale_min, std::max(spec.scale_min, spec.scale_max))
                : spec.instances;
}

// ---- scale

void Fleet::scale(Service& service, const core::Command& command, const core::Policy& policy,
                  ports::Done done) {
  const core::RunSpec& spec = *service.spec;
  const std::uint32_t before = wanted(service);
  const auto target = target_of(command, policy, before);
  if (!target) return report(command, done, CommandOutcome::Refused, "scale to how many?");
  const auto number = static_cast<std::uint32_t>(
      std::clamp<std::int64_t>(*target, spec.scale_min, std::max(spec.scale_min, spec.scale_max)));
  const bool asked = command.part == core::Part::Supervision;
  if (number == before && !asked) {
    return report(command, done, CommandOutcome::Failed,
                  "`scale:` allows no more than " + std::to_string(spec.scale_max) +
                      " and no fewer than " + std::to_string(spec.scale_min) + " instances");
  }
  if (asked && number != *target) {
    return report(command, done, CommandOutcome::Refused, "`scale:` does not allow that number");
  }
  if (const auto saved = scale_.set(service.name, spec.instances, number); !saved) {
    problem_ = saved.error();
  }
  begin(service, command, std::move(done));
  if (service.job) service.job->scaled_from = before;
}

void Fleet::advance_scale(Service& service) {
  bool surplus_down = true;
  for (std::size_t i = wanted(service); i < service.instances.size(); ++i) {
    Instance& each = *service.instances[i];
    each.stop();
    if (each.phase() == Phase::Down) each.store().clear();
    surplus_down = surplus_down && each.phase() == Phase::Down;
  }
  if (surplus_down) advance_start(service);
}

// ---- rolling restart

// A recovery has no time for it: what it restarts is broken as a whole.
bool Fleet::can_roll(const Service& service, const core::Command& command) {
  const auto up = std::count_if(service.instances.begin(), service.instances.end(),
                                [](const auto& each) { return each->phase() == Phase::Up; });
  return command.action == ActionKind::Restart && command.part == core::Part::Supervision &&
         command.text.empty() && up > 1;
}

void Fleet::advance_roll(Service& service) {
  Job& job = *service.job;
  job.attempted.resize(wanted(service));
  while (job.rolling < wanted(service)) {
    if (!starts(job.command, job.only, job.rolling)) {
      ++job.rolling;
      continue;
    }
    Instance& each = instance(service, job.rolling);
    if (!std::exchange(job.rolled, true)) each.stop();
    if (each.phase() == Phase::Down) {
      const bool failed = job.attempted[job.rolling] || !each.start(service.spec);
      job.attempted[job.rolling] = true;
      if (failed) {
        return end_job(service, CommandOutcome::Failed,
                       each.name() + ": " + each.failure() + "\nthe instances after it were left");
      }
    }
    if (each.phase() != Phase::Up || !is_well_again(service)) return;
    ++job.rolling;
    job.rolled = false;
    job.well = nullptr;
  }
  end_job(service, CommandOutcome::Done,
          std::to_string(std::ranges::count(job.attempted, true)) +
              " instances restarted, one after the other");
}

// False: not yet; it is asked again, or the job has ended.
bool Fleet::is_well_again(Service& service) {
  if (!options_.health_check || !service.index) return true;
  Job& job = *service.job;
  const Instant now = std::chrono::steady_clock::now();
  if (!job.well) {
    job.well = options_.health_check(*service.index);
    job.well_by = saturating_add(now, service.spec->ready.start_timeout);
  }
  if (job.well()) return true;
  if (now >= job.well_by) {
    end_job(service, CommandOutcome::Failed,
            instance(service, job.rolling).name() +
                ": not well again after its restart\nthe instances after it were left");
    return false;
  }
  job.pause.set(kWellPause, [this, &service] { advance(service); });
  return false;
}

// Stopped for good: nobody connects to it, nothing is kept for it.
void Fleet::release_channels(Service& service) {
  around_.sockets.close(service.name);
  for (const auto& each : service.instances) each->store().clear();
}

}  // namespace recover::adapters::process
