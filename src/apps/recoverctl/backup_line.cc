// The backup commands on the command line.
#include <algorithm>
#include <cstdlib>
#include <utility>

#include "apps/recoverctl/command_line.h"
#include "backup/memory_budget.h"

namespace recover::apps {
namespace {

void add_retention(CLI::App* prune, PruneWish& wish) {
  backup::Retention& keep = wish.retention;
  prune->add_option("--keep-last", keep.last, "The newest N")->type_name("N");
  prune->add_option("--keep-hourly", keep.hourly, "The newest of N hours")->type_name("N");
  prune->add_option("--keep-daily", keep.daily, "The newest of N days")->type_name("N");
  prune->add_option("--keep-weekly", keep.weekly, "The newest of N weeks")->type_name("N");
  prune->add_option("--keep-monthly", keep.monthly, "The newest of N months")->type_name("N");
  prune->add_option("--keep-yearly", keep.yearly, "The newest of N years")->type_name("N");
  prune->add_option("--keep-tag", keep.tags, "Those with this tag")
      ->type_name("TAG")
      ->allow_extra_args(false);
  prune->add_option("--keep-within", wish.keep_within, "All so long before the newest")
      ->type_name("DURATION");
  prune
      ->add_option("--max-behind", wish.max_behind,
                   "A snapshot so much older than its file takes no other's place")
      ->type_name("DURATION");
  prune
      ->add_option("--limit-rewrite", wish.limit_rewrite_kib,
                   "Write anew at most so many KiB a second")
      ->type_name("KIB");
  prune->add_flag("--dry-run", wish.dry_run, "Only tell what would happen");
}

void add_store_options(CLI::App* backup, RepositoryWish& wish) {
  backup
      ->add_option("-r,--repo", wish.location,
                   "A folder, s3:URL, sftp:USER@HOST:PATH or mirror:NAME (RESTIC_REPOSITORY)")
      ->type_name("REPOSITORY");
  backup->add_option("--name", wish.name, "A repository of the daemon's configuration")
      ->type_name("NAME");
  backup
      ->add_option("--type", wish.type,
                   "That of a type of backup of the configuration, and its snapshots only")
      ->type_name("TYPE");
  backup
      ->add_option("--config", wish.config,
                   "The configuration; none: what the daemon runs with, else "
                   "/etc/recoverd/recoverd.yaml")
      ->type_name("FILE");
  backup
      ->add_option("-o,--option", wish.options,
                   "s3.region, s3.connections, sftp.command, sftp.args")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  backup->add_option("--cacert", wish.ca_file, "Whom to trust for https (RESTIC_CACERT)")
      ->type_name("FILE");
  backup->add_option("--limit-upload", wish.upload_kib, "At most so many KiB a second")
      ->type_name("KIB");
  backup->add_option("--limit-download", wish.download_kib, "At most so many KiB a second")
      ->type_name("KIB");
  backup->add_option("--memory", wish.memory_mib, "MiB that a command may have at its peak (64)")
      ->type_name("MIB")
      ->check(CLI::Range(backup::MemoryBudget::kMibMin, backup::MemoryBudget::kMibMax));
  backup->add_flag("--append-only", wish.append_only, "Remove nothing but locks");
}

// No repository is named, nor meant: paths with RESTIC_REPOSITORY are for that.
bool is_for_daemon(const Typed& typed) {
  if (!typed.repository.location.empty() || !typed.repository.name.empty()) return false;
  if (typed.runs.critical_only || typed.full) return true;
  const auto& paths = typed.backup.paths;
  if (std::getenv("RESTIC_REPOSITORY") != nullptr) return paths.empty();
  return std::none_of(paths.begin(), paths.end(),
                      [](const std::string& path) { return path.find('/') != std::string::npos; });
}

DaemonBackupWish wish_of(const Typed& typed, std::string task) {
  DaemonBackupWish wish = typed.runs;
  wish.types = typed.backup.paths;
  wish.task = std::move(task);
  wish.wait = !typed.no_wait;
  if (!typed.timeout.empty()) wish.timeout = timeout_of(typed);
  return wish;
}

}  // namespace

void CommandLine::add_backup_runs(CLI::App* backup) {
  auto* status =
      add(backup, "status", "How the daemon's backups stand; exit 1 when one is unhealthy",
          [](const Typed& typed) { return backup_status_command(typed.name); });
  positional(status, "TYPE", typed_.name, "Of the configuration; none: all");
  auto* test =
      add(backup, "test-restore", "Restore a sample of the newest backup, and compare",
          [](const Typed& typed) { return daemon_backup_command(wish_of(typed, "restore-test")); });
  test->add_option("TYPE", typed_.backup.paths, "Of the configuration; none: all");
  add_waiting(test);
  auto* drill =
      add(backup, "drill", "Restore all of the newest backup into scratch, compare, and measure",
          [](const Typed& typed) { return daemon_backup_command(wish_of(typed, "drill")); });
  drill->add_option("TYPE", typed_.backup.paths, "Of the configuration; none: all");
  add_waiting(drill);
  auto* drills = add(backup, "drills", "The reports of recovery drills, newest first",
                     [](const Typed& typed) { return backup_drills_command(typed.name); });
  positional(drills, "TYPE", typed_.name, "Of the configuration; none: all");
}

void CommandLine::add_backups() {
  auto* backup = group("backup", "Backups in restic's repository format");
  add_store_options(backup, typed_.repository);
  backup
      ->add_option("--password-file", typed_.repository.password_file,
                   "What is in it, white space at both ends cut off")
      ->type_name("FILE");
  backup->add_option("--password-command", typed_.repository.password_command, "Prints it")
      ->type_name("COMMAND");
  backup->fallthrough();

  add(backup, "init", "Make an empty repository",
      [](const Typed& typed) { return backup_init_command(typed.repository); });

  auto* create =
      add(backup, "create", "Back up files and folders; without --repo, what the daemon is to",
          [](const Typed& typed) {
            if (is_for_daemon(typed)) {
              return daemon_backup_command(
                  wish_of(typed, typed.full || typed.backup.force ? "full" : "backup"));
            }
            BackupWish wish = typed.backup;
            if (wish.paths.empty()) throw Failure(Exit::Usage, "USAGE", "what is to be backed up?");
            wish.repository = typed.repository;
            return backup_create_command(std::move(wish));
          });
  create->add_option("PATH", typed_.backup.paths,
                     "What to back up; without --repo, types of the daemon's configuration");
  create->add_flag("--critical-only", typed_.runs.critical_only,
                   "Of the daemon's: those of priority critical");
  create->add_flag("--full", typed_.full, "Of the daemon's: every file is read");
  add_waiting(create);
  create->add_option("--exclude", typed_.backup.excludes, "Leave out what fits")
      ->type_name("PATTERN")
      ->allow_extra_args(false);
  create->add_option("--tag", typed_.backup.tags, "Mark the snapshot")
      ->type_name("TAG")
      ->allow_extra_args(false);
  create->add_option("--host", typed_.backup.host, "Instead of this machine's name")
      ->type_name("NAME");
  create->add_flag("--one-file-system", typed_.backup.one_file_system, "Leave out what is mounted");
  create->add_flag("--force", typed_.backup.force, "Read every file, changed or not");

  add(backup, "list", "The snapshots, oldest first",
      [](const Typed& typed) { return backup_list_command(typed.repository); });

  auto* restore =
      add(backup, "restore", "Put a snapshot's files into a folder", [](const Typed& typed) {
        RestoreWish wish = typed.restore;
        wish.repository = typed.repository;
        return backup_restore_command(std::move(wish));
      });
  positional(restore, "SNAPSHOT", typed_.restore.snapshot, "Its id, or latest")->required();
  auto* to = restore->add_option("--to", typed_.restore.to, "The folder, made if need be")
                 ->type_name("DIR");
  auto* in_place = restore->add_flag("--in-place", typed_.restore.in_place,
                                     "Onto the paths themselves; what stands there is kept as a "
                                     "snapshot, and put back when anything goes wrong");
  in_place->excludes(to);
  restore
      ->add_flag("--exact", typed_.restore.exact,
                 "Remove what the restored folders hold and the snapshot does not")
      ->needs(in_place);
  restore->add_option("--selective", typed_.restore.selective, "Only this path of the snapshot")
      ->type_name("PATH")
      ->allow_extra_args(false);
  restore->add_flag("--dry-run", typed_.restore.dry_run, "Only tell what would be restored");
  restore->add_flag("--verify", typed_.restore.verify, "Read what was written once more");
  restore->add_flag("--sparse", typed_.restore.sparse, "Zeros become holes");

  auto* verify =
      add(backup, "verify", "Read and check a snapshot, or everything", [](const Typed& typed) {
        if (typed.verify.snapshot.empty() && typed.verify.subset.empty() &&
            typed.repository.location.empty() && typed.repository.name.empty() &&
            typed.repository.type.empty() && std::getenv("RESTIC_REPOSITORY") == nullptr) {
          return daemon_backup_command(wish_of(typed, "verify"));
        }
        VerifyWish wish = typed.verify;
        wish.repository = typed.repository;
        return backup_verify_command(std::move(wish));
      });
  positional(verify, "SNAPSHOT", typed_.verify.snapshot, "Its id, or latest");
  verify->add_flag("--all", typed_.verify.all,
                   "Every snapshot and every byte stored; without --repo, of the daemon's");
  add_waiting(verify);
  verify
      ->add_option("--read-data-subset", typed_.verify.subset,
                   "Every snapshot, and of the bytes a part: n/t, x% or a size such as 10G")
      ->type_name("PART");
  verify->add_option("--unread-for", typed_.verify.unread_for, "Not what was read more lately")
      ->type_name("DURATION");

  auto* prune = add(backup, "prune", "Forget snapshots by rules; free what none uses",
                    [](const Typed& typed) {
                      PruneWish wish = typed.prune;
                      wish.repository = typed.repository;
                      return backup_prune_command(std::move(wish));
                    });
  add_retention(prune, typed_.prune);
  add_backup_repair(backup);

  auto* mirror =
      add(backup, "mirror", "The members of a mirror, and what they lack", [](const Typed& typed) {
        return backup_mirror_command(typed.repository, typed.catches_up, typed.refill);
      });
  mirror->add_flag("--catch-up", typed_.catches_up, "Bring it to them");
  mirror->add_flag("--refill", typed_.refill, "Also to those that held a repository and hold none");

  auto* unlock = add(
      backup, "unlock", "Remove locks whose process is gone",
      [](const Typed& typed) { return backup_unlock_command(typed.repository, typed.remove_all); });
  unlock->add_flag("--remove-all", typed_.remove_all, "Those of living processes, too");
  add_backup_runs(backup);
  add_backup_looks(backup);
  add_backup_keys(backup);
}

void CommandLine::add_backup_repair(CLI::App* backup) {
  auto* repair = add(backup, "repair", "Mend what is damaged, from the source where it must be",
                     [](const Typed& typed) {
                       RepairWish wish = typed.repair;
                       wish.repository = typed.repository;
                       return backup_repair_command(std::move(wish));
                     });
  repair
      ->add_option("--from", typed_.repair.sources,
                   "Where the files of the snapshots are: / for where they were")
      ->type_name("DIR")
      ->allow_extra_args(false);
  repair->add_flag("--dry-run", typed_.repair.dry_run, "Only tell what is damaged");
}

// What looks into repositories and between them.
void CommandLine::add_backup_looks(CLI::App* backup) {
  auto* find =
      add(backup, "find", "The files and folders that fit a pattern", [](const Typed& typed) {
        FindWish wish = typed.find;
        wish.repository = typed.repository;
        return backup_find_command(std::move(wish));
      });
  positional(find, "PATTERN", typed_.find.pattern, "As of --exclude")->required();
  find->add_option("--snapshot", typed_.find.snapshot, "Only in this one")->type_name("ID");

  auto* diff =
      add(backup, "diff", "What changed from one snapshot to another", [](const Typed& typed) {
        DiffWish wish = typed.diff;
        wish.repository = typed.repository;
        return backup_diff_command(std::move(wish));
      });
  positional(diff, "BEFORE", typed_.diff.before, "A snapshot's id")->required();
  positional(diff, "AFTER", typed_.diff.after, "Another's, or latest")->required();
  diff->add_flag("--metadata", typed_.diff.metadata, "Owners, modes, times and attributes, too");

  auto* dump = add(backup, "dump", "Print the content of a file", [](const Typed& typed) {
    return backup_dump_command(typed.repository, typed.name, typed.value);
  });
  positional(dump, "SNAPSHOT", typed_.name, "Its id, or latest")->required();
  positional(dump, "PATH", typed_.value, "The file in it")->required();

  auto* copy =
      add(backup, "copy", "Copy snapshots into another repository", [](const Typed& typed) {
        CopyWish wish = typed.copy;
        wish.repository = typed.repository;
        return backup_copy_command(std::move(wish));
      });
  copy->add_option("SNAPSHOT", typed_.copy.snapshots, "Its id, or latest; none: all");
  copy->add_option("--to", typed_.copy.to.location, "The other repository")
      ->required()
      ->type_name("FOLDER");
  copy->add_option("--to-password-file", typed_.copy.to.password_file,
                   "Of the other repository; none: the same password")
      ->type_name("FILE");

  auto* cat = add(backup, "cat", "Print an object as it is stored", [](const Typed& typed) {
    CatWish wish = typed.cat;
    wish.repository = typed.repository;
    return backup_cat_command(std::move(wish));
  });
  positional(cat, "KIND", typed_.cat.kind,
             "config, masterkey, key, lock, index, snapshot, pack, blob or tree")
      ->required();
  positional(cat, "ID", typed_.cat.id,
             "Its id; of keys, locks, indexes and snapshots its beginning");
}

void CommandLine::add_backup_keys(CLI::App* backup) {
  CLI::App* keys = backup->add_subcommand("key", "The passwords that open a repository");
  keys->require_subcommand(1);
  keys->fallthrough();
  add(keys, "list", "One line a password",
      [](const Typed& typed) { return backup_key_list_command(typed.repository); });
  const auto wish_of = [](const Typed& typed) {
    KeyWish wish = typed.key;
    wish.repository = typed.repository;
    return wish;
  };
  auto* more = add(keys, "add", "A further password", [wish_of](const Typed& typed) {
    return backup_key_add_command(wish_of(typed));
  });
  more->add_option("--new-password-file", typed_.key.new_password_file, "What is in it")
      ->required()
      ->type_name("FILE");
  auto* remove = add(keys, "remove", "Take a password's right away", [wish_of](const Typed& typed) {
    return backup_key_remove_command(wish_of(typed));
  });
  positional(remove, "ID", typed_.key.id, "The beginning of its id")->required();
}

}  // namespace recover::apps
