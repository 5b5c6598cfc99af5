#include "adapters/probe/prober.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>

#include <algorithm>
#include <exception>
#include <utility>
#include <variant>

#include "adapters/probe/runners.h"

namespace recover::adapters::probe {
namespace {

using boost::system::error_code;

// Fills in what the probe left to its service and to the global thresholds.
core::ProbePolicy resolved(core::ProbePolicy probe, const core::ServicePolicy& service,
                           const core::MonitoringPolicy& thresholds) {
  if (auto* http = std::get_if<core::HttpProbe>(&probe.spec)) {
    if (!http->max_latency) http->max_latency = thresholds.response_time;
  }
  if (auto* redis = std::get_if<core::RedisProbe>(&probe.spec)) {
    if (!redis->queue.empty() && !redis->queue_depth) {
      redis->queue_depth = static_cast<std::uint64_t>(std::max(thresholds.queue_depth, 0.0));
    }
  }
  if (auto* process = std::get_if<core::ProcessProbe>(&probe.spec)) {
    const auto* observed = std::get_if<core::ObserveSpec>(&service.spec);
    if (observed != nullptr && process->match.empty() && process->pid_file.empty()) {
      process->match = observed->match;
      process->pid_file = observed->pid_file;
    }
  }
  return probe;
}

// Where in its interval a probe begins, so that not all begin together. The same every time.
Duration spread(std::size_t position, Duration interval) {
  constexpr std::int64_t kStepMs = 37;
  const Duration room = std::min<Duration>(interval, Prober::kHurry);
  const Duration offset =
      std::chrono::milliseconds(kStepMs * static_cast<std::int64_t>(position % 1000));
  return room > Duration::zero() ? offset % room : Duration::zero();
}

core::ProbeState state_of(core::ProbeOutcome outcome) {
  switch (outcome) {
    case core::ProbeOutcome::Passed: return core::ProbeState::Passing;
    case core::ProbeOutcome::Failed: return core::ProbeState::Failing;
    case core::ProbeOutcome::Unknown: return core::ProbeState::Unknown;
  }
  return core::ProbeState::Unknown;
}

}  // namespace

// One probe of one service and its timers. Handlers hold it weakly: only the prober owns it.
class Prober::Watch : public std::enable_shared_from_this<Watch> {
 public:
  Watch(Prober& prober, std::string service_name, core::ServiceIndex service_index,
        std::uint32_t probe_index, core::ProbePolicy probe)
      : name(std::move(service_name)),
        service(service_index),
        index(probe_index),
        policy(std::move(probe)),
        prober_(prober),
        next_(prober.loop_),
        limit_(prober.loop_) {
    Running running;
    if (prober.options_.running) {
      running = [this] { return prober_.options_.running(service); };
    }
    Trees trees;
    if (prober.options_.trees) {
      trees = [this] { return prober_.options_.trees(service); };
    }
    Backups backups;
    if (prober.options_.backups) {
      backups = [this](const core::BackupProbe& asked) {
        return prober_.options_.backups(service, asked);
      };
    }
    runner_ = make_runner(policy.spec, Tools{.loop = prober.loop_,
                                             .pool = prober.pool_,
                                             .measure = prober.options_.measure,
                                             .running = std::move(running),
                                             .trees = std::move(trees),
                                             .backups = std::move(backups)});
    latest.kind = core::kind_of(policy.spec);
  }

  void schedule(Duration after) {
    next_.expires_after(after);
    next_.async_wait([weak = weak_from_this()](error_code error) {
      const auto self = weak.lock();
      if (!error && self && !self->running_) self->start();
    });
  }

  // Now; right after the look under way, as that one may have begun too early.
  void hurry() {
    hurry_until_ = saturating_add(prober_.options_.now(), kHurryMax);
    passes_ = 0;
    if (running_) {
      again_ = true;
    } else {
      start();
    }
  }
  // One that was missed is seen at once when it comes.
  bool beat() {
    if (!runner_->beat()) return false;
    if (!running_ && latest.state != core::ProbeState::Passing) schedule(Duration::zero());
    return true;
  }
  bool content() const { return passes_ >= policy.success_threshold; }
  void calm() { hurry_until_ = Instant::min(); }

  std::string name;
  core::ServiceIndex service;
  std::uint32_t index;
  const core::ProbePolicy policy;
  Look latest;

 private:
  void start() {
    next_.cancel();
    running_ = true;
    started_at_ = prober_.options_.now();
    const std::uint64_t serial = ++serial_;
    limit_.expires_after(policy.timeout);
    limit_.async_wait([weak = weak_from_this(), serial](error_code error) {
      const auto self = weak.lock();
      if (!error && self && self->awaits(serial)) self->finish(self->runner_->give_up());
    });
    if (runner_->busy()) return;  // The limit will say so.
    const Found found = [weak = weak_from_this(), serial](Finding finding) {
      const auto self = weak.lock();
      if (self && self->awaits(serial)) self->finish(std::move(finding));
    };
    try {
      runner_->run(found);
    } catch (const std::exception& error) {  // The loop could not take another descriptor.
      boost::asio::post(prober_.loop_,
                        [found, what = std::string(error.what())] { found(not_done(what)); });
    }
  }
  bool awaits(std::uint64_t serial) const { return running_ && serial == serial_; }

  void finish(Finding finding) {
    running_ = false;
    limit_.cancel();
    const Instant now = prober_.options_.now();
    latest.state = state_of(finding.outcome);
    latest.latency = now - started_at_;
    latest.checked_at = std::chrono::system_clock::now();
    latest.started_at = started_at_;
    latest.detail = finding.detail;
    const bool passed = finding.outcome == core::ProbeOutcome::Passed;
    passes_ = passed ? passes_ + 1 : 0;
    if (again_) passes_ = 0;
    const bool hurried = now < hurry_until_;
    if (hurried && content()) prober_.calm(service);
    const Duration pause = std::exchange(again_, false) ? Duration::zero()
                           : now < hurry_until_         ? std::min(policy.interval, kHurry)
                                                        : policy.interval;
    schedule(pause);
    prober_.options_.sink(core::ProbeFinished{.service = service,
                                              .probe = index,
                                              .outcome = finding.outcome,
                                              .latency = latest.latency,
                                              .started_at = started_at_,
                                              .symptom = finding.symptom,
                                              .failure = finding.failure,
                                              .detail = std::move(finding.detail),
                                              .queue_depth = finding.queue_depth});
  }

  Prober& prober_;
  boost::asio::steady_timer next_;
  boost::asio::steady_timer limit_;
  std::unique_ptr<ProbeRunner> runner_;
  bool running_ = false;
  bool again_ = false;
  std::uint64_t serial_ = 0;
  Instant started_at_;
  Instant hurry_until_ = Instant::min();
  std::uint32_t passes_ = 0;  // In a row.
};

Prober::Prober(boost::asio::io_context& loop, boost::asio::thread_pool& pool, Options options)
    : loop_(loop), pool_(pool), options_(std::move(options)) {}

Prober::~Prober() = default;

// A watch there was before for the same probe goes on as it is; without one, a new one starts.
std::shared_ptr<Prober::Watch> Prober::watch_for(std::vector<std::shared_ptr<Watch>>& before,
                                                 const std::string& name, core::ProbePolicy probe) {
  const auto kept = std::ranges::find_if(before, [&](const std::shared_ptr<Watch>& watch) {
    return watch && watch->name == name && watch->policy == probe;
  });
  if (kept != before.end()) return std::exchange(*kept, nullptr);
  const Duration offset = spread(watches_.size(), probe.interval);
  auto watch = std::make_shared<Watch>(*this, name, core::ServiceIndex{}, std::uint32_t{0},
                                       std::move(probe));
  watch->schedule(offset);
  return watch;
}

void Prober::watch(const core::Policy& policy) {
  std::vector<std::shared_ptr<Watch>> before = std::exchange(watches_, {});
  for (std::uint32_t service = 0; service < policy.services.size(); ++service) {
    const core::ServicePolicy& wanted = policy.services[service];
    for (std::uint32_t index = 0; index < wanted.probes.size(); ++index) {
      core::ProbePolicy probe = resolved(wanted.probes[index], wanted, policy.monitoring);
      watches_.push_back(watch_for(before, wanted.name, std::move(probe)));
      watches_.back()->service = core::ServiceIndex{service};
      watches_.back()->index = index;
    }
  }
}

void Prober::look(core::ServiceIndex service) {
  for (const std::shared_ptr<Watch>& watch : watches_) {
    if (watch->service == service) watch->hurry();
  }
}

std::size_t Prober::beat(core::ServiceIndex service) {
  return static_cast<std::size_t>(
      std::ranges::count_if(watches_, [service](const std::shared_ptr<Watch>& watch) {
        return watch->service == service && watch->beat();
      }));
}

void Prober::calm(core::ServiceIndex service) {
  const auto of_service = [&](const std::shared_ptr<Watch>& watch) {
    return watch->service == service;
  };
  const bool all = std::ranges::all_of(watches_, [&](const std::shared_ptr<Watch>& watch) {
    return !of_service(watch) || watch->content();
  });
  if (!all) return;
  for (const std::shared_ptr<Watch>& watch : watches_) {
    if (of_service(watch)) watch->calm();
  }
}

std::vector<Look> Prober::latest(core::ServiceIndex service) const {
  std::vector<Look> looks;
  for (const std::shared_ptr<Watch>& watch : watches_) {
    if (watch->service == service) looks.push_back(watch->latest);
  }
  return looks;
}

}  // namespace recover::adapters::probe
