// clean_files: frees disk space from folders a playbook names. Removing what is gone already is
// nothing, so it is safe to repeat after a crash.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <utility>

#include "adapters/files/effectors.h"
#include "adapters/files/open_files.h"
#include "adapters/files/roots.h"
#include "adapters/files/sweep.h"
#include "effects/pool_effector.h"

namespace recover::adapters::files {
namespace {

using core::CommandOutcome;
using effects::Outcome;

std::string size_text(std::uint64_t bytes) {
  constexpr std::array kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), unit == 0 ? "%.0f %s" : "%.1f %s", value, kUnits[unit]);
  return text.data();
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

Outcome outcome_of(const Sweep& sweep) {
  const std::string in_use =
      sweep.in_use > 0 ? ", " + std::to_string(sweep.in_use) + " in use" : "";
  const std::string errors = sweep.errors.empty() ? "" : "; " + joined(sweep.errors);
  if (sweep.removed == 0) {
    if (sweep.stopped) return {CommandOutcome::Failed, "not done in time"};
    if (!sweep.errors.empty()) return {CommandOutcome::Failed, "removed nothing" + errors};
    return {CommandOutcome::Refused, "no file matched" + in_use};
  }
  std::string detail = "freed " + size_text(sweep.freed) + " in " + std::to_string(sweep.removed) +
                       (sweep.removed == 1 ? " file" : " files") + in_use + ": " +
                       joined(sweep.names);
  if (sweep.removed > sweep.names.size()) {
    detail += " and " + std::to_string(sweep.removed - sweep.names.size()) + " more";
  }
  detail += errors;
  if (sweep.stopped) return {CommandOutcome::Unknown, "not done in time; " + detail};
  return {CommandOutcome::Done, std::move(detail)};
}

Outcome clean(const core::CleanFilesAction& action, const Stopped& stopped) {
  std::vector<std::string> roots;
  for (const std::string& root : action.roots) {
    Result<std::string, std::string> resolved = resolve_root(root);
    if (!resolved) return {CommandOutcome::Refused, resolved.error()};
    if (!resolved->empty()) roots.push_back(*std::move(resolved));
  }
  std::vector<Candidate> candidates;
  for (const std::string& root : roots) {
    std::vector<Candidate> found =
        find_candidates(root, action, std::chrono::system_clock::now(), stopped);
    std::ranges::move(found, std::back_inserter(candidates));
  }
  if (candidates.empty()) {
    return stopped() ? Outcome{CommandOutcome::Failed, "not done in time"}
                     : Outcome{CommandOutcome::Refused, "no file matched"};
  }
  return outcome_of(remove_files(std::move(candidates), action, open_files(), stopped));
}

class CleanFilesEffector final : public effects::PoolEffector {
 public:
  using PoolEffector::PoolEffector;

 private:
  Result<Work, Outcome> prepare(const core::Command& command,
                                const core::Policy& policy) const override {
    const auto* action = std::get_if<core::CleanFilesAction>(&core::arguments_of(command, policy));
    if (action == nullptr || action->roots.empty() || action->globs.empty()) {
      return Unexpected(effects::refused("no roots or no globs"));
    }
    if (command.settle) return Unexpected(effects::settled());
    return Work(
        [arguments = *action](const Stopped& stopped) { return clean(arguments, stopped); });
  }
};

}  // namespace

std::unique_ptr<ports::Effector> make_clean_files(const Tools& tools) {
  return std::make_unique<CleanFilesEffector>(tools);
}

}  // namespace recover::adapters::files
