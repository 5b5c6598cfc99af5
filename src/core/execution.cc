#include "core/execution.h"

#include <algorithm>
#include <array>

namespace recover::core {
namespace {

constexpr auto kCapabilities = std::to_array<std::string_view>({
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
});

// The numbers of asm-generic, which x86-64 and arm64 share.
constexpr auto kResourceLimits = std::to_array<std::string_view>({
    "cpu",
    "fsize",
    "data",
    "stack",
    "core",
    "rss",
    "nproc",
    "nofile",
    "memlock",
    "as",
    "locks",
    "sigpending",
    "msgqueue",
    "nice",
    "rtprio",
    "rttime",
});

constexpr auto kSystemCalls = std::to_array<std::string_view>({
#define X(name) #name,
#include "core/system_calls.inc"
#undef X
});

using NameList = std::vector<std::string_view>;

// What only the one who runs the machine does; a service has no business with it.
struct Group {
  std::string_view name;
  NameList calls;
};
const std::vector<Group>& groups() {
  static const std::vector<Group> kGroups = {
      {"@clock", {"adjtimex", "clock_adjtime", "clock_settime", "settimeofday", "stime"}},
      {"@debug",
       {"lookup_dcookie", "perf_event_open", "pidfd_getfd", "process_vm_readv", "process_vm_writev",
        "ptrace"}},
      {"@module", {"delete_module", "finit_module", "init_module"}},
      {"@mount",
       {"chroot", "fsconfig", "fsmount", "fsopen", "fspick", "mount", "mount_setattr", "move_mount",
        "open_tree", "pivot_root", "umount", "umount2"}},
      {"@namespace", {"setns", "unshare"}},
      {"@obsolete",
       {"_sysctl", "afs_syscall", "create_module", "get_kernel_syms", "getpmsg", "nfsservctl",
        "putpmsg", "query_module", "security", "sysfs", "tuxcall", "uselib", "ustat", "vserver"}},
      {"@raw-io", {"ioperm", "iopl"}},
      {"@reboot", {"kexec_file_load", "kexec_load", "reboot"}},
      {"@swap", {"swapoff", "swapon"}},
      {"@kernel",
       {"acct", "bpf", "fanotify_init", "open_by_handle_at", "quotactl", "quotactl_fd",
        "setdomainname", "sethostname", "syslog", "vhangup"}},
      {"@keyring", {"add_key", "keyctl", "request_key"}},
      {"@chown", {"chown", "fchown", "fchownat", "lchown"}},
      {"@setuid",
       {"setfsgid", "setfsuid", "setgid", "setgroups", "setregid", "setresgid", "setresuid",
        "setreuid", "setuid"}},
      {"@network-io",
       {"accept", "accept4", "bind", "connect", "getpeername", "getsockname", "getsockopt",
        "listen", "recvfrom", "recvmmsg", "recvmsg", "sendmmsg", "sendmsg", "sendto", "setsockopt",
        "shutdown", "socket", "socketpair"}},
      {"@process",
       {"clone", "clone3", "execve", "execveat", "fork", "kill", "pidfd_open", "pidfd_send_signal",
        "rt_sigqueueinfo", "rt_tgsigqueueinfo", "tgkill", "tkill", "vfork", "wait4", "waitid"}},
      {"@resources",
       {"ioprio_set", "mbind", "migrate_pages", "move_pages", "prlimit64", "sched_setaffinity",
        "sched_setattr", "sched_setparam", "sched_setscheduler", "set_mempolicy", "setpriority",
        "setrlimit"}},
  };
  return kGroups;
}

// Not for a service.
constexpr auto kAdministrative =
    std::to_array<std::string_view>({"@clock", "@debug", "@module", "@mount", "@namespace",
                                     "@obsolete", "@raw-io", "@reboot", "@swap", "@kernel"});
constexpr std::string_view kService = "@system-service";
constexpr std::string_view kPrivileged = "@privileged";

NameList privileged() {
  NameList all;
  for (const std::string_view group : kAdministrative) {
    const NameList calls = system_calls_of(group);
    all.insert(all.end(), calls.begin(), calls.end());
  }
  return all;
}

NameList all_but(const NameList& left_out) {
  NameList rest;
  for (const std::string_view call : kSystemCalls) {
    if (std::find(left_out.begin(), left_out.end(), call) == left_out.end()) rest.push_back(call);
  }
  return rest;
}

}  // namespace

std::span<const std::string_view> capability_names() noexcept {
  return kCapabilities;
}
std::span<const std::string_view> resource_limit_names() noexcept {
  return kResourceLimits;
}
std::span<const std::string_view> system_call_names() noexcept {
  return kSystemCalls;
}

std::vector<std::string_view> system_call_groups() {
  NameList names = {kService, kPrivileged};
  for (const Group& group : groups()) names.push_back(group.name);
  return names;
}

std::vector<std::string_view> system_calls_of(std::string_view name) {
  if (name == kPrivileged) return privileged();
  if (name == kService) return all_but(privileged());
  for (const Group& group : groups()) {
    if (group.name == name) return group.calls;
  }
  const bool known =
      std::find(kSystemCalls.begin(), kSystemCalls.end(), name) != kSystemCalls.end();
  return known ? NameList{name} : NameList();
}

}  // namespace recover::core
