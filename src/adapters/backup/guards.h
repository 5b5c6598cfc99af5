// Keeps one worker running for each type of backup that is protected continuously, and hears from
// it how far the protection reaches.
//
// Invariant: a worker that ends is begun again, after a while that grows while it does not last.
// What it said last counts until another says better: a dead worker's protection gets older by the
// second.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <boost/json/object.hpp>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "clients/child_run.h"
#include "core/backup_plan.h"
#include "ports/backup_desk.h"

namespace boost::asio {
class io_context;
}

namespace recover::adapters::backup {

struct GuardOptions {
  std::vector<std::string> worker;  // The command that takes a job.
  std::string folder;               // Of the backups below the state directory.
  std::function<void(const std::string& token)> kill_all;
  std::function<std::string(std::string)> redact;
  // The protection of a type ended without having been told to.
  std::function<void(const std::string& type, std::string message)> ended;
};

// Loop thread throughout.
class Guards {
 public:
  // `loop` outlives it.
  Guards(boost::asio::io_context& loop, GuardOptions options);
  Guards(const Guards&) = delete;
  Guards& operator=(const Guards&) = delete;
  ~Guards();

  // Begins what is new, ends what is gone, begins anew what is different.
  void replace(const core::BackupPolicy& policy);
  // Nothing: the type is not protected.
  std::optional<ports::BackupProtectionView> view(const std::string& type) const;
  // The worse of both: what the schedule says, and the protection.
  core::BackupVerdict judge(const std::string& type, core::BackupVerdict made) const;
  // Asks all to end; is_idle() once they have, and `idle` is called.
  void stop(std::function<void()> idle);
  void kill();
  bool is_idle() const;

 private:
  using Clock = std::chrono::steady_clock;
  struct Guard;

  void begin(const std::string& type);
  std::string job_of(const core::BackupPolicy& policy, std::uint32_t type) const;
  void hear(Guard& guard, std::string_view line);
  void heard_end(const std::string& type, std::uint64_t number, clients::ChildEnd end);
  void tell_idle();

  boost::asio::io_context& loop_;
  GuardOptions options_;
  std::map<std::string, std::unique_ptr<Guard>> guards_;
  std::vector<std::shared_ptr<clients::ChildRun>>
      leaving_;  // Told to end; not in guards_ any more.
  std::uint64_t next_ = 1;
  std::function<void()> idle_;  // Set: we are stopping.
};

}  // namespace recover::adapters::backup
