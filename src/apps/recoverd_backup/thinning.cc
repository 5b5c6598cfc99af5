#include "apps/recoverd_backup/thinning.h"

#include <algorithm>

namespace recover::apps {

std::vector<backup::Digest> too_many(
    const std::vector<backup::Repository::FoundSnapshot>& snapshots,
    const backup::Retention& wanted) {
  backup::Retention retention = wanted;
  retention.last = 0;
  retention.tags.clear();
  retention.within_seconds = std::max<std::int64_t>(wanted.within_seconds, 3600);
  retention.hourly = std::max(wanted.hourly, 24U);
  retention.daily = std::max(wanted.daily, 7U);
  std::vector<backup::Digest> forgotten;
  for (const auto& verdict : backup::judge(snapshots, retention)) {
    if (verdict.kept_by.empty()) forgotten.push_back(verdict.snapshot.id);
  }
  return forgotten;
}

}  // namespace recover::apps
