// `backup restore`: into a folder, or in place.
#include <boost/json.hpp>

#include <optional>
#include <utility>

#include "apps/recoverctl/backup_commands.h"
#include "apps/recoverctl/backup_progress.h"
#include "apps/recoverctl/backup_texts.h"
#include "apps/recoverctl/repository_access.h"
#include "apps/recoverctl/table.h"
#include "backup/restore/in_place.h"

namespace recover::apps {
namespace {

namespace json = boost::json;
using backup::Repository;

// What is the same in both ways, told while it is done.
template <class Do>
auto with_progress(const Session& session, const backup::RestoreProgress& progress, Do&& act) {
  const ProgressLine line(
      session,
      [&](double seconds) {
        return std::to_string(progress.files) + " files, " + rate_text(progress.bytes, seconds);
      },
      [&] {
        return json::object{{"phase", "restore"},
                            {"percent_done", 0},
                            {"files_done", progress.files.load()},
                            {"bytes_done", progress.bytes.load()},
                            {"files_restored", progress.files.load()},
                            {"bytes_restored", progress.bytes.load()}};
      });
  return act();
}

json::object restore_json(const Repository::FoundSnapshot& found, const RestoreWish& wish,
                          const backup::RestoreProgress& progress,
                          const backup::RestoreReport& report) {
  return {{"snapshot_id", backup::hex(found.id)},
          {"to", wish.in_place ? "/" : wish.to},
          {"in_place", wish.in_place},
          {"dry_run", wish.dry_run},
          {"files", progress.files.load()},
          {"files_unchanged", progress.skipped.load()},
          {"folders", progress.folders.load()},
          {"bytes", progress.bytes.load()},
          {"left_alone", texts(report.left_alone)},
          {"problems", texts(report.problems)},
          {"problem_count", report.problem_count}};
}

void show_restored(const Session& session, const RestoreWish& wish,
                   const backup::RestoreProgress& progress) {
  session.out << (wish.dry_run ? "would restore " : "restored ") << progress.files << " files ("
              << progress.skipped << " were as wanted), "
              << size_text(static_cast<double>(progress.bytes))
              << (wish.in_place ? " in place" : " to " + wish.to) << "\n";
}

Exit restore_into(const Session& session, const RestoreWish& wish, const OpenRepository& open,
                  const Repository::FoundSnapshot& found, const std::stop_token& stop) {
  const backup::RestoreOptions options{.to = wish.in_place ? "/" : wish.to,
                                       .selective = wish.selective,
                                       .sparse = wish.sparse,
                                       .verify = wish.verify,
                                       .dry_run = wish.dry_run,
                                       .owners = user_name() == "root",
                                       .threads = threads_of(wish.repository)};
  backup::RestoreProgress progress;
  const auto report = with_progress(session, progress, [&] {
    return restore(open.repository, found.snapshot, options, progress, stop);
  });
  if (!report) throw failure_of(report.error());
  tell_problems(session, report->problems, report->problem_count);
  session.show(restore_json(found, wish, progress, *report),
               [&](const json::object&) { show_restored(session, wish, progress); });
  return exit_of(report->problem_count == 0);
}

void show_in_place(const Session& session, const RestoreWish& wish,
                   const backup::RestoreProgress& progress, const backup::InPlaceReport& report) {
  if (report.rolled_back) {
    session.out << "not restored; what stood there is "
                << (report.roll_back_report.problem_count == 0 ? "back" : "back but for the above")
                << "\n";
  } else {
    show_restored(session, wish, progress);
  }
  for (const std::string& path : report.restored.left_alone) {
    session.out << "left alone: " << path
                << ": another file system or the repository is there; restore it by its own path\n";
  }
  if (!report.undo) return;
  session.out << "what stood there before is snapshot " << short_id(*report.undo)
              << "; to take it back: recoverctl backup restore " << short_id(*report.undo)
              << " --in-place --exact\n";
}

Exit restore_over(const Session& session, const RestoreWish& wish, const OpenRepository& open,
                  const Repository::FoundSnapshot& found, backup::RepositoryLock& lock,
                  const std::stop_token& stop) {
  const backup::InPlaceOptions options{.selective = wish.selective,
                                       .exact = wish.exact,
                                       .sparse = wish.sparse,
                                       .owners = user_name() == "root",
                                       .threads = threads_of(wish.repository),
                                       .host = host_name(),
                                       .user = user_name(),
                                       .program_version = "recoverctl " RECOVER_VERSION,
                                       .now = wall_clock(),
                                       .still_locked = [&] { return lock.is_held(); }};
  backup::RestoreProgress progress;
  const auto report = with_progress(session, progress, [&] {
    return restore_in_place(open.repository, found, options, progress, stop);
  });
  if (!report) throw failure_of(report.error());
  tell_problems(session, report->restored.problems, report->restored.problem_count);
  tell_problems(session, report->roll_back_report.problems, report->roll_back_report.problem_count);
  json::object document = restore_json(found, wish, progress, report->restored);
  document["undo_snapshot_id"] =
      report->undo ? json::value(backup::hex(*report->undo)) : json::value(nullptr);
  document["rolled_back"] = report->rolled_back;
  document["roll_back_problems"] = texts(report->roll_back_report.problems);
  session.show(document,
               [&](const json::object&) { show_in_place(session, wish, progress, *report); });
  return exit_of(!report->rolled_back);
}

}  // namespace

Command backup_restore_command(RestoreWish wish) {
  return [wish = std::move(wish)](const Session& session) {
    if (wish.to.empty() && !wish.in_place) {
      throw Failure(Exit::Usage, "USAGE", "restore where? --to DIR, or --in-place");
    }
    const StopOnSignal stop;
    const OpenRepository open = open_repository(wish.repository);
    const bool over = wish.in_place && !wish.dry_run;
    const auto lock = over ? lock_of(open.repository, backup::LockKind::Shared)
                           : reading_lock_of(session, open.repository);
    if (over) {
      const auto found = wanted_snapshot(open.repository, wish.repository, wish.snapshot);
      return restore_over(session, wish, open, found, *lock, stop.token());
    }
    Exit worst = Exit::Done;
    for (const auto& found : wanted_snapshots(open.repository, wish.repository, wish.snapshot)) {
      const Exit one = restore_into(session, wish, open, found, stop.token());
      if (one != Exit::Done) worst = one;
    }
    return worst;
  };
}

}  // namespace recover::apps
