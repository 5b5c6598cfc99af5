#include "apps/recoverctl/backup_commands.h"

#include <boost/json.hpp>

#include <algorithm>
#include <chrono>
#include <functional>
#include <optional>
#include <utility>

#include "apps/recoverctl/backup_progress.h"
#include "apps/recoverctl/backup_subset.h"
#include "apps/recoverctl/backup_texts.h"
#include "apps/recoverctl/repository_access.h"
#include "apps/recoverctl/table.h"
#include "backup/archive/archiver.h"
#include "backup/check/checker.h"
#include "backup/check/ledger.h"
#include "backup/memory_budget.h"

namespace recover::apps {
namespace {

namespace json = boost::json;
using backup::Repository;

std::string joined_texts(const std::vector<std::string>& values) {
  std::string text;
  for (const std::string& value : values) text += (text.empty() ? "" : ", ") + value;
  return text;
}

double seconds_between(const backup::Timestamp& begin, const backup::Timestamp& end) {
  return static_cast<double>(end.seconds - begin.seconds) +
         (static_cast<double>(end.nanoseconds) - static_cast<double>(begin.nanoseconds)) * 1e-9;
}

json::object summary_json(const backup::ArchiveReport& report) {
  const backup::SnapshotSummary& summary = report.snapshot.summary.value();
  return {{"message_type", "summary"},
          {"snapshot_id", backup::hex(report.id)},
          {"files_new", summary.files_new},
          {"files_changed", summary.files_changed},
          {"files_unmodified", summary.files_unmodified},
          {"dirs_new", summary.folders_new},
          {"dirs_changed", summary.folders_changed},
          {"dirs_unmodified", summary.folders_unmodified},
          {"total_duration", seconds_between(summary.backup_start, summary.backup_end)},
          {"data_blobs", summary.data_blobs},
          {"tree_blobs", summary.tree_blobs},
          {"data_added", summary.data_added},
          {"data_added_packed", summary.data_added_packed},
          {"total_files_processed", summary.files_processed},
          {"total_bytes_processed", summary.bytes_processed},
          {"problems", texts(report.problems)},
          {"problem_count", report.problem_count}};
}

void show_summary(const Session& session, const backup::ArchiveReport& report) {
  const backup::SnapshotSummary& summary = report.snapshot.summary.value();
  session.out << "snapshot " << short_id(report.id) << ": " << summary.files_processed << " files ("
              << summary.files_new << " new, " << summary.files_changed << " changed), "
              << size_text(static_cast<double>(summary.bytes_processed)) << "; added "
              << size_text(static_cast<double>(summary.data_added)) << ", stored as "
              << size_text(static_cast<double>(summary.data_added_packed)) << "\n";
}

backup::ArchiveOptions archive_options(const BackupWish& wish) {
  backup::ArchiveOptions options;
  options.paths = wish.paths;
  options.excludes = wish.excludes;
  options.tags = wish.tags;
  options.host = wish.host.empty() ? host_name() : wish.host;
  options.user = user_name();
  options.program_version = "recoverctl " RECOVER_VERSION;
  options.now = wall_clock();
  options.one_file_system = wish.one_file_system;
  options.ignore_parent = wish.force;
  options.threads = threads_of(wish.repository);
  options.pack_bytes = backup::MemoryBudget{.mib = wish.repository.memory_mib}.pack_bytes();
  return options;
}

void show_check(const Session& session, const backup::CheckReport& report) {
  for (const std::string& error : report.errors)
    session.err << "error: " << printable(error) << "\n";
  for (const std::string& hint : report.hints) session.err << "hint: " << printable(hint) << "\n";
  for (const std::string& file : report.damaged_files) {
    session.err << "damaged: " << printable(file) << "\n";
  }
  session.out << report.snapshots << " snapshots, " << report.packs << " packs, " << report.blobs
              << " blobs: " << (report.is_sound() ? "sound" : "DAMAGED") << "\n";
}

}  // namespace

Command backup_init_command(RepositoryWish wish) {
  return [wish = std::move(wish)](const Session& session) {
    const auto store = store_of(wish);
    catch_up_mirror(session, *store);
    const auto made = Repository::create(
        *store, password_of(wish),
        {.now = wall_clock(), .user = user_name(), .host = host_name(), .cost = {}});
    if (!made) throw failure_of(made.error());
    const json::object document{{"repository", store->location()}, {"id", made->config().id}};
    session.show(document, [&](const json::object&) {
      session.out << "made repository " << made->config().id.substr(0, 8) << " in "
                  << store->location()
                  << "\nWithout its password nothing in it can be read: keep it elsewhere, too.\n";
    });
    return Exit::Done;
  };
}

Command backup_create_command(BackupWish wish) {
  return [wish = std::move(wish)](const Session& session) {
    const StopOnSignal stop;
    const OpenRepository open = open_repository(wish.repository);
    catch_up_mirror(session, *open.store);
    const auto lock = lock_of(open.repository, backup::LockKind::Shared);
    backup::ArchiveProgress progress;
    const auto report = [&] {
      const ProgressLine line(
          session,
          [&](double seconds) {
            const std::uint64_t files =
                progress.files_new + progress.files_changed + progress.files_unmodified;
            return std::to_string(files) + " files, " + rate_text(progress.bytes, seconds);
          },
          [&] {
            const std::uint64_t files =
                progress.files_new + progress.files_changed + progress.files_unmodified;
            return json::object{{"phase", "backup"},
                                {"percent_done", 0},
                                {"files_done", files},
                                {"bytes_done", progress.bytes.load()}};
          });
      backup::ArchiveOptions options = archive_options(wish);
      options.still_locked = [&] { return lock->is_held(); };
      return archive(open.repository, options, progress, stop.token());
    }();
    if (!report) throw failure_of(report.error());
    open.store->keep_reserve();
    tell_problems(session, report->problems, report->problem_count);
    session.show(summary_json(*report),
                 [&](const json::object&) { show_summary(session, *report); });
    return exit_of(report->problem_count == 0);
  };
}

Command backup_list_command(RepositoryWish wish) {
  return [wish = std::move(wish)](const Session& session) {
    const OpenRepository open = open_repository(wish);
    auto snapshots = open.repository.snapshots();
    if (!snapshots) throw failure_of(snapshots.error());
    std::erase_if(*snapshots, [&](const auto& found) { return !is_of_type(wish, found); });
    json::array list;
    Table table({"ID", "TIME", "HOST", "TAGS", "PATHS"});
    for (const Repository::FoundSnapshot& found : *snapshots) {
      list.push_back(snapshot_json(found));
      table.add({{short_id(found.id)},
                 {short_time(time_text(found.snapshot.time))},
                 {found.snapshot.host},
                 {dash(joined_texts(found.snapshot.tags))},
                 {joined_texts(found.snapshot.paths)}});
    }
    session.show(json::object{{"snapshots", std::move(list)}}, [&](const json::object&) {
      if (snapshots->empty()) session.out << "no snapshots\n";
      if (!snapshots->empty()) session.print(table);
    });
    return Exit::Done;
  };
}

Command backup_verify_command(VerifyWish wish) {
  return [wish = std::move(wish)](const Session& session) {
    if ((wish.all || !wish.subset.empty()) != wish.snapshot.empty()) {
      throw Failure(Exit::Usage, "USAGE", "verify what? A snapshot's id, latest, or --all");
    }
    const StopOnSignal stop;
    const OpenRepository open = open_repository(wish.repository);
    const auto lock = reading_lock_of(session, open.repository);
    backup::CheckOptions options{.read_data = true, .threads = threads_of(wish.repository)};
    if (!wish.subset.empty()) choose_subset(options, wish.subset);
    backup::ReadLedger ledger(backup::ReadLedger::default_path(open.repository.config().id));
    options.ledger = &ledger;
    options.now = wall_clock().seconds;
    options.unread_for = seconds_of("--unread-for", wish.unread_for);
    if (!wish.snapshot.empty()) {
      options.snapshot = wanted_snapshot(open.repository, wish.repository, wish.snapshot).id;
    }
    backup::CheckProgress progress;
    const auto report = [&] {
      const ProgressLine line(
          session, [&](double seconds) { return rate_text(progress.bytes, seconds); },
          [&] {
            return json::object{{"percent_done", share_of(progress.packs, progress.packs_total)},
                                {"phase", "check"},
                                {"packs_done", progress.packs.load()},
                                {"total_packs", progress.packs_total.load()},
                                {"bytes_done", progress.bytes.load()}};
          });
      return check(open.repository, options, progress, stop.token());
    }();
    if (!report) throw failure_of(report.error());
    const json::object document{{"sound", report->is_sound()},
                                {"snapshots", report->snapshots},
                                {"packs", report->packs},
                                {"blobs", report->blobs},
                                {"bytes_read", progress.bytes.load()},
                                {"errors", texts(report->errors)},
                                {"hints", texts(report->hints)},
                                {"damaged_files", texts(report->damaged_files)}};
    session.show(document, [&](const json::object&) { show_check(session, *report); });
    return exit_of(report->is_sound());
  };
}

Command backup_unlock_command(RepositoryWish wish, bool all) {
  return [wish = std::move(wish), all](const Session& session) {
    const OpenRepository open = open_repository(wish);
    const auto removed = backup::remove_locks(open.repository, all);
    if (!removed) throw failure_of(removed.error());
    session.show(json::object{{"removed", *removed}},
                 [&](const json::object&) { session.out << "removed " << *removed << " locks\n"; });
    return Exit::Done;
  };
}

}  // namespace recover::apps
