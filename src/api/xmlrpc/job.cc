#include "api/xmlrpc/job.h"

#include <algorithm>
#include <utility>

#include "api/foresight.h"
#include "api/shapes.h"

namespace recover::api::xmlrpc {
namespace {

// Each is tried on a copy of the engine first: the loop must not stand still for a thousand.
constexpr std::size_t kPostsPerPoll = 16;
// A service has deadlines of its own, which speak before this one.
constexpr Duration kWaitMax = std::chrono::minutes{10};

// One that does not say when it is ready must have run for so long, or it may have died at once.
constexpr Duration kStaysMin = std::chrono::seconds{1};

bool says_ready(const core::ServiceSpec& spec) {
  const auto* run = std::get_if<core::RunSpec>(&spec);
  if (run == nullptr || run->type == core::RunType::Oneshot) return true;
  return run->ready.notify || run->ready.probe || run->ready.fd || run->ready.after;
}

bool any_runs(const core::ServiceHealth& health) {
  return std::ranges::any_of(health.instances, [](const core::InstanceHealth& instance) {
    return instance.state != core::InstanceState::Down;
  });
}

bool all_up(const core::ServiceHealth& health) {
  std::size_t up = 0;
  for (const core::InstanceHealth& instance : health.instances) {
    up += instance.state == core::InstanceState::Up ? 1U : 0U;
  }
  return up > 0 && up >= health.desired;
}

// Of one that is meant alone; null: it is not there, or the service is meant as a whole.
const core::InstanceHealth* alone_in(const core::ServiceHealth& health,
                                     std::optional<std::uint32_t> number) {
  return number && *number < health.instances.size() ? &health.instances[*number] : nullptr;
}

bool recovering(const core::State& state, core::ServiceIndex service) {
  return std::ranges::any_of(state.recoveries, [&](const auto& item) {
    return item.second.service == service && !ended(item.second.state);
  });
}

}  // namespace

Job::Job(const Backend& backend, Kind kind, std::string actor, std::vector<Process> processes,
         bool wait, bool alone)
    : backend_(backend),
      kind_(kind),
      actor_(std::move(actor)),
      processes_(std::move(processes)),
      wait_(wait) {
  const core::Engine& engine = backend_.engine();
  for (const Process& process : processes_) add(engine, process.service);
  if (alone && processes_.size() == 1) parts_.front().instance = processes_.front().instance;
  if (kind_ == Kind::Start) return;
  // The other way round: dependents end first.
  std::vector<std::vector<std::string>> dependents(parts_.size());
  for (const Part& part : parts_) {
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      if (std::ranges::find(part.after, parts_[i].service) != part.after.end()) {
        dependents[i].push_back(part.service);
      }
    }
  }
  for (std::size_t i = 0; i < parts_.size(); ++i) parts_[i].after = std::move(dependents[i]);
}

void Job::add(const core::Engine& engine, core::ServiceIndex service) {
  const core::ServicePolicy& policy = engine.policy().service(service);
  const auto same = [&](const Part& part) { return part.service == policy.name; };
  if (std::ranges::any_of(parts_, same)) return;
  Part part;
  part.service = policy.name;
  for (const core::ServiceIndex needed : policy.depends_on) {
    part.after.push_back(engine.policy().service(needed).name);
  }
  parts_.push_back(std::move(part));
}

std::optional<std::vector<Job::Verdict>> Job::poll() {
  posts_left_ = kPostsPerPoll;
  // Every part once more while one ends: what waited for it may begin.
  for (bool moved = true; std::exchange(moved, false);) {
    for (Part& part : parts_) {
      if (part.over) continue;
      advance(part);
      moved = moved || part.over;
    }
  }
  if (!std::ranges::all_of(parts_, &Part::over)) return std::nullopt;
  std::vector<Verdict> verdicts;
  for (const Process& process : processes_) {
    const auto part = std::ranges::find(parts_, process.group, &Part::service);
    verdicts.push_back({process, part->fault});
  }
  return verdicts;
}

void Job::advance(Part& part) {
  const auto service = backend_.engine().policy().find_service(part.service);
  if (!service && kind_ == Kind::Stop) return end(part);  // A reload took it away.
  if (!service) return end(part, fault(Code::BadName, part.service));
  if (part.posted) return judge(part, *service);
  if (posts_left_ == 0 || !may_begin(part)) return;
  --posts_left_;
  post(part, *service);
}

bool Job::may_begin(const Part& part) const {
  return std::ranges::all_of(parts_, [&](const Part& other) {
    return other.over || std::ranges::find(part.after, other.service) == part.after.end();
  });
}

void Job::post(Part& part, core::ServiceIndex service) {
  const core::Event event = core::OperatorService{
      .service = service,
      .request = kind_ == Kind::Start ? core::ServiceRequest::Start : core::ServiceRequest::Stop,
      .actor = actor_,
      .instance = part.instance};
  const Foresight foresight = foresee(backend_, event);
  backend_.post(event);
  part.posted = true;
  part.deadline = saturating_add(backend_.now(), kWaitMax);
  if (const core::Reason* reason = foresight.refused()) {
    // Of a start supervisorctl knows no plain failure.
    const Code code = kind_ == Kind::Start ? Code::SpawnError : Code::Failed;
    return end(part, fault(code, part.service + ": " + reason->detail));
  }
  part.epoch = foresight.engine.state().services.at(service.value).epoch;
  if (!wait_) end(part);
}

void Job::judge(Part& part, core::ServiceIndex service) {
  const core::State& state = backend_.engine().state();
  const core::ServiceHealth& health = state.services.at(service.value);
  const bool late = backend_.now() >= part.deadline;
  const bool busy = health.epoch < part.epoch || health.supervision;
  if (busy && !late) return;
  if (kind_ == Kind::Start) return judge_start(part, service, late);
  judge_stop(part, service, late);
}

// recoverd goes on with one that did not come up; who asked hears at once that it did not.
void Job::judge_start(Part& part, core::ServiceIndex service, bool late) {
  const core::State& state = backend_.engine().state();
  const core::ServiceHealth& health = state.services.at(service.value);
  const core::InstanceHealth* alone = alone_in(health, part.instance);
  const bool well = alone != nullptr ? alone->state == core::InstanceState::Up
                                     : health.state == core::ServiceState::Healthy ||
                                           health.state == core::ServiceState::Degraded;
  if (!well) part.well_since = std::nullopt;
  if (well && !part.well_since) part.well_since = backend_.now();
  const bool stays = well && (says_ready(backend_.engine().policy().service(service).spec) ||
                              backend_.now() - *part.well_since >= kStaysMin);
  if (stays || (late && all_up(health))) return end(part);
  const bool down = alone != nullptr && alone->state == core::InstanceState::Down;
  const bool ill = alone != nullptr
                       ? down && !health.start_pending
                       : health.incident || recovering(state, service) || !health.wanted ||
                             health.state == core::ServiceState::Failed ||
                             health.state == core::ServiceState::Quarantined;
  if (!ill && !late) return;
  const std::string trouble = trouble_of(backend_.engine(), service);
  end(part,
      fault(Code::AbnormalTermination, part.service + (trouble.empty() ? "" : ": ") + trouble));
}

void Job::judge_stop(Part& part, core::ServiceIndex service, bool late) {
  const core::ServiceHealth& health = backend_.engine().state().services.at(service.value);
  const core::InstanceHealth* alone = alone_in(health, part.instance);
  const bool stopped = alone != nullptr
                           ? alone->state == core::InstanceState::Down
                           : !any_runs(health) && (!health.instances.empty() ||
                                                   health.state == core::ServiceState::Stopped);
  const bool wanted = health.wanted && (alone == nullptr || !alone->held);
  // Down for a moment, of one that was released meanwhile, is not what was asked for.
  if (stopped && (alone == nullptr || !wanted)) return end(part);
  if (wanted) return end(part, fault(Code::Failed, part.service + " was started again"));
  if (late) end(part, fault(Code::Failed, part.service + " does not end"));
}

void Job::end(Part& part, std::optional<Fault> fault) {
  part.over = true;
  part.fault = std::move(fault);
}

}  // namespace recover::api::xmlrpc
