// What a reload changes, so that unchanged services are left alone.
#pragma once

#include <string>
#include <vector>

#include "core/backup_policy.h"
#include "core/policy.h"

namespace recover::config {

struct Diff {
  // Names of services, in the order of the policy that has them.
  std::vector<std::string> added;
  std::vector<std::string> removed;
  std::vector<std::string> restarted;  // How its process is run changed: it must start anew.
  std::vector<std::string> changed;    // Only how it is watched or recovered changed.
  std::vector<std::string> unchanged;
  // Everything else that changed, by its key: "auto_recovery", "playbooks", "monitoring", …
  std::vector<std::string> sections;

  bool empty() const noexcept {
    return added.empty() && removed.empty() && restarted.empty() && changed.empty() &&
           sections.empty();
  }
  friend bool operator==(const Diff&, const Diff&) = default;
};

// Services are the same by their name; dependencies and playbooks are compared by name, too.
Diff diff(const core::Policy& before, const core::Policy& after);

// "backup.types.db", "backup.repositories.main", …: what of `backup:` is new, gone or different.
std::vector<std::string> changed_backups(const core::BackupPolicy& before,
                                         const core::BackupPolicy& after);

}  // namespace recover::config
