#include "adapters/process/fleet.h"

#include <sys/prctl.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "adapters/process/adoption.h"
#include "adapters/process/proc_file.h"
#include "adapters/process/spawn_slots.h"
#include "base/overloaded.h"

namespace recover::adapters::process {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kSessionsMax = 1024;
constexpr std::size_t kSaidMax = 1024;  // Bytes of its last lines that go with an exit.
constexpr milliseconds kStrayPause{500};
constexpr int kStraysPerTurn = 64;

}  // namespace

Fleet::Fleet(Loop& loop, SupervisorOptions options, ports::Sink sink)
    : loop_(loop),
      options_(std::move(options)),
      sink_(std::move(sink)),
      table_(table_path(options_.state_dir), boot_id()),
      scale_(options_.state_dir + "/run/scale"),
      around_{.loop = loop,
              .keeper = options_.keeper != nullptr ? *options_.keeper : no_keeper_,
              .host = *this,
              .cgroups = options_.cgroups ? CgroupFolder::open(short_name(options_.state_dir))
                                          : std::nullopt,
              .sockets = ListenSockets(around_.keeper)},
      stray_alarm_(loop) {
  reserve_spawn_slots();
  if (around_.keeper.connected()) {
    keeper_watch_ = Watch(loop, around_.keeper.fd(), [this] { keeper_spoke(); });
  } else {
    be_alone();
  }
}
Fleet::~Fleet() {
  // With a keeper, an end that may not be recorded is told again by the next engine.
  const bool buries = all_stopped_ || !around_.keeper.connected();
  for (const auto& [name, service] : services_) {
    for (const auto& each : service.instances) {
      if (buries) each->bury();
    }
  }
  by_index_.clear();
  services_.clear();
  if (around_.cgroups) around_.cgroups->remove();
}

// ---- policy and adoption ---------------------------------------------------------------------

void Fleet::watch(const core::Policy& policy) {
  for (auto& [name, service] : services_) {
    // One that had left and comes back is a new one to the engine, which counts from the start.
    if (!std::exchange(service.index, std::nullopt)) service.epoch = 0;
  }
  by_index_.assign(policy.services.size(), nullptr);
  auto owner = options_.policy ? options_.policy() : nullptr;
  if (owner.get() != &policy) owner.reset();
  for (std::uint32_t i = 0; i < policy.services.size(); ++i) {
    const core::ServicePolicy& wanted = policy.services[i];
    const auto* spec = std::get_if<core::RunSpec>(&wanted.spec);
    if (spec == nullptr) continue;
    Service& service = services_[wanted.name];
    service.name = wanted.name;
    service.index = core::ServiceIndex{i};
    by_index_[i] = &service;
    if (owner) {
      share_spec(service, std::shared_ptr<const core::RunSpec>(owner, spec));
    } else {
      set_spec(service, *spec);
    }
    service.depends_on.clear();
    for (const auto dependency : wanted.depends_on) {
      service.depends_on.push_back(policy.service(dependency).name);
    }
  }
  // Those that left do not keep the policy they were in.
  for (auto& [name, service] : services_) {
    if (service.index || !service.spec) continue;
    share_spec(service, std::make_shared<const core::RunSpec>(*service.spec));
  }
  if (!std::exchange(watched_, true)) adopt();
}

void Fleet::set_spec(Service& service, const core::RunSpec& spec) {
  if (service.spec && *service.spec == spec) return;
  service.spec = std::make_shared<const core::RunSpec>(spec);
}

// What runs as another policy said has a copy of that of its own.
void Fleet::share_spec(Service& service, std::shared_ptr<const core::RunSpec> spec) {
  for (const auto& each : service.instances) {
    const bool same = *each->spec() == *spec;
    each->share(same ? spec : std::make_shared<const core::RunSpec>(*each->spec()));
  }
  service.spec = std::move(spec);
}

void Fleet::adopt() {
  if (around_.keeper.connected()) around_.keeper.receive();  // What ended while we came up.
  auto found = options_.adoption != nullptr ? options_.adoption->take()
                                            : Adoption(options_.state_dir, around_.keeper).take();
  if (found.in_memory) problem_ = "kept in memory";
  // All rows have a phase before the first change writes the table: none is forgotten half-way.
  std::vector<std::pair<Instance*, const Service*>> whose;
  whose.reserve(found.left.size());
  for (const LeftRunning& left : found.left) {
    Service& service = services_[left.row.service];
    service.name = left.row.service;
    if (!service.spec) set_spec(service, {});
    whose.emplace_back(&instance(service, left.row.instance), &service);
  }
  adopting_ = true;
  for (std::size_t i = 0; i < whose.size(); ++i) {
    whose[i].first->adopt(std::move(found.left[i]), whose[i].second->spec);
  }
  adopting_ = false;
  for (const std::string& label : around_.keeper.labels("process/")) around_.keeper.drop(label);
  save_table();
}

Instance& Fleet::instance(Service& service, std::uint32_t number) {
  while (service.instances.size() <= number) {
    const auto next = static_cast<std::uint32_t>(service.instances.size());
    service.instances.push_back(std::make_unique<Instance>(around_, service.name, next));
  }
  return *service.instances[number];
}

Fleet::Service& Fleet::service_of(const Instance& instance) {
  return services_.at(instance.service());
}

const Fleet::Service* Fleet::find(core::ServiceIndex index) const {
  return index.value < by_index_.size() ? by_index_[index.value] : nullptr;
}

std::vector<InstanceView> Fleet::instances(core::ServiceIndex index) const {
  std::vector<InstanceView> views;
  const Service* const service = find(index);
  if (service == nullptr) return views;
  for (const auto& each : service->instances) {
    views.push_back({.name = each->name(),
                     .incarnation = each->runs() ? each->incarnation() : core::Incarnation{},
                     .running = each->runs(),
                     .ready = each->phase() == Phase::Up,
                     .cgroup = each->row().cgroup,
                     .dropped_lines = each->dropped_lines(),
                     .status = each->status(),
                     .reloading = each->reloading()});
  }
  return views;
}

std::vector<std::string> Fleet::tail(core::ServiceIndex index, std::uint32_t number) const {
  const Service* const service = find(index);
  if (service == nullptr || number >= service->instances.size()) return {};
  return service->instances[number]->tail();
}

std::vector<std::string> Fleet::tail_of(core::ServiceIndex index, std::uint32_t number,
                                        Stream stream) const {
  const Service* const service = find(index);
  if (service == nullptr || number >= service->instances.size()) return {};
  return service->instances[number]->tail_of(stream);
}

std::uint64_t Fleet::recorded(core::ServiceIndex index, std::uint32_t number, Stream stream) const {
  const Service* const service = find(index);
  if (service == nullptr || number >= service->instances.size()) return 0;
  return service->instances[number]->recorded(stream);
}

void Fleet::clear_output(core::ServiceIndex index, std::uint32_t number) {
  const Service* const service = find(index);
  if (service == nullptr || number >= service->instances.size()) return;
  service->instances[number]->clear_output();
}

// ---- what instances tell ---------------------------------------------------------------------

void Fleet::later(std::function<void()> function) {
  post(loop_, [alive = std::weak_ptr<bool>(alive_), function = std::move(function)] {
    if (alive.lock()) function();
  });
}

void Fleet::emit(core::Event event) {
  ++untold_;
  later([this, event = std::move(event)] {
    sink_(event);
    --untold_;
  });
}

bool Fleet::has_recorded() const {
  return untold_ == 0 && (!options_.recorded || options_.recorded());
}

void Fleet::on_started(const Instance& instance, bool adopted) {
  sessions_.push_back(static_cast<pid_t>(instance.incarnation().pid));
  if (sessions_.size() > kSessionsMax) sessions_.pop_front();
  const auto index = service_of(instance).index;
  if (!index) return;
  emit(core::ProcessStarted{.service = *index,
                            .instance = instance.number(),
                            .incarnation = instance.incarnation(),
                            .adopted = adopted});
}

void Fleet::on_ready(const Instance& instance) {
  Service& service = service_of(instance);
  later([this, &service] { advance(service); });
  if (!service.index) return;
  emit(core::ProcessReady{.service = *service.index,
                          .instance = instance.number(),
                          .incarnation = instance.incarnation()});
}

void Fleet::on_exited(const Instance& instance, ExitStatus status, bool expected) {
  const Service& service = service_of(instance);
  if (!service.index) return;
  std::string said;
  for (const std::string& line : expected ? std::vector<std::string>() : instance.tail()) {
    said += (said.empty() ? "" : "\n") + line;
  }
  if (said.size() > kSaidMax) said.erase(0, said.size() - kSaidMax);
  emit(core::ProcessExited{.service = *service.index,
                           .instance = instance.number(),
                           .incarnation = instance.incarnation(),
                           .code = status.code,
                           .signal = status.signal,
                           .expected = expected,
                           .output = redacted(std::move(said), *service.spec)});
}

void Fleet::on_extended(const Instance& instance, Duration by) {
  Service& service = service_of(instance);
  const Instant until = saturating_add(std::chrono::steady_clock::now(), by);
  if (service.job && service.job->deadline_at < until) {
    service.job->deadline_at = until;
    service.job->deadline.set(by, [this, &service] { deadline_passed(service); });
  }
  if (service.index) emit(core::TimeExtended{.service = *service.index, .by = by});
}

void Fleet::on_watchdog(const Instance& instance) {
  const auto index = service_of(instance).index;
  if (index) emit(core::WatchdogExpired{.service = *index, .instance = instance.number()});
}

void Fleet::on_line(const Instance& instance, std::string_view line) {
  const auto index = service_of(instance).index;
  if (index && options_.on_line) options_.on_line(*index, instance.number(), line);
}

// One line; the whole table only now and then, and while the disk refuses.
void Fleet::on_changed(const Instance& instance) {
  if (adopting_) return;
  const bool whole = !problem_.empty() || table_.is_long(services_.size());
  if (whole || !table_.append(instance.row(), !instance.runs())) save_table();
}

ProcessRecord Fleet::record_of(const Instance& instance) {
  return table_.record_of(instance.row());
}

void Fleet::on_unrecorded() {
  save_table();
}

// A disk that is full must not keep services down: the keeper's memory holds the table meanwhile.
void Fleet::save_table() {
  std::vector<RuntimeRow> rows;
  for (const auto& [name, service] : services_) {
    for (const auto& each : service.instances) {
      const RuntimeRow* const row = each->runs() ? &each->row() : each->unburied_row();
      if (row != nullptr) rows.push_back(*row);
    }
  }
  const auto saved = table_.save(rows);
  const bool was_in_memory = !problem_.empty();
  problem_ = saved ? "" : saved.error();
  if (!saved) {
    const Descriptor memory = table_.in_memory(rows);
    if (memory) around_.keeper.store(kTableLabel, memory.get());
  } else if (was_in_memory) {
    around_.keeper.drop(kTableLabel);
  }
}

void Fleet::on_down(const Instance& instance) {
  Service& service = service_of(instance);
  later([this, &service] {
    advance(service);
    advance_shutdown(service);
  });
}

// ---- the keeper, and life without one --------------------------------------------------------

void Fleet::keeper_spoke() {
  if (around_.keeper.receive()) return;
  keeper_watch_ = {};
  be_alone();
}

void Fleet::be_alone() {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  stray_alarm_.set(kStrayPause, [this] { collect_strays(); });
}

// Descendants of services that lost their parent are ours now. Other children of this process
// belong to whoever started them and are left alone.
void Fleet::collect_strays() {
  for (int count = 0; count < kStraysPerTurn; ++count) {
    siginfo_t info{};
    if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) break;
    if (!is_stray(info.si_pid)) break;
    ::waitid(P_PID, static_cast<id_t>(info.si_pid), &info, WEXITED | WNOHANG);
  }
  stray_alarm_.set(kStrayPause, [this] { collect_strays(); });
}

bool Fleet::is_stray(pid_t pid) const {
  const auto stat = read_stat(pid);
  const auto had = [&](pid_t session) {
    return std::find(sessions_.begin(), sessions_.end(), session) != sessions_.end();
  };
  if (!stat || had(pid)) return false;  // A leader is its instance's to collect.
  if (had(stat->session)) return true;
  const auto cgroup = read_small_file("/proc/" + std::to_string(pid) + "/cgroup");
  if (!around_.cgroups || !cgroup) return false;
  const std::string path = unified_path(*cgroup);
  const auto parent = path.rfind('/');
  return parent != std::string::npos && parent > 0 &&
         around_.cgroups->path().ends_with(path.substr(0, parent));
}

}  // namespace recover::adapters::process
