#include "adapters/resource/limits_effector.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <fstream>
#include <system_error>
#include <utility>

#include "base/size_text.h"
#include "posix/descriptor.h"

namespace recover::adapters::resource {
namespace {

using effects::Outcome;
using Amount = std::optional<std::uint64_t>;

constexpr std::uint64_t kPeriodUs = 100'000;  // Of cpu.max.

// The first number of a cgroup file; none: "max", or not to be read.
Amount number_in(const std::string& path) {
  std::ifstream file(path);
  std::string word;
  file >> word;
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || end != word.data() + word.size() || word.empty()) return {};
  return value;
}

bool write(const std::string& path, const std::string& text) {
  const posix::Descriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  return file && ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

std::uint64_t quota_of(double processors) {
  return static_cast<std::uint64_t>(std::llround(processors * static_cast<double>(kPeriodUs)));
}

// One kind of limit: its file, how its number is written, what is configured and allowed.
struct Limit {
  const char* name;
  const char* file;
  Amount configured;
  Amount min;
  Amount max;
  const char* tail = "";  // Behind the number.
};

std::array<Limit, 3> limits_of(const core::LimitPolicy& set,
                               const core::AdjustLimitsAction& action) {
  const auto quota = [](const std::optional<double>& processors) {
    return processors ? Amount(quota_of(*processors)) : Amount();
  };
  return {Limit{"memory", "memory.max", set.memory, action.memory_min, action.memory_max},
          Limit{"cpu", "cpu.max", quota(set.cpu), quota(action.cpu_min), quota(action.cpu_max),
                " 100000"},
          Limit{"pids", "pids.max", set.pids, action.pids_min, action.pids_max}};
}

std::string shown(const Limit& limit, Amount amount) {
  if (!amount) return "unlimited";
  if (std::string_view(limit.name) == "memory") return base::format_size(*amount);
  if (std::string_view(limit.name) == "pids") return std::to_string(*amount);
  return std::to_string(*amount * 100 / kPeriodUs) + "%";
}

// What was done to the limits of one leaf.
struct Done {
  std::string changes;
  std::string errors;
};

void adjust(const std::string& leaf, Limit limit, const core::AdjustLimitsAction& action,
            Done& done) {
  const std::string path = leaf + "/" + limit.file;
  const Amount now = number_in(path);
  Amount wanted = limit.configured;
  if (!action.reset) wanted = adjusted(now, action.by, limit.min, limit.max);
  if (wanted == now || (!action.reset && !wanted)) return;
  const std::string text = wanted ? std::to_string(*wanted) : "max";
  if (!write(path, text + limit.tail)) {
    done.errors += std::string("; ") + limit.name + ": " + std::generic_category().message(errno);
    return;
  }
  done.changes += (done.changes.empty() ? "" : ", ") + std::string(limit.name) + " " +
                  shown(limit, now) + " → " + shown(limit, wanted);
}

class AdjustLimitsEffector final : public ports::Effector {
 public:
  AdjustLimitsEffector(effects::Tools tools, Leaves leaves)
      : tools_(std::move(tools)), leaves_(std::move(leaves)) {}

  void perform(const core::Command& command, const core::Policy& policy,
               ports::Done done) override {
    effects::report(tools_, done, command.id, outcome_of(command, policy));
  }
  void cancel(core::CommandId /*command*/) override {}  // Done at once.

 private:
  Outcome outcome_of(const core::Command& command, const core::Policy& policy) const {
    const core::AdjustLimitsAction defaults;
    const auto* given = std::get_if<core::AdjustLimitsAction>(&core::arguments_of(command, policy));
    const core::AdjustLimitsAction& action = given != nullptr ? *given : defaults;
    const auto* run = std::get_if<core::RunSpec>(&policy.service(command.service).spec);
    if (run == nullptr) return effects::refused("is not a run service");
    if (command.settle && !action.reset) return effects::settled();
    std::array<Limit, 3> limits = limits_of(run->limits, action);
    const bool none_given =
        std::ranges::none_of(limits, [](const Limit& each) { return each.min || each.max; });
    for (Limit& limit : limits) {
      if (none_given && limit.configured) limit.max = *limit.configured * 2;
    }
    Done result;
    bool any = false;
    for (const std::string& leaf : leaves_(command.service)) {
      if (leaf.empty()) continue;
      any = true;
      for (const Limit& limit : limits) adjust(leaf, limit, action, result);
    }
    if (!any) return effects::refused("it has no cgroup of its own that can be written");
    if (!result.changes.empty()) return {.detail = result.changes + result.errors};
    if (!result.errors.empty()) return effects::failed("nothing was set" + result.errors);
    if (action.reset) return {.detail = "the limits are as configured"};
    return effects::refused("no limit can be moved further");
  }

  effects::Tools tools_;
  Leaves leaves_;
};

}  // namespace

std::optional<std::uint64_t> adjusted(Amount now, double by, Amount min, Amount max) {
  if (!max && !min) return std::nullopt;
  // Unlimited is above every max and below no min.
  if (!now) return by < 1.0 ? max : std::nullopt;
  const double wanted = std::round(static_cast<double>(*now) * by);
  constexpr double kMost = 1e18;
  auto value = static_cast<std::uint64_t>(std::clamp(wanted, 1.0, kMost));
  if (by > 1.0) value = max ? std::max(std::min(value, *max), *now) : *now;
  if (by < 1.0) value = min ? std::min(std::max(value, *min), *now) : *now;
  return value;
}

std::unique_ptr<ports::Effector> make_adjust_limits(const effects::Tools& tools, Leaves leaves) {
  return std::make_unique<AdjustLimitsEffector>(tools, std::move(leaves));
}

}  // namespace recover::adapters::resource
