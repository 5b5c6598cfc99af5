// The action restore_backup: a worker puts a backup back onto the paths it came from.
//
// Beside the runner's schedule, not in it: a recovery does not wait for its turn. The worker keeps
// what it replaces, and puts it back when anything goes wrong or when it is told to end. So it is
// told to at its deadline, and killed only when it has not ended long after.
#pragma once

#include <boost/asio/steady_timer.hpp>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "clients/child_run.h"
#include "core/backup_policy.h"
#include "effects/effects.h"

namespace recover::adapters::backup {

// Loop thread. `policy` gives the backups as they are configured when it is called; `folder` is
// that of the backups below the state directory.
class RestoreEffector final : public ports::Effector {
 public:
  RestoreEffector(effects::Tools tools, std::vector<std::string> worker,
                  std::function<const core::BackupPolicy&()> policy, std::string folder = {})
      : tools_(std::move(tools)),
        worker_(std::move(worker)),
        policy_(std::move(policy)),
        folder_(std::move(folder)) {}

  void perform(const core::Command& command, const core::Policy& policy, ports::Done done) override;
  void cancel(core::CommandId command) override;
  // Restores under way are told to end; `done` once all have, at once if there is none.
  void stop(std::function<void()> done);
  bool is_idle() const { return running_.empty(); }

  // Till all that was replaced is back.
  static constexpr Duration kGrace = std::chrono::minutes(10);

 private:
  struct Running {
    std::shared_ptr<clients::ChildRun> child;
    boost::asio::steady_timer timer;  // Its deadline, then the end of its grace.
    std::string backup;
    bool asked = false;
  };
  void watch(core::CommandId command, Duration left);
  void ask_to_end(core::CommandId command);
  void tell_stopped();
  bool is_restoring(const std::string& backup) const;

  effects::Tools tools_;
  std::vector<std::string> worker_;
  std::function<const core::BackupPolicy&()> policy_;
  std::string folder_;
  std::map<core::CommandId, Running> running_;
  std::function<void()> stopped_;
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace recover::adapters::backup
