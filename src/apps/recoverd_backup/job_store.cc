#include "apps/recoverd_backup/job_store.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <utility>

namespace recover::apps {
namespace {

using backup::MirrorMember;
using backup::Outcome;

// What it may cost a backup.
constexpr std::chrono::seconds kCatchUpShortly{60};

}  // namespace

Outcome<JobStore> open_job_store(const Job& job) {
  if (job.members.empty()) {
    auto store = backup::open_store(job.location, job.store);
    if (!store) return Unexpected(std::move(store.error()));
    return JobStore{.store = std::move(*store)};
  }
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(job.mirror_state).parent_path(),
                                      ignored);
  std::vector<MirrorMember> members;
  for (const JobMember& member : job.members) {
    backup::StoreWish wish = member.store;
    wish.bandwidth = job.store.bandwidth;
    wish.append_only = wish.append_only || job.store.append_only;
    auto store = backup::open_store(member.location, wish);
    if (!store) {
      store.error().message = member.name + ": " + store.error().message;
      return Unexpected(std::move(store.error()));
    }
    members.push_back(
        {.name = member.name,
         .store = std::move(*store),
         .writes = member.later ? MirrorMember::Writes::Later : MirrorMember::Writes::Together,
         .append_only = wish.append_only});
  }
  auto mirror = std::make_unique<backup::MirrorStore>(
      std::move(members),
      backup::MirrorOptions{.name = job.mirror_name, .state_path = job.mirror_state});
  JobStore opened;
  opened.mirror = mirror.get();
  opened.store = std::move(mirror);
  return opened;
}

backup::CatchUpReport catch_up_shortly(backup::MirrorStore& mirror, bool later,
                                       const std::stop_token& stop) {
  const auto members = mirror.status();
  const bool needed = std::ranges::any_of(members, [&](const backup::MemberStatus& one) {
    return one.behind && (later || !one.later);
  });
  if (!needed) return {};
  return mirror.catch_up(
      {.later = later, .until = std::chrono::steady_clock::now() + kCatchUpShortly, .stop = stop});
}

}  // namespace recover::apps
