#include "adapters/process/system_call_filter.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <map>
#include <set>
#include <string>

namespace recover::adapters::process {
namespace {

#if defined(__x86_64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#else
constexpr std::uint32_t kArchitecture = 0;
#endif
// x86-64's second set of numbers; elsewhere no call is so large.
constexpr std::uint32_t kOtherNumbers = 0x40000000;

// Before and after every program, whatever it does.
constexpr auto kNeeded = std::to_array<std::string_view>(
    {"execve", "exit", "exit_group", "rt_sigreturn", "restart_syscall"});

// A name without a number stays a text no number can be read from.
struct Numbered {
  std::string_view name;
  std::string_view number;
};
#define RECOVER_TEXT(macro) #macro
#define RECOVER_EXPANDED(macro) RECOVER_TEXT(macro)
#define X(name) Numbered{#name, RECOVER_EXPANDED(SYS_##name)},
constexpr Numbered kNumbered[] = {
#include "core/system_calls.inc"
};
#undef X
#undef RECOVER_EXPANDED
#undef RECOVER_TEXT

std::set<std::uint32_t> numbers_of(const std::vector<std::string>& names) {
  std::set<std::uint32_t> numbers;
  for (const std::string& name : names) {
    for (const std::string_view call : core::system_calls_of(name)) {
      if (const auto number = system_call_number(call)) {
        numbers.insert(static_cast<std::uint32_t>(*number));
      }
    }
  }
  return numbers;
}

constexpr sock_filter load(std::size_t offset) {
  return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset));
}
constexpr sock_filter end_with(std::uint32_t verdict) {
  return BPF_STMT(BPF_RET | BPF_K, verdict);
}

}  // namespace

std::optional<long> system_call_number(std::string_view name) {
  static const auto kByName = [] {
    std::map<std::string_view, long> numbers;
    for (const Numbered& each : kNumbered) {
      long number = 0;
      const char* const end = each.number.data() + each.number.size();
      if (std::from_chars(each.number.data(), end, number).ptr == end) numbers[each.name] = number;
    }
    return numbers;
  }();
  const auto found = kByName.find(name);
  return found == kByName.end() ? std::nullopt : std::optional(found->second);
}

std::vector<sock_filter> system_call_filter(const core::SystemCallPolicy& policy) {
  if (kArchitecture == 0 || (policy.allow.empty() && policy.deny.empty())) return {};
  const std::uint32_t refuse = policy.kill ? SECCOMP_RET_KILL_PROCESS
                                           : SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(EPERM);
  const bool listed = !policy.allow.empty();  // What is named is allowed; else it is refused.
  std::set<std::uint32_t> named = numbers_of(listed ? policy.allow : policy.deny);
  if (listed) {
    for (const std::uint32_t number : numbers_of(policy.deny)) named.erase(number);
  }
  for (const std::string_view call : kNeeded) {
    const auto number = static_cast<std::uint32_t>(system_call_number(call).value_or(-1));
    if (listed) {
      named.insert(number);
    } else {
      named.erase(number);
    }
  }
  std::vector<sock_filter> filter = {
      load(offsetof(seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kArchitecture, 1, 0),
      end_with(refuse),
      load(offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, kOtherNumbers, 0, 1),
      end_with(refuse),
  };
  for (const std::uint32_t number : named) {
    filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1));
    filter.push_back(end_with(listed ? SECCOMP_RET_ALLOW : refuse));
  }
  filter.push_back(end_with(listed ? refuse : SECCOMP_RET_ALLOW));
  return filter;
}

}  // namespace recover::adapters::process
