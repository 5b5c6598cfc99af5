// What the runner shows to others, and what they may ask of it.
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/json.hpp>

#include <algorithm>
#include <utility>

#include "adapters/backup/backup_runner.h"
#include "adapters/backup/mirror_members.h"
#include "base/rfc3339.h"

namespace recover::adapters::backup {
namespace {

std::string when(std::int64_t seconds) {
  return base::rfc3339(seconds * 1'000'000'000);
}

// Of a run that has not ended.
boost::json::object body_of(const core::BackupKey& key, const core::BackupOwed& owed,
                            const std::string& progress) {
  boost::json::object body{{"run", owed.run},
                           {"task", core::to_string(key.task)},
                           {"name", key.name},
                           {"state", owed.started_at != 0 ? "running"
                                     : owed.attempts > 0  ? "retrying"
                                                          : "waiting"},
                           {"due_at", when(owed.due)},
                           {"attempts", owed.attempts},
                           {"asked_by", owed.actor}};
  if (owed.started_at != 0) body["started_at"] = when(owed.started_at);
  if (owed.started_at == 0 && owed.retry_at != 0) body["retry_at"] = when(owed.retry_at);
  if (!progress.empty()) body["progress"] = boost::json::parse(progress);
  return body;
}

}  // namespace

core::BackupVerdict BackupRunner::verdict(core::ServiceIndex service,
                                          const core::BackupProbe& probe) const {
  core::BackupVerdict unknown;
  unknown.detail = "not known yet";
  if (!plan_) return unknown;
  const auto found = std::ranges::find_if(
      services_, [service](const auto& each) { return each.second == service; });
  if (found == services_.end()) return unknown;
  const auto& types = plan_->policy().types;
  const auto type = std::ranges::find(types, found->first, &core::BackupType::name);
  if (type == types.end()) return unknown;
  const auto index = static_cast<std::uint32_t>(type - types.begin());
  if (probe.proof) return plan_->proven(index, now());
  return made(index);
}

// The worst of what the schedule, the protection and the members of the mirror say.
core::BackupVerdict BackupRunner::made(std::uint32_t index) const {
  const core::BackupType& type = plan_->policy().types.at(index);
  core::BackupVerdict verdict = guards_.judge(type.name, plan_->made(index, now()));
  if (verdict.health == core::BackupHealth::Bad) return verdict;
  const core::BackupRepository& repository = plan_->policy().repositories.at(type.repository);
  for (const ports::BackupMemberView& member : members_of(repository, folder_, now())) {
    if (!member.is_failure) continue;
    return {.health = core::BackupHealth::Bad,
            .code = "MEMBER_BEHIND",
            .detail = "the " + member.name + " member of " + repository.name +
                      " lacks something since " + when(member.since) + ": " + member.why};
  }
  return verdict;
}

ports::BackupTaskView BackupRunner::view_of(const core::BackupSlot& slot) const {
  ports::BackupTaskView view;
  view.task = slot.key.task;
  view.subject = slot.key.name;
  view.next_due = plan_->next_due(slot).value_or(0);
  view.overdue_after = plan_->deadline(slot).value_or(0);
  view.record = plan_->record(slot.key);
  const auto active = active_.find(slot.key);
  if (active != active_.end()) view.progress = active->second.progress;
  return view;
}

ports::BackupTypeView BackupRunner::view_of(std::uint32_t index) const {
  const core::BackupType& type = plan_->policy().types[index];
  ports::BackupTypeView view;
  view.name = type.name;
  view.repository = plan_->policy().repositories.at(type.repository).name;
  view.priority = type.priority;
  view.made = made(index);
  view.members = members_of(plan_->policy().repositories.at(type.repository), folder_, now());
  for (ports::BackupMemberView& member : view.members) member.why = options_.redact(member.why);
  view.proven = plan_->proven(index, now());
  std::int64_t proven_at = INT64_MAX;
  for (const core::BackupSlot& slot : plan_->slots()) {
    const bool is_read = slot.key.task == core::BackupTask::Verify;
    const bool shared = core::is_of_repository(slot.key.task);
    if (shared ? slot.repository != type.repository : slot.type != index) continue;
    view.tasks.push_back(view_of(slot));
    const core::BackupRecord& record = view.tasks.back().record;
    if (is_read || slot.key.task == core::BackupTask::RestoreTest) {
      if (slot.cron || record.succeeded_at != 0) {
        proven_at = std::min(proven_at, record.succeeded_at);
      }
    } else if (slot.key.task == core::BackupTask::Full ||
               slot.key.task == core::BackupTask::Incremental) {
      view.succeeded_from = std::max(view.succeeded_from, record.succeeded_from);
    }
  }
  view.protection = guards_.view(type.name);
  if (view.protection && view.protection->reaches) {
    const auto reached = now() - static_cast<std::int64_t>(view.protection->exposed_seconds);
    view.succeeded_from = std::max(view.succeeded_from, reached);
  }
  const auto in_seconds = [](Duration wanted) {
    return std::chrono::duration<double>(wanted).count();
  };
  view.rto_wanted = in_seconds(core::rto_of(type));
  if (const auto rpo = core::wanted_rpo(type)) view.rpo_wanted = in_seconds(*rpo);
  view.proven_at = proven_at == INT64_MAX ? 0 : proven_at;
  return view;
}

std::vector<ports::BackupTypeView> BackupRunner::types() const {
  std::vector<ports::BackupTypeView> views;
  if (!plan_) return views;
  for (std::uint32_t index = 0; index < plan_->policy().types.size(); ++index) {
    views.push_back(view_of(index));
  }
  return views;
}

std::optional<std::uint64_t> BackupRunner::request(std::string_view type, core::BackupTask task,
                                                   std::string actor) {
  if (!plan_ || stopped_) return std::nullopt;
  const auto& types = plan_->policy().types;
  const auto found = std::ranges::find(types, type, &core::BackupType::name);
  if (found == types.end()) return std::nullopt;
  const std::string& subject = core::is_of_repository(task)
                                   ? plan_->policy().repositories.at(found->repository).name
                                   : found->name;
  const auto run = plan_->request({task, subject}, std::move(actor), now());
  save();
  turn_soon();
  return run;
}

std::optional<ports::BackupRunView> BackupRunner::run(std::uint64_t run) const {
  if (!plan_) return std::nullopt;
  for (const auto& [key, record] : plan_->book().records) {
    for (const auto* owed : {&record.owed, &record.then}) {
      if (!*owed || (*owed)->run != run) continue;
      const auto active = active_.find(key);
      const bool shows = active != active_.end() && (*owed)->started_at != 0;
      return ports::BackupRunView{
          .run = run,
          .ended = false,
          .body = boost::json::serialize(
              body_of(key, **owed, shows ? active->second.progress : std::string()))};
    }
  }
  auto report = reports_.read(run);
  if (!report) return std::nullopt;
  return ports::BackupRunView{.run = run, .ended = true, .body = std::move(*report)};
}

std::vector<std::string> BackupRunner::drills(std::size_t most) const {
  return reports_.drills(most);
}

}  // namespace recover::adapters::backup
