// A restore: a snapshot, or chosen paths of it, into a folder.
//
// Nothing outside the folder is ever touched, whatever names or links a snapshot or the folder
// holds: every step goes by descriptors and follows no link. A file appears under its name only
// when it is whole; one that has the wanted content already is left as it is, so a restore can be
// repeated.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "backup/repo/repository.h"

namespace recover::backup {

struct RestoreOptions {
  std::string to = {};  // Made when it is not there; its folder above must be.
  // Paths of the snapshot ("/srv/www"); what lies on the way to them and below them is restored.
  // None: everything.
  std::vector<std::string> selective = {};
  bool sparse = false;   // Zeros become holes.
  bool verify = false;   // Read every file again and compare it with its blobs.
  bool dry_run = false;  // Count only.
  bool owners = true;    // Set owners; without the right to, a problem is reported once.
  // Remove what the restored folders hold and the snapshot does not; not what it excluded.
  bool exact = false;
  // Folders that only lead to what is restored keep the metadata they have, and what is mounted
  // below what is restored is left alone: other file systems, and folders and files bound there.
  bool in_place = false;
  std::vector<std::string> keep = {};  // Paths that are left alone with all below them.
  unsigned threads = 2;
};

struct RestoreProgress {
  std::atomic<std::uint64_t> files{0};    // Whole files, skipped ones too.
  std::atomic<std::uint64_t> skipped{0};  // Those that were as wanted already.
  std::atomic<std::uint64_t> folders{0};
  std::atomic<std::uint64_t> others{0};  // Links, devices, fifos.
  std::atomic<std::uint64_t> bytes{0};
};

struct RestoreReport {
  // What could not be restored as it was; at most kProblemsMax texts, all are counted.
  std::vector<std::string> problems;
  std::uint64_t problem_count = 0;
  // The first that says nothing against the snapshot: its store or this machine failed just then.
  std::optional<Failure> passing = {};
  // Where another file system is mounted or RestoreOptions::keep says so, though the snapshot holds
  // something there; at most kProblemsMax.
  std::vector<std::string> left_alone = {};

  static constexpr std::size_t kProblemsMax = 1000;
};

// NotFound: a chosen path is not in the snapshot (nothing is restored then). Invalid: a stop was
// requested. Everything else that fails is a problem of one file, and the rest goes on.
Outcome<RestoreReport> restore(const Repository& repository, const Snapshot& snapshot,
                               const RestoreOptions& options, RestoreProgress& progress,
                               const std::stop_token& stop = {});

}  // namespace recover::backup
