// `recoverctl backup prune` and `repair`: what removes from a repository.
#include <boost/json.hpp>

#include <thread>
#include <utility>

#include "apps/recoverctl/backup_commands.h"
#include "apps/recoverctl/backup_progress.h"
#include "apps/recoverctl/backup_texts.h"
#include "apps/recoverctl/repository_access.h"
#include "apps/recoverctl/table.h"
#include "backup/check/repair.h"
#include "backup/retain/shared_prune.h"

namespace recover::apps {
namespace {

namespace json = boost::json;

// Every other object of the list is a verdict on one snapshot.
json::object prune_json(const std::vector<backup::RetentionVerdict>& verdicts,
                        const backup::PruneReport& report) {
  json::array snapshots;
  for (const backup::RetentionVerdict& verdict : verdicts) {
    json::object one = snapshot_json(verdict.snapshot);
    one["kept_by"] = texts(verdict.kept_by);
    snapshots.push_back(std::move(one));
  }
  return {{"snapshots", std::move(snapshots)},         {"packs_removed", report.packs_removed},
          {"packs_rewritten", report.packs_rewritten}, {"packs_kept", report.packs_kept},
          {"bytes_freed", report.bytes_freed},         {"bytes_unused", report.bytes_unused_kept}};
}

backup::Retention retention_of(const PruneWish& wish) {
  backup::Retention retention = wish.retention;
  retention.within_seconds = seconds_of("--keep-within", wish.keep_within);
  retention.behind_max_seconds = seconds_of("--max-behind", wish.max_behind);
  return retention;
}

std::vector<backup::Digest> forgotten(const std::vector<backup::RetentionVerdict>& verdicts) {
  std::vector<backup::Digest> ids;
  for (const backup::RetentionVerdict& verdict : verdicts) {
    if (verdict.kept_by.empty()) ids.push_back(verdict.snapshot.id);
  }
  return ids;
}

json::object prune_status(const backup::PruneProgress& progress) {
  return {{"phase", "prune"},
          {"percent_done", share_of(progress.packs_done, progress.packs_total)},
          {"packs_done", progress.packs_done.load()},
          {"total_packs", progress.packs_total.load()},
          {"bytes_done", progress.bytes.load()}};
}

std::string prune_text(const backup::PruneProgress& progress) {
  if (progress.packs_total == 0) return std::to_string(progress.trees) + " trees read";
  return std::to_string(progress.packs_done) + " of " + std::to_string(progress.packs_total) +
         " packs, " + size_text(static_cast<double>(progress.bytes)) + " written anew";
}

}  // namespace

Command backup_prune_command(PruneWish wish) {
  return [wish = std::move(wish)](const Session& session) {
    const StopOnSignal stop;
    const backup::Retention retention = retention_of(wish);
    const OpenRepository open = open_repository(wish.repository);
    auto snapshots = open.repository.snapshots();
    if (!snapshots) throw failure_of(snapshots.error());
    // A type's rules are for its snapshots alone: others share its repository.
    std::erase_if(*snapshots, [&](const auto& found) {
      const bool is_own = wish.repository.type.empty() || found.snapshot.host == host_name();
      return !is_own || !is_of_type(wish.repository, found);
    });
    const auto verdicts = backup::judge(std::move(*snapshots), retention);
    backup::PruneProgress progress;
    backup::SharedPrune prune;
    prune.prune.forget = forgotten(verdicts);
    prune.prune.rewrite_rate = wish.limit_rewrite_kib << 10U;
    prune.prune.progress = &progress;
    prune.prune.dry_run = wish.dry_run;
    const auto report = [&] {
      const ProgressLine line(
          session, [&](double) { return prune_text(progress); },
          [&] { return prune_status(progress); });
      return prune_beside_others(open.repository, prune, stop.token());
    }();
    if (!report) throw failure_of(report.error());
    session.show(prune_json(verdicts, *report), [&](const json::object&) {
      session.out << (wish.dry_run ? "would forget " : "forgot ") << prune.prune.forget.size()
                  << " of " << verdicts.size() << " snapshots; " << report->packs_removed
                  << " packs " << (wish.dry_run ? "would go" : "are gone") << ", "
                  << size_text(static_cast<double>(report->bytes_freed)) << " unused\n";
    });
    return Exit::Done;
  };
}

Command backup_repair_command(RepairWish wish) {
  return [wish = std::move(wish)](const Session& session) {
    const StopOnSignal stop;
    const OpenRepository open = open_repository(wish.repository);
    const auto lock = backup::acquire_patiently(open.repository, backup::LockKind::Exclusive,
                                                backup::kLockPatience, stop.token());
    if (!lock) throw failure_of(lock.error());
    backup::CheckProgress progress;
    const auto report = [&] {
      const ProgressLine line(
          session,
          [&](double) {
            return std::to_string(progress.packs) + " of " + std::to_string(progress.packs_total) +
                   " packs";
          },
          [&] {
            return json::object{{"phase", "repair"},
                                {"percent_done", share_of(progress.packs, progress.packs_total)},
                                {"packs_done", progress.packs.load()},
                                {"total_packs", progress.packs_total.load()},
                                {"bytes_done", progress.bytes.load()}};
          });
      return backup::repair(open.repository,
                            {.sources = wish.sources,
                             .still_locked = [&] { return (*lock)->is_held(); },
                             .dry_run = wish.dry_run},
                            progress, stop.token());
    }();
    if (!report) throw failure_of(report.error());
    session.show(json::object{{"packs_damaged", report->packs_damaged},
                              {"packs_unread", report->packs_unread},
                              {"blobs_moved", report->blobs_moved},
                              {"blobs_read_again", report->blobs_read_again},
                              {"blobs_lost", report->blobs_lost},
                              {"dry_run", wish.dry_run}},
                 [&](const json::object&) {
                   session.out << report->packs_damaged << " packs damaged: " << report->blobs_moved
                               << " blobs of them whole, " << report->blobs_read_again
                               << " read again from the source, " << report->blobs_lost
                               << " lost\n";
                   if (report->packs_unread > 0) {
                     session.out << report->packs_unread
                                 << " packs cannot be read for now and were left as they are\n";
                   }
                   if (report->blobs_lost == 0 || wish.dry_run) return;
                   session.out << "Back up the same paths again: what is still there is stored "
                                  "anew. `verify --all` names the files that stay damaged.\n";
                 });
    return report->blobs_lost + report->packs_unread == 0 ? Exit::Done : Exit::Failed;
  };
}

}  // namespace recover::apps
