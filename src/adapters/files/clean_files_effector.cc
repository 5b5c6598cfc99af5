// clean_files: frees disk space from folders a playbook names. Removing what is gone already is
// nothing, so it is safe to repeat after a crash.
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <exception>
#include <utility>

#include "adapters/files/effectors.h"
#include "adapters/files/open_files.h"
#include "adapters/files/roots.h"
#include "adapters/files/sweep.h"

namespace recover::adapters::files {
namespace {

namespace asio = boost::asio;
using core::CommandOutcome;

constexpr Duration kLongest = std::chrono::hours{1};

struct Outcome {
  CommandOutcome outcome = CommandOutcome::Done;
  std::string detail;
};

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

class CleanFilesEffector final : public ports::Effector {
 public:
  explicit CleanFilesEffector(Tools tools) : tools_(std::move(tools)) {}

  void perform(const core::Command& command, const core::Policy& policy,
               ports::Done done) override {
    const core::CommandId id = command.id;
    const auto* action = std::get_if<core::CleanFilesAction>(&core::arguments_of(command, policy));
    if (action == nullptr || action->roots.empty() || action->globs.empty()) {
      return report(tools_.loop, std::move(done), id,
                    {CommandOutcome::Refused, "no roots or no globs"});
    }
    if (command.settle) {
      return report(tools_.loop, std::move(done), id,
                    {CommandOutcome::Unknown, "it may have run before the crash"});
    }
    const auto cancelled = std::make_shared<std::atomic<bool>>(false);
    running_.emplace(id, cancelled);
    const Duration left = command.deadline == kNever ? kLongest
                                                     : std::clamp(command.deadline - tools_.now(),
                                                                  Duration::zero(), kLongest);
    const auto deadline = std::chrono::steady_clock::now() + left;
    auto forget = [this, alive = std::weak_ptr<int>(alive_), id,
                   done = std::move(done)](core::CommandFinished finished) {
      if (!alive.expired()) running_.erase(id);
      done(std::move(finished));
    };
    auto guard = asio::make_work_guard(tools_.loop);
    asio::post(tools_.pool, [&loop = tools_.loop, id, cancelled, deadline, arguments = *action,
                             forget = std::move(forget), guard = std::move(guard)] {
      const Stopped stopped = [&] {
        return cancelled->load() || std::chrono::steady_clock::now() >= deadline;
      };
      report(loop, forget, id, guarded(arguments, stopped));
    });
  }

  void cancel(core::CommandId command) override {
    const auto found = running_.find(command);
    if (found != running_.end()) *found->second = true;
  }

 private:
  static Outcome guarded(const core::CleanFilesAction& action, const Stopped& stopped) {
    try {
      return clean(action, stopped);
    } catch (const std::exception& error) {
      return {CommandOutcome::Unknown, error.what()};
    }
  }
  static void report(asio::io_context& loop, ports::Done done, core::CommandId id,
                     Outcome outcome) {
    asio::post(loop, [done = std::move(done), id, outcome = std::move(outcome)] {
      done({.command = id, .outcome = outcome.outcome, .detail = outcome.detail, .checkpoint = {}});
    });
  }

  Tools tools_;
  std::map<core::CommandId, std::shared_ptr<std::atomic<bool>>> running_;
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace

std::unique_ptr<ports::Effector> make_clean_files(const Tools& tools) {
  return std::make_unique<CleanFilesEffector>(tools);
}

std::map<core::ActionKind, std::unique_ptr<ports::Effector>> make_effectors(const Tools& tools) {
  std::map<core::ActionKind, std::unique_ptr<ports::Effector>> all;
  all.emplace(core::ActionKind::CleanFiles, make_clean_files(tools));
  return all;
}

}  // namespace recover::adapters::files
