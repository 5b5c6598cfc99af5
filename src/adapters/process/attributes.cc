#include "adapters/process/attributes.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <linux/seccomp.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "adapters/process/system_call_filter.h"

namespace recover::adapters::process {
namespace {

constexpr int kIoClassShift = 13;  // Of ioprio_set(2), as are these.
constexpr int kIoWhoProcess = 1;
constexpr unsigned kRecursive = 0x8000;   // AT_RECURSIVE
constexpr std::uint64_t kReadOnly = 0x1;  // MOUNT_ATTR_RDONLY
constexpr int kSystemCallMountSetattr = 442;
constexpr std::uint32_t kCapabilityVersion = _LINUX_CAPABILITY_VERSION_3;

std::uint64_t bits_of(const std::vector<std::string>& names) {
  const auto known = core::capability_names();
  std::uint64_t bits = 0;
  for (const std::string& name : names) {
    const auto found = std::find(known.begin(), known.end(), name);
    if (found != known.end()) bits |= std::uint64_t{1} << (found - known.begin());
  }
  return bits;
}

int io_priority_of(const core::IoPriority& wanted) {
  const int io_class = static_cast<int>(wanted.io_class) + 1;
  const bool levels = wanted.io_class != core::IoClass::Idle;
  return (io_class << kIoClassShift) | (levels ? static_cast<int>(wanted.priority) : 0);
}

std::vector<std::pair<int, rlimit>> limits_of(const std::vector<core::ResourceLimit>& wanted) {
  const auto names = core::resource_limit_names();
  std::vector<std::pair<int, rlimit>> limits;
  for (const core::ResourceLimit& each : wanted) {
    const auto number = std::find(names.begin(), names.end(), each.name) - names.begin();
    limits.emplace_back(static_cast<int>(number),
                        rlimit{.rlim_cur = each.soft, .rlim_max = each.hard});
  }
  return limits;
}

int native(core::CpuScheduler scheduler) noexcept {
  switch (scheduler) {
    case core::CpuScheduler::Other: return SCHED_OTHER;
    case core::CpuScheduler::Batch: return SCHED_BATCH;
    case core::CpuScheduler::Idle: return SCHED_IDLE;
    case core::CpuScheduler::Fifo: return SCHED_FIFO;
    case core::CpuScheduler::RoundRobin: return SCHED_RR;
  }
  return SCHED_OTHER;
}

StepFailure failed(Step step, std::size_t index = 0) noexcept {
  return {.step = step, .index = static_cast<std::uint32_t>(index), .error = errno};
}

bool write_oom_score(const std::string& text) noexcept {
  const int file = ::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (file < 0) return false;
  const bool whole = ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const int error = errno;
  ::close(file);
  errno = error;
  return whole;
}

bool set_scheduling(const core::SchedulingPolicy& wanted) noexcept {
  sched_param parameter{};
  parameter.sched_priority = static_cast<int>(wanted.priority);
  return ::syscall(SYS_sched_setscheduler, 0, native(wanted.policy), &parameter) == 0;
}

// Only the hard one, which takes rights; what it does with less is for later.
bool raise_limit(int number, const rlimit& wanted) noexcept {
  rlimit room{};
  if (::syscall(SYS_prlimit64, 0, number, nullptr, &room) != 0) return false;
  if (wanted.rlim_max <= room.rlim_max) return true;
  room.rlim_max = wanted.rlim_max;
  return ::syscall(SYS_prlimit64, 0, number, &room, nullptr) == 0;
}

// ---- mounts

bool make_read_only(const char* path) noexcept {
  if (::mount(path, path, nullptr, MS_BIND | MS_REC, nullptr) != 0) return false;
  struct MountAttributes {  // As mount_setattr(2) wants it.
    std::uint64_t set = kReadOnly;
    std::uint64_t clear = 0;
    std::uint64_t propagation = 0;
    std::uint64_t user_namespace = 0;
  } attributes;
  if (::syscall(kSystemCallMountSetattr, AT_FDCWD, path, kRecursive, &attributes,
                sizeof attributes) == 0) {
    return true;
  }
  // Linux before 5.12: the mounts below stay as they are.
  return errno == ENOSYS &&
         ::mount(nullptr, path, nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr) == 0;
}

StepFailure make_mounts(const Attributes& attributes) noexcept {
  if (::unshare(CLONE_NEWNS) != 0 ||
      ::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) {
    return failed(Step::Namespace);
  }
  for (std::size_t i = 0; i < attributes.read_only.size(); ++i) {
    if (!make_read_only(attributes.read_only[i].c_str())) return failed(Step::ReadOnly, i);
  }
  if (!attributes.private_tmp) return {};
  for (const char* folder : {"/tmp", "/var/tmp"}) {
    if (::mount("tmpfs", folder, "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777") != 0) {
      return failed(Step::PrivateTmp);
    }
  }
  return {};
}

// ---- capabilities

// Numbers the kernel does not know (yet) are none of its bounds.
bool drop_bounding(std::uint64_t kept) noexcept {
  for (unsigned long number = 0; number < 64; ++number) {
    if (((kept >> number) & 1U) != 0) continue;
    if (::prctl(PR_CAPBSET_READ, number, 0, 0, 0) != 1) continue;
    if (::prctl(PR_CAPBSET_DROP, number, 0, 0, 0) != 0) return false;
  }
  return true;
}

// `most`: beyond them nothing is permitted; `ambient` are inheritable, too.
bool set_capabilities(std::uint64_t most, std::uint64_t ambient) noexcept {
  __user_cap_header_struct header{.version = kCapabilityVersion, .pid = 0};
  std::array<__user_cap_data_struct, 2> data{};
  if (::syscall(SYS_capget, &header, data.data()) != 0) return false;
  for (std::size_t half = 0; half < data.size(); ++half) {
    const auto low = [half](std::uint64_t bits) {
      return static_cast<std::uint32_t>(bits >> (32 * half));
    };
    data[half].permitted &= low(most);
    data[half].effective = data[half].permitted;
    data[half].inheritable = low(ambient);
  }
  return ::syscall(SYS_capset, &header, data.data()) == 0;
}

}  // namespace

Result<Attributes, std::string> attributes_of(const core::ExecutionPolicy& policy) {
  Attributes made;
  made.limits = limits_of(policy.rlimits);
  made.nice = policy.nice;
  if (policy.ionice) made.io_priority = io_priority_of(*policy.ionice);
  made.scheduling = policy.scheduling;
  if (!policy.cpus.empty()) {
    made.cpus.emplace();
    CPU_ZERO(&*made.cpus);
    for (const std::uint32_t cpu : policy.cpus) CPU_SET(cpu, &*made.cpus);
  }
  if (policy.oom_score_adj) made.oom_score_adj = std::to_string(*policy.oom_score_adj);
  if (policy.capabilities) made.bounding = bits_of(*policy.capabilities);
  made.ambient = bits_of(policy.ambient_capabilities);
  if (made.bounding && (made.ambient & ~*made.bounding) != 0) {
    return Unexpected(std::string("an ambient capability is not among `capabilities`"));
  }
  made.no_new_privileges = policy.no_new_privileges;
  made.private_tmp = policy.private_tmp;
  made.read_only = policy.read_only;
  if (policy.system_calls) {
    made.filter = system_call_filter(*policy.system_calls);
    if (made.filter.empty()) return Unexpected(std::string("no system call filters here"));
  }
  return made;
}

StepFailure apply_attributes(const Attributes& attributes) noexcept {
  if (!attributes.oom_score_adj.empty() && !write_oom_score(attributes.oom_score_adj)) {
    return failed(Step::OomScore);
  }
  for (std::size_t i = 0; i < attributes.limits.size(); ++i) {
    const auto& [number, limit] = attributes.limits[i];
    if (!raise_limit(number, limit)) return failed(Step::Limit, i);
  }
  if (attributes.scheduling && !set_scheduling(*attributes.scheduling)) {
    return failed(Step::Scheduling);
  }
  if (attributes.nice && ::syscall(SYS_setpriority, PRIO_PROCESS, 0, *attributes.nice) != 0) {
    return failed(Step::Nice);
  }
  if (attributes.io_priority &&
      ::syscall(SYS_ioprio_set, kIoWhoProcess, 0, *attributes.io_priority) != 0) {
    return failed(Step::IoPriority);
  }
  if (attributes.cpus &&
      ::syscall(SYS_sched_setaffinity, 0, sizeof *attributes.cpus, &*attributes.cpus) != 0) {
    return failed(Step::Processors);
  }
  if (attributes.mounts()) {
    const StepFailure failure = make_mounts(attributes);
    if (failure.step != Step::None) return failure;
  }
  if (attributes.bounding && !drop_bounding(*attributes.bounding)) return failed(Step::Bounding);
  if (attributes.ambient != 0 && ::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) {
    return failed(Step::KeepCapabilities);
  }
  return {};
}

StepFailure apply_rights(const Attributes& attributes) noexcept {
  if (attributes.bounding || attributes.ambient != 0) {
    const bool root = ::syscall(SYS_geteuid) == 0;
    const std::uint64_t most = attributes.bounding.value_or(~std::uint64_t{0});
    if (!set_capabilities(root ? most : attributes.ambient, attributes.ambient)) {
      return failed(Step::Capabilities);
    }
  }
  for (unsigned long number = 0; number < 64; ++number) {
    if (((attributes.ambient >> number) & 1U) == 0) continue;
    if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0) != 0) {
      return failed(Step::Ambient, number);
    }
  }
  return {};
}

StepFailure apply_limits(const Attributes& attributes) noexcept {
  for (std::size_t i = 0; i < attributes.limits.size(); ++i) {
    const auto& [number, limit] = attributes.limits[i];
    if (::syscall(SYS_prlimit64, 0, number, &limit, nullptr) != 0) return failed(Step::Limit, i);
  }
  return {};
}

StepFailure apply_filter(const Attributes& attributes) noexcept {
  const bool filtered = !attributes.filter.empty();
  // A filter without it needs CAP_SYS_ADMIN, which the user may not have.
  if ((attributes.no_new_privileges || filtered) && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return failed(Step::NoNewPrivileges);
  }
  if (!filtered) return {};
  // The kernel takes a pointer to what it only reads.
  const sock_fprog program{.len = static_cast<unsigned short>(attributes.filter.size()),
                           .filter = const_cast<sock_filter*>(attributes.filter.data())};
  if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) {
    return failed(Step::Filter);
  }
  return {};
}

std::string describe(const Attributes& attributes, StepFailure failure) {
  switch (failure.step) {
    case Step::None: return "start";
    case Step::OomScore: return "oom_score_adj " + attributes.oom_score_adj;
    case Step::Limit: {
      const int number = attributes.limits.at(failure.index).first;
      return "limit of " +
             std::string(core::resource_limit_names()[static_cast<std::size_t>(number)]);
    }
    case Step::Nice: return "nice " + std::to_string(attributes.nice.value_or(0));
    case Step::IoPriority: return "ionice";
    case Step::Scheduling: return "scheduling";
    case Step::Processors: return "cpus";
    case Step::Namespace: return "mount namespace";
    case Step::PrivateTmp: return "private /tmp";
    case Step::ReadOnly: return "read-only " + attributes.read_only.at(failure.index);
    case Step::Bounding: return "bounding set of capabilities";
    case Step::KeepCapabilities:
    case Step::Capabilities: return "capabilities";
    case Step::Ambient: return "ambient " + std::string(core::capability_names()[failure.index]);
    case Step::NoNewPrivileges: return "no_new_privileges";
    case Step::Filter: return "system call filter";
  }
  return "start";
}

}  // namespace recover::adapters::process
