// The backup commands on the command line.
#include "apps/recoverctl/command_line.h"

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
  prune->add_flag("--dry-run", wish.dry_run, "Only tell what would happen");
}

void add_store_options(CLI::App* backup, RepositoryWish& wish) {
  backup
      ->add_option("-r,--repo", wish.location,
                   "A folder, s3:URL, sftp:USER@HOST:PATH or mirror:NAME (RESTIC_REPOSITORY)")
      ->type_name("REPOSITORY");
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
  backup->add_flag("--append-only", wish.append_only, "Remove nothing but locks");
}

}  // namespace

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

  auto* create = add(backup, "create", "Back up files and folders", [](const Typed& typed) {
    BackupWish wish = typed.backup;
    wish.repository = typed.repository;
    return backup_create_command(std::move(wish));
  });
  create->add_option("PATH", typed_.backup.paths, "What to back up")->required();
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
  restore->add_option("--to", typed_.restore.to, "The folder, made if need be")
      ->required()
      ->type_name("DIR");
  restore->add_option("--selective", typed_.restore.selective, "Only this path of the snapshot")
      ->type_name("PATH")
      ->allow_extra_args(false);
  restore->add_flag("--dry-run", typed_.restore.dry_run, "Only tell what would be restored");
  restore->add_flag("--verify", typed_.restore.verify, "Read what was written once more");
  restore->add_flag("--sparse", typed_.restore.sparse, "Zeros become holes");

  auto* verify =
      add(backup, "verify", "Read and check a snapshot, or everything", [](const Typed& typed) {
        VerifyWish wish = typed.verify;
        wish.repository = typed.repository;
        return backup_verify_command(std::move(wish));
      });
  positional(verify, "SNAPSHOT", typed_.verify.snapshot, "Its id, or latest");
  verify->add_flag("--all", typed_.verify.all, "Every snapshot and every byte stored");

  auto* prune = add(backup, "prune", "Forget snapshots by rules; free what none uses",
                    [](const Typed& typed) {
                      PruneWish wish = typed.prune;
                      wish.repository = typed.repository;
                      return backup_prune_command(std::move(wish));
                    });
  add_retention(prune, typed_.prune);

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
}

}  // namespace recover::apps
